"""Dead letters, announcements and the breaker, at work in the loop (laws 5 and 6)."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field

import pytest

from daemon.clock import SystemClock
from daemon.health.watchdog import Watchdog
from daemon.loop import Loop
from daemon.outlets import file
from daemon.ports import LaneId, Message, Retry, Store
from daemon.registry.registry import Registry
from daemon.running.breaker import Breaker
from daemon.running.outgoing import ANNOUNCED, Announcer, Letters
from daemon.stores.memory import MemoryStore
from tests.cases import Case, Edition, Schedule
from tests.selection import WAITS
from tests.streams import PERIOD_MS, ListSource, Record, say, small_policy
from tests.worlds import publish_all, shards, source_of, world_of

A, B = LaneId("u", 0), LaneId("u", 1)
BAD = {4: b"{", 9: b"[]", 17: b"", 33: b'{"id": "x"}'}  # position -> a value that is refused


@dataclass
class Box:
    """An outlet that fails as often as it is told to, and keeps what it acknowledged."""

    failures: int = 0
    acknowledged: list[Message] = field(default_factory=list)
    waiting: list[Message] = field(default_factory=list)

    def send(self, message: Message) -> None:
        self.waiting.append(message)

    def flush(self) -> None:
        waiting, self.waiting = self.waiting, []
        if self.failures:
            self.failures -= 1
            raise Retry("nobody acknowledged")
        self.acknowledged += waiting

    def close(self) -> None:
        """Nothing is open."""


def spoken(lane: int) -> list[Record]:
    rows: list[Record] = [
        (
            window * PERIOD_MS + at,
            say(lane * 1000 + window * 10 + at, f"say {window} {at}", "music"),
        )
        for window in range(5, 12)
        for at in range(6)
    ]
    return [(time, BAD.get(at, value)) for at, (time, value) in enumerate(rows)]


def case() -> Case:
    records = {A: spoken(0), B: spoken(1)}
    return Case(records, dict.fromkeys(records, "utterances"), WAITS, (Edition(small_policy()),))


def loop_of(store: Store, *, outlet: Box | None = None, told: Box | None = None) -> Loop:
    world = case()
    if not list(store.list("editions/")):
        publish_all(world, store)
    loop = world_of(world, store).loop(source_of(world, Schedule(), ListSource))
    if outlet is not None:
        loop.letters = loop.performer.letters = loop.upkeep.letters = Letters(
            outlet, loop.tell, version="1"
        )
    if told is not None:
        loop.upkeep.announcer = Announcer(told, loop.registry, loop.tell, base="s3://bucket")
    return loop


def keys(box: Box) -> list[str]:
    return [message.key.decode() for message in box.acknowledged]


@pytest.mark.parametrize("failures", [0, 1, 4])
def test_every_refused_record_has_a_letter_before_its_part(failures: int) -> None:
    """What was not acknowledged is read again, and sent again under the same key."""
    box, store = Box(failures), MemoryStore()
    parts_seen: list[tuple[int, int]] = []
    create = store.create

    def watched(name: str, data: bytes) -> bool:
        if name.startswith("parts/"):
            assert not box.waiting, "a part went before its letters"
            parts_seen.append((len(box.acknowledged), box.failures))
        return create(name, data)

    store.create = watched  # type: ignore[method-assign]
    assert loop_of(store, outlet=box).run()
    expected = {f"{lane}@{position}" for lane in (A, B) for position in BAD}
    assert set(keys(box)) == expected
    assert len(keys(box)) >= len(expected) and parts_seen
    reasons = {dict(m.headers)["sluice.reason"] for m in box.acknowledged}
    assert reasons == {b"not_json", b"not_an_object", b"empty_value", b"no_text"}
    plain = MemoryStore()
    assert loop_of(plain).run()
    assert {w: m.rows_digest for w, m in shards(store).items()} == {
        w: m.rows_digest for w, m in shards(plain).items()
    }


def test_each_shard_is_announced_once_it_is_durable_and_again_after_a_crash() -> None:
    """The mark is written after the acknowledgement: at least once, and in order."""
    box, store = Box(failures=2), MemoryStore()
    loop = loop_of(store, told=box)
    assert loop.run()
    windows = [json.loads(message.value or b"")["window"] for message in box.acknowledged]
    assert windows == sorted(shards(store)), "each once here"
    assert json.loads(box.acknowledged[0].value or b"")["uri"].startswith("s3://bucket/shards/")
    names = list(store.list(ANNOUNCED))
    assert len(names) == 1 + len(windows), "and one that says where it began"
    del store._objects[names[-1]]  # the process died between the two
    store._names.remove(names[-1])
    registry = Registry(store)
    registry.start()
    again = Box()
    Announcer(again, registry, lambda *_: None, base="").due()
    assert [json.loads(m.value or b"")["window"] for m in again.acknowledged] == windows[-1:]


class Live(ListSource):
    def finished(self, lane: LaneId) -> bool:
        return False


def test_a_schema_that_changed_holds_a_live_run_and_not_a_replay() -> None:
    """It is no use to write a topic full of letters, and to pass over a day of records."""
    broken: list[Record] = [(9 * PERIOD_MS + at, b"<xml/>") for at in range(200)]
    world = case()
    records = {A: [*spoken(0), *broken], B: spoken(1)}
    for kind, held in ((Live, True), (ListSource, False)):
        events: list[str] = []
        store = MemoryStore()
        publish_all(world, store)
        loop = world_of(world, store).loop(
            kind(records, {}), listener=lambda event, _, into=events: into.append(event)
        )
        loop.brakes.breaker = Breaker(0.5, 100)
        for _ in range(300):
            loop.turn()
        assert events.count("breaker") == held, "said once"
        read = loop.lanes[A].position
        assert (read < len(records[A])) == held
        loop._pipeline.close()


def test_a_file_of_letters_has_no_text_of_a_record(tmp_path: object) -> None:
    path = f"{tmp_path}/letters.jsonl"
    world, store = case(), MemoryStore()
    publish_all(world, store)
    loop = world_of(world, store).loop(source_of(world, Schedule(), ListSource))
    outlet = file.build(file.Options(path))
    loop.letters = loop.performer.letters = Letters(outlet, loop.tell, version="1")
    assert loop.run()
    outlet.close()
    with open(path, encoding="utf-8") as lines:
        letters = [json.loads(line) for line in lines]
    assert len(letters) == 2 * len(BAD)
    assert all(letter["value"] == "" for letter in letters)


def test_a_loop_that_hangs_is_ended() -> None:
    bitten: list[float] = []
    over = threading.Event()

    def bite(seconds: float) -> None:
        bitten.append(seconds)
        over.set()

    with Watchdog(SystemClock(), 0.2, bite):
        assert over.wait(30)
    assert len(bitten) == 1 and bitten[0] > 0.2
    quiet: list[float] = []
    with Watchdog(SystemClock(), 30.0, quiet.append) as dog:
        dog.beat()
        assert dog.still < 30
    assert quiet == []
