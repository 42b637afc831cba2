"""Outlets that are away: nothing is forgotten, dropped or ended for them (laws 5 and 6)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from daemon.clock import ManualClock
from daemon.config.settings import Stream
from daemon.loop import Loop
from daemon.ports import LaneId, Message, Polled, Retry, Store
from daemon.running.brakes import Brakes
from daemon.running.breaker import Breaker
from daemon.running.outgoing import Announcer, Letters
from daemon.stores.memory import MemoryStore
from tests.cases import Case
from tests.streams import PERIOD_MS, ListSource, Record
from tests.unit.test_live_loop import A, B, Live, case_of, loop_of, spoken
from tests.worlds import shards

TURNS = 1_500  # after which a run is stopped, whatever became of it
STREAM = Stream(period_ms=PERIOD_MS, grace=1, label_wait=0, lag=3)


@dataclass
class Mail:
    """An outlet that keeps what it acknowledged. `away`: it acknowledges nothing, nor takes it."""

    away: bool = False
    waiting: list[Message] = field(default_factory=list)
    acknowledged: list[Message] = field(default_factory=list)

    def send(self, message: Message) -> None:
        self._reach()
        self.waiting.append(message)

    def flush(self) -> None:
        self._reach()
        self.acknowledged += self.waiting
        self.waiting = []

    def _reach(self) -> None:
        if self.away:
            raise Retry("nobody acknowledged")

    def close(self) -> None:
        """Nothing is open."""

    def windows(self) -> list[int]:
        """Of the shards that were announced, in order."""
        return [json.loads(message.value or b"")["window"] for message in self.acknowledged]


def letters_to(loop: Loop, mail: Mail) -> None:
    loop.letters = loop.performer.letters = loop.upkeep.letters = Letters(
        mail, loop.tell, version="1"
    )


def news_to(loop: Loop, mail: Mail) -> None:
    loop.upkeep.announcer = Announcer(mail, loop.registry, loop.tell, base="s3://bucket")


def garbled(rows: list[Record]) -> list[Record]:
    """Every second record cannot be read."""
    return [(time, b"{" if at % 2 else value) for at, (time, value) in enumerate(rows)]


@dataclass
class Process:
    """A process that is run as `sluice run` does, and stopped after so many turns.

    `each`: called after each turn; True stops it.
    """

    case: Case
    store: Store
    kind: type[ListSource] = Live
    each: Callable[[], bool] = lambda: False
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    turns: int = 0

    def __post_init__(self) -> None:
        more = {"batch_records": 2, "poll_records": 3, "read_ahead": 8}
        self.loop = loop_of(self.case, self.store, self.kind, self.hear, **more)

    def hear(self, event: str, facts: dict[str, Any]) -> None:
        self.events.append((event, facts))
        self.turns += event == "turned"
        if event == "turned" and (self.turns >= TURNS or self.each()):
            self.loop.stop()

    def garbled_ahead(self) -> bool:
        """Records that cannot be read are on their way: their letters were not sent yet."""
        return any(b"{" in ahead.values for ahead in self.loop._pipeline._ahead)

    def absorbed(self) -> int:
        return sum(facts["records"] for event, facts in self.events if event == "absorbed")

    def count(self, event: str) -> int:
        return sum(name == event for name, _ in self.events)


@dataclass
class Shifting(Live):
    """The group acts, and `mail` goes away for a call, when letters are on their way."""

    mine: set[LaneId] = field(default_factory=lambda: {A})
    then: set[LaneId] = field(default_factory=set)
    moment: Callable[[], bool] = lambda: False

    def poll(self, limit: int) -> Polled:
        if self.mine != self.then and self.moment():
            self.mine = self.then
        return super().poll(limit)


@pytest.mark.parametrize("then", [{A, B}, {B}], ids=["gained", "swapped"])
def test_what_a_rebalance_tells_outlives_a_retry_of_the_letters(then: set[LaneId]) -> None:
    """A lane that was gained was never stood, and one that was lost was read on."""
    case = case_of({A: garbled(spoken(A, range(5, 9), 6)), B: garbled(spoken(B, range(5, 9), 6))})
    process, mail = Process(case, MemoryStore(), Shifting), Mail()
    letters_to(process.loop, mail)
    source: Any = process.loop.source

    def moment() -> bool:
        mail.away = process.garbled_ahead()
        return mail.away

    def back() -> bool:
        mail.away = False
        return False

    source.then, source.moment, process.each = then, moment, back
    clock: Any = process.loop.clock
    sleep, clock.sleep = clock.sleep, lambda seconds: (back(), sleep(seconds))
    assert process.loop.run() is False
    assert process.count("retry") == 1
    assert set(process.loop.lanes) == then
    assert process.loop.lanes[B].position == len(case.records[B])
    assert sorted(shards(process.store)) == ([5, 6, 7] if A in then else [])


def test_each_shard_is_announced_however_fast_they_come() -> None:
    """Only the shards that a process remembers, 2 lag + 2 of them, were ever looked at."""
    case = case_of({A: spoken(A, range(5, 45))}, STREAM)
    process, mail = Process(case, MemoryStore(), ListSource), Mail()
    news_to(process.loop, mail)
    # no second passes while they come: the last look is the only one
    process.loop.clock.advance = lambda seconds: None  # type: ignore[attr-defined]
    assert process.loop.run() is True
    assert mail.windows() == sorted(shards(process.store)) == list(range(5, 45))


def test_shards_that_nobody_could_announce_are_announced_by_the_next_process() -> None:
    """However many they are: what was acknowledged last is in the store."""
    case, store, mail = case_of({A: spoken(A, range(5, 45))}, STREAM), MemoryStore(), Mail()
    first = Process(case, store)
    first.loop.source.mine = {A}  # type: ignore[attr-defined]
    news_to(first.loop, mail)

    def leaves() -> bool:
        mail.away = mail.away or len(mail.acknowledged) >= 3
        return first.loop.lanes[A].position == 160 and len(shards(store)) == 39

    first.each = leaves
    assert first.loop.run() is False
    told = len(mail.acknowledged)
    assert 3 <= told < 39 - 2 * STREAM.lag - 2
    mail.away, second = False, Process(case, store, ListSource)
    news_to(second.loop, mail)
    assert second.loop.run() is True
    assert mail.windows() == sorted(shards(store)) == list(range(5, 45))


def test_shards_from_before_anything_was_announced_are_no_news() -> None:
    """Who sets an outlet for announcements is not sent years of shards."""
    store, mail, rows = MemoryStore(), Mail(), spoken(A, range(5, 25))
    assert Process(case_of({A: rows[:40]}, STREAM), store, ListSource).loop.run()
    assert sorted(shards(store)) == list(range(5, 15))
    process = Process(case_of({A: rows}, STREAM), store, ListSource)
    news_to(process.loop, mail)
    assert process.loop.run()
    assert mail.windows() == list(range(15, 25))


def test_an_outlet_of_announcements_that_is_away_drops_no_work_and_ends_nothing() -> None:
    """Lanes dropped their open windows and read them again, until the process ended itself."""
    case, mail = case_of({A: spoken(A, range(5, 9), 20)}), Mail(away=True)
    process = Process(case, MemoryStore())
    process.loop.source.mine = {A}  # type: ignore[attr-defined]
    news_to(process.loop, mail)
    clock: Any = process.loop.clock

    def hours() -> bool:
        clock.advance(10.0)
        mail.away = clock.monotonic() < 7_200
        return len(mail.acknowledged) == 3

    process.each = hours
    assert process.loop.run() is False
    assert clock.monotonic() >= 7_200
    assert process.absorbed() == 80, "each record once"
    assert process.count("retry") == 0
    assert mail.windows() == sorted(shards(process.store)) == [5, 6, 7]


@pytest.mark.parametrize("asleep", [False, True])
def test_a_process_that_is_stopped_while_its_outlet_is_away_ends_in_order(asleep: bool) -> None:
    """SIGTERM ended in a Retry that nobody caught, or waited as long as the outlet was away."""
    case, mail = case_of({A: garbled(spoken(A, [5], 40))}), Mail()
    process = Process(case, MemoryStore())
    process.loop.source.mine = {A}  # type: ignore[attr-defined]
    letters_to(process.loop, mail)
    clock: Any = process.loop.clock
    sleep, slept = clock.sleep, list[float]()

    def goes() -> bool:
        mail.away = mail.away or process.garbled_ahead()
        return mail.away and not asleep

    def sleeps(seconds: float) -> None:
        slept.append(seconds)
        sleep(seconds)
        if asleep and sum(slept) > 20:
            process.loop.stop()

    process.each, clock.sleep = goes, sleeps
    assert process.loop.run() is False
    assert mail.away and process.turns < TURNS
    assert max(slept, default=0) <= 1, "a signal is heard between two sleeps"
    assert sum(slept) <= (22 if asleep else 1), "and ends the waiting"
    assert list(process.store.list("parts/")) == [], "nothing is passed before its letters"


Addition = tuple[int, Counter[str]]
GOOD = (1, Counter[str]())
BAD: list[Addition] = [(600, Counter(not_json=600)), (399, Counter(no_text=399))]
PAST: list[Addition] = [(100, Counter(no_text=20))] * 100  # a fifth is borne for ever


@pytest.mark.parametrize(
    ("additions", "counts"),
    [([*BAD, GOOD], (999, 1_000)), ([*PAST, (1_000, Counter(not_json=900))], (900, 1_000))],
    ids=["a good record", "a long past"],
)
def test_the_breaker_trips_with_any_record_and_names_what_is_refused_now(
    additions: list[Addition], counts: tuple[int, int]
) -> None:
    """A good record that completed the number ended the process: it had no reason to name."""
    told: list[tuple[str, dict[str, Any]]] = []
    brakes = Brakes(
        Live({A: []}), {A: None}, None, ManualClock(),  # type: ignore[dict-item, arg-type]
        lambda *fact: told.append(fact), 0, Breaker(0.5, 1_000),
    )  # fmt: skip
    held = []
    for records, reasons in additions:
        brakes.refusals(records, reasons)
        held.append(brakes.held())  # each turn asks
    assert held == [*[False] * (len(additions) - 1), True]
    refused, records = counts
    facts = {"refused": refused, "records": records, "worst_reason": "not_json"}
    assert told == [("breaker", facts)]


def test_letters_of_what_was_refused_are_acknowledged_while_the_breaker_holds() -> None:
    """They lay in memory for as long as it held, and that is when somebody wants to read them."""
    case, mail = case_of({A: [(5 * PERIOD_MS + at, b"{") for at in range(200)]}), Mail()
    process = Process(case, MemoryStore())
    process.loop.source.mine = {A}  # type: ignore[attr-defined]
    letters_to(process.loop, mail)
    process.loop.brakes.breaker = Breaker(0.5, 120)
    held: list[tuple[int, int, int]] = []

    def look() -> bool:
        held.append((process.absorbed(), len(mail.acknowledged), len(mail.waiting)))
        return process.turns == 400

    process.each = look
    assert process.loop.run() is False
    assert process.count("breaker") == 1
    absorbed, acknowledged, waiting = held[-1]  # before it ends
    assert 120 <= absorbed < 200, "it holds"
    assert (acknowledged, waiting) == (absorbed, 0)
    assert list(process.store.list("parts/")) == []
