"""Candidates of several windows as one: keys, ranks and groups as the newest window has them."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from buffers.base import NEVER, Reservoir
from daemon.derived import believed, ways
from daemon.derived.ways import Way
from daemon.lanes.arms import build_pool
from daemon.learning.rules import Rules
from daemon.shards import rows as row_tables
from daemon.shards import shard
from daemon.shards.agreement import Standing
from daemon.shards.columns import Columns, plain_name
from daemon.shards.erasures import Erasures, erased
from daemon.shards.merge import Labels, Merged, Taken
from daemon.shards.pool import Pooled

_Key = tuple[int, int, int]  # group, identity


class _Item(NamedTuple):
    """A candidate of one window."""

    source: int
    row: int
    way: Way
    erased: bool


class _Entry(NamedTuple):
    """What is known of a key."""

    place: tuple[int, int, int]  # log-rank with decay, source, order
    item: _Item
    total: int
    said: int  # times that its label was given
    ways: list[Way]  # of every window that kept it


class Several:
    """Candidates of several windows under the rules of the newest."""

    def __init__(self, rules: Rules, capacity: int) -> None:
        self.rules, self._capacity = rules, capacity
        self._sources: list[tuple[Columns, Rules]] = []
        self._best: dict[_Key, _Entry] = {}
        self._others: list[Standing] = []
        self._by_chance = rules.by_chance

    def add(self, pool: Pooled, rules: Rules, decay: int, erasures: Erasures) -> None:
        """Take in a window's candidates: groups and keys as the newest rules name them.

        Windows weigh one key differently, each by its own calibration: the smallest rank counts.
        """
        columns, index, source = pool.columns, self.rules.index, len(self._sources)
        self._sources.append((columns, rules))
        self._others += pool.others
        self._by_chance &= rules.by_chance
        for row in pool.stay:
            name = plain_name(columns, row, rules.policy.groups.by)
            group = 0 if self.rules.cold else index.get(name, 0)
            before = 0 if rules.cold else rules.index.get(columns["group"][row], 0)
            mask = rules.mask(before, name) ^ self.rules.mask(group, name)
            key = (group, columns["key_hi"][row], columns["key_lo"][row] ^ mask)
            # of equal ranks the older window's row is shown, in it the first record's
            place = (columns["log_rank"][row] + decay, source, columns["order"][row])
            way = Way(columns["key_lo"][row], pool.first[row], columns["weight"][row], decay)
            item = _Item(source, row, way, erased(columns, row, erasures))
            total, said = columns["multiplicity"][row], columns["said"][row]
            entry = _Entry(place, item, total, said, [way])
            if (held := self._best.get(key)) is not None:
                best = min(entry, held, key=lambda e: e.place)
                held.ways.append(way)
                total, said = total + held.total, said + held.said
                entry = best._replace(total=total, said=said, ways=held.ways)
            self._best[key] = entry

    def _fill(self) -> Reservoir:
        """Of one text under several labels the likeliest stays, as in the shards."""
        box = build_pool(self.rules, self._capacity)
        said = [(self._sources[e.item.source], e.item.row, e.said) for e in self._best.values()]
        losers = believed.losers(said, self._others, self.rules)
        left = [one for at, one in enumerate(self._best.items()) if at not in losers]
        if left:
            keys, entries = [key for key, _ in left], [entry for _, entry in left]
            box.offer_many(
                np.array([group for group, _, _ in keys], np.int32),
                np.array([e.place[0] for e in entries], np.int64),
                np.array([(high, low) for _, high, low in keys], np.uint64),
                np.arange(len(keys), dtype=np.int64),  # each key is offered once
                entries,
            )
        return box

    def table(self) -> tuple[dict[str, list[Any]], dict[str, int]]:
        """The rows kept, by (lane, position), and how many of each group."""
        box = self._fill()
        kept, taus = box.items(), box.thresholds().tolist()
        picked = [
            self._cells(entry, group, taus[group])
            for entry, group in zip(kept.items, kept.groups.tolist(), strict=True)
            if not entry.item.erased  # nothing takes its place
        ]
        picked.sort(key=lambda cells: (cells["lane"], cells["position"]))
        scored = {name for columns, _ in self._sources for name in shard.scores_of(columns)}
        types = shard.row_types(tuple(sorted(scored)))
        rows = {name: [cells.get(name) for cells in picked] for name in types}
        return rows, dict(sorted(Counter(one["group"] for one in picked).items()))

    def _cells(self, entry: _Entry, group: int, tau: int) -> dict[str, Any]:
        """One row of the rolling shard."""
        columns, rules = self._sources[(item := entry.item).source]
        chance, shown = None, NEVER
        if self._by_chance:
            chance, shown = ways.chance(entry.ways, tau), ways.widest(entry.ways, tau, item.way)
        taken = Taken(item.row, {"selected": chance}, entry.total, shown)
        one = Merged(columns, [taken], {}, 0, Labels(), {}, {})
        cells = row_tables.table(one, rules, shard.scores_of(columns), even=())
        row = {name: column[0] for name, column in cells.items()}
        if not self.rules.cold:
            row["group"] = self.rules.groups[group]  # as the newest window names it
        return row
