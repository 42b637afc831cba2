"""A turn of the loop is short however many lanes can move, and who waits does not look all day."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

import pytest

from daemon.clock import ManualClock
from daemon.loop import LOOK, TURN_SECONDS
from daemon.ports import LaneId
from daemon.running import engines
from daemon.stores.memory import MemoryStore
from tests.streams import say
from tests.unit.test_live_loop import Live, case_of, loop_of, spoken, until_quiet

LANES = [LaneId("u", partition) for partition in range(25)]
SOON_MS = 10**12 + 10**6  # a thousand seconds ahead of the manual clock
BATCH, COST = 10, 0.1  # records, seconds of the model for each


def test_a_turn_does_not_grow_with_the_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    """All lanes wait with records in hand; then all may go on, and the model is slow."""
    records = {
        lane: [
            (SOON_MS, say(lane.partition * 1_000 + at, f"say {at}", "music")) for at in range(60)
        ]
        for lane in LANES
    }
    records[LANES[0]].insert(0, (10**12, say(999_999, "first", "music")))
    heard: list[float] = []

    def listener(event: str, _facts: dict[str, object]) -> None:
        if event == "polled":
            heard.append(clock.monotonic())

    loop = loop_of(
        case_of(records), MemoryStore(), listener=listener, batch_records=BATCH, poll_records=2_000
    )
    clock, source = cast(ManualClock, loop.clock), cast(Live, loop.source)
    source.mine, source.lanes_at_once = set(LANES), len(LANES)
    for _ in range(300):
        loop.turn()
    assert loop.intake.waiting() == 60 * len(LANES), "all wait for the clock"
    plain = engines.Engine.prepare

    def slow(self: Any, rules: Any, batch: Any, segment: Any) -> Any:
        clock.advance(COST * (segment.end - segment.first))
        return plain(self, rules, batch, segment)

    monkeypatch.setattr(engines.Engine, "prepare", slow)
    clock.jump(5_000)
    heard.clear()
    while loop.intake.waiting():
        loop.turn()
    loop._pipeline.close()
    gaps = [after - before for before, after in itertools.pairwise(heard)]
    # what is on its way when the time is up is waited for: two segments ahead, and one at work
    assert max(gaps) <= TURN_SECONDS + 4 * BATCH * COST < len(LANES) * BATCH * COST / 2
    assert len(gaps) > 10


class Counting(MemoryStore):
    """Counts listings by their first folder."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: Counter[str] = Counter()

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        self.looks[prefix.split("/", maxsplit=1)[0]] += 1
        return super().list(prefix, after)


def test_who_waits_for_long_looks_once_a_second() -> None:
    lanes = LANES[:8]
    store = Counting()
    loop = loop_of(case_of({lane: spoken(lane, range(5, 9)) for lane in lanes}), store)
    source = cast(Live, loop.source)
    source.mine, source.lanes_at_once = set(lanes), len(lanes)
    until_quiet(loop)
    store.looks.clear()
    began = loop.clock.monotonic()
    for _ in range(100):
        assert not loop.turn()  # a tenth of a second each
    loop._pipeline.close()
    seconds = loop.clock.monotonic() - began
    assert 5 <= store.looks["pins"] <= seconds + 2 < 100 - LOOK
