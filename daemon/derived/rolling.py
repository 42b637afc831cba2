"""The rolling reservoir: the merge of many windows' parts, with forward decay (law 9).

Derived, never state: it can be made for any range of windows that still has its parts. Decay adds
a constant per window to log-ranks, so ranks need no rewriting and the merge stays exact (Cormode,
Shkapenyuk, Srivastava and Xu 2009, forward decay). With one draw per key in every window, a key's
smallest rank decides; its multiplicity is the sum over windows in which it stayed a candidate.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from buffers import draw, exact
from buffers.base import NEVER, Reservoir
from daemon import tables
from daemon.derived import believed, ways
from daemon.derived.history import History
from daemon.derived.ways import Way
from daemon.lanes.arms import build_pool
from daemon.learning.rules import Rules
from daemon.ports import EXIT_CONFIG, Fatal
from daemon.registry import effacing, versions
from daemon.shards import rows as row_tables
from daemon.shards import shard
from daemon.shards.chances import by_chance
from daemon.shards.columns import Columns, plain_name
from daemon.shards.erasures import Erasures, erased
from daemon.shards.merge import Labels, Merged, Taken
from daemon.shards.pool import Pooled, pooled

LN2_STEPS = int(float(exact.ln(np.array([2.0]))[0]) * draw.RANK_UNIT)


@dataclass(frozen=True, slots=True, eq=False)
class Rolled:
    """A rolling shard: rows as those of a shard, and what it was made of."""

    name: str
    windows: tuple[int, ...]
    rows: dict[str, list[Any]]
    kept: dict[str, int]
    selection_digest: str
    rows_digest: str


def decay_steps(age: int, half_life: int | None) -> int:
    """What a window `age` windows older than the newest adds to its log-ranks."""
    return age * LN2_STEPS // half_life if half_life else 0


def roll(history: History, newest: int) -> Rolled:
    """Merge the windows that the policy of `newest` keeps. Raises Fatal, Missing."""
    _, rules = history.rules(newest)
    settings = rules.policy.rolling
    if settings is None:
        raise _no_sample(newest)
    first = newest - settings.windows + 1
    windows = [w for w in history.windows() if first <= w <= newest]
    merged = _Merge(rules, settings.capacity_rows)
    for window in windows:
        inputs = history.inputs(versions.newest(history.registry, window))
        if inputs.rules.epoch != rules.epoch or inputs.rules.second is not None:
            raise _no_sample(window)
        own = [part for _, part in inputs.parts if part.manifest.ledger]
        own.sort(key=lambda part: part.manifest.lane)
        pool = pooled(own, inputs.grading, inputs.rules, inputs.late)
        decay = decay_steps(newest - window, settings.half_life_windows)
        merged.add(pool, inputs.rules, decay, inputs.erasures)
    rows, kept = merged.table()
    selection, content = shard.digests(rows, newest)
    name = f"{shard.ROLLING_PREFIX}{newest:012d}-{content[:32]}.parquet"
    return Rolled(name, tuple(windows), rows, kept, selection, content)


def _no_sample(window: int) -> Fatal:
    message = f"window {window} cannot be rolled: its edition draws anew or has no `rolling`"
    return Fatal(message, code=EXIT_CONFIG, hint="roll windows of one stage and constant epoch")


def write(history: History, rolled: Rolled) -> None:
    """Make it an object, named by its content. Raises Retry where a row was erased meanwhile."""
    scores = shard.scores_of(rolled.rows)
    footer = {
        "windows": rolled.windows,
        "rows_digest": rolled.rows_digest,
        "selection_digest": rolled.selection_digest,
    }
    data = tables.encode(rolled.rows, shard.row_types(scores), tables.canonical(footer))
    history.registry.store.create(rolled.name, data)
    effacing.take_back(history.registry, rolled.name, rolled.rows, rolled.windows)


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


class _Merge:
    """Candidates of several windows under the rules of the newest."""

    def __init__(self, rules: Rules, capacity: int) -> None:
        self.rules, self._capacity = rules, capacity
        self._sources: list[tuple[Columns, Rules]] = []
        self._best: dict[_Key, _Entry] = {}
        self._by_chance = by_chance(rules)

    def add(self, pool: Pooled, rules: Rules, decay: int, erasures: Erasures) -> None:
        """Take in a window's candidates: groups and keys as the newest rules name them.

        Windows weigh one key differently, each by its own calibration: the smallest rank counts.
        """
        columns, index, source = pool.columns, self.rules.index, len(self._sources)
        self._sources.append((columns, rules))
        self._by_chance &= by_chance(rules)
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
        losers = believed.losers(said, self.rules)
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
