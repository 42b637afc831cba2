"""A stretch of a run, as a recording carries it: which records, how cut, and what was learnt.

A window's shard needs the parts of that window, the label parts of some windows before and after
it, the calibrations that its pin and its fold name, and the audit rows that answers in those label
parts speak of. All of it but the parts is taken from the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
from msgspec import UnsetType

from daemon.decode.decoder import AnswerDecoder
from daemon.lanes import part as parts
from daemon.lanes import pin as pins
from daemon.lanes.pin import FIRST, Pin
from daemon.ports import Closing, LaneId, Missing, Store
from daemon.registry import versions
from daemon.registry.bundle import TAUGHT
from daemon.registry.registry import Registry
from daemon.shards import shard as shards


@dataclass(frozen=True, slots=True)
class Excerpt:
    """`first`..`last`: windows. `taught`: names of objects of earlier shards that are needed."""

    first: int
    last: int
    closings: dict[LaneId, tuple[Closing, ...]]
    taught: tuple[str, ...]

    def ranges(self) -> dict[LaneId, tuple[int, int]]:
        """Positions [start, end) of each lane."""
        return {
            lane: (cuts[0].start, cuts[-1].end) if cuts else (0, 0)
            for lane, cuts in self.closings.items()
        }


def excerpt(registry: Registry, first: int | None, last: int | None) -> Excerpt:
    """Windows `first`..`last` of a run that has a genesis; None: as far as it has parts."""
    genesis = registry.genesis
    assert genesis is not None, "a run has a genesis"
    progress = registry.start()
    begin = genesis.first_window if first is None else max(first, genesis.first_window)
    newest = max((covered.through for covered in progress.newest.values()), default=begin)
    end = newest if last is None else min(last, newest)
    made = list(shards.windows(registry.store.list(shards.PREFIX)))
    before = max((window for window in made if window < begin), default=FIRST)
    first_label = max(genesis.first_window, min(before + 1, begin - genesis.lag))
    closings = {}
    for lane in progress.lanes():
        labels = lane in progress.label_lanes
        since, until = (first_label, end + genesis.label_wait) if labels else (begin, end)
        closings[lane] = tuple(_cuts(registry.store, lane, since, until))
    earlier = [window for window in made if window < begin]
    needed = {before, *_calibrations(registry, begin, end), *_answered(registry, closings)}
    taught = [
        name
        for window in sorted(needed.intersection(earlier))
        for name in _taught(registry, window)
    ]
    return Excerpt(begin, end, closings, tuple(dict.fromkeys(taught)))


def _taught(registry: Registry, window: int) -> tuple[str, ...]:
    """What an earlier shard taught: its rows, what was emitted up to it, and its manifest.

    Of a shard with later versions all of them: the newest has the rows that are left.
    """
    runs, names = registry.manifest(window).calibration.emitted, []
    for number in versions.numbers(registry.store, window):
        manifest = versions.manifest(registry.store, window, number)
        names += [manifest.rows_object, shards.manifest_name(window, number)]
    return (*(() if isinstance(runs, UnsetType) else (run.name for run in runs)), *names)


def _cuts(store: Store, lane: LaneId, since: int, until: int) -> Iterator[Closing]:
    """Of each part that covers one of the windows. The name of a part is its first window."""
    names = list(store.list(parts.prefix(lane)))
    for name, following in zip(names, [*names[1:], ""], strict=True):
        window = _window(name)
        if window > until or (following and _window(following) <= since):
            continue
        m = parts.read_manifest(store.get(name))
        if m.through >= since:
            yield Closing(m.window, m.through, m.start, m.end, m.time_ms, m.closed_by)


def _window(name: str) -> int:
    return int(name.rsplit("/", 1)[-1].split(".", maxsplit=1)[0])


def _calibrations(registry: Registry, first: int, last: int) -> set[int]:
    """Windows whose calibrations pins of these windows name."""
    names = [n for n in registry.store.list(pins.PREFIX) if first <= _window(n) <= last]
    decoder = msgspec.json.Decoder(Pin)
    return {decoder.decode(registry.store.get(name)).calibration for name in names}


def _answered(registry: Registry, closings: dict[LaneId, tuple[Closing, ...]]) -> set[int]:
    """Windows of shards that audit answers speak of."""
    assert registry.progress is not None
    late, erasures = registry.progress.label_lanes, registry.progress.erasure_topics
    lanes = [lane for lane in closings if lane in late and lane.topic not in erasures]
    registry.read_editions()
    mappings = {}
    for edition in registry.editions.values():
        policy = edition.policy
        mappings[repr(policy.answer), repr(policy.limits)] = policy
    found = set()
    for lane in lanes:
        for cut in closings[lane]:
            try:
                values = registry.part(parts.name(lane, cut.window)).rows["value"]
            except Missing:
                continue
            for policy in mappings.values():
                decoded = AnswerDecoder(policy.answer, policy.limits).decode(values)
                found |= {a.shard for a in decoded.answers if a.shard is not None}
    return found


def carry(excerpt: Excerpt, origin: Store, target: Store) -> int:
    """Put what earlier windows taught into a recording's registry; how many objects."""
    return sum(target.create(TAUGHT + name, origin.get(name)) for name in excerpt.taught)
