"""Records of label lanes that are no answers: told like those of utterances (laws 6 and 8)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from daemon.clock import ManualClock
from daemon.commands.telling import measure
from daemon.decode.decoder import AnswerDecoder
from daemon.lanes.labels import MOST_BYTES
from daemon.loop import Loop
from daemon.metrics.metrics import Metrics
from daemon.outlets import file
from daemon.policy import Limits
from daemon.ports import LaneId, Outlet, Store
from daemon.registry.registry import Registry
from daemon.running.breaker import Breaker
from daemon.running.outgoing import Letters
from daemon.running.validating import Validator
from daemon.stores.memory import MemoryStore
from scoring.types import Reason
from tests.cases import LABELS, Case, Edition, Schedule
from tests.selection import WAITS
from tests.streams import PERIOD_MS, ListSource, Record, publish_table, say, small_policy
from tests.unit.test_outgoing import Box, Live
from tests.worlds import outcome, publish_all, shards, source_of, world_of

U = LaneId("u", 0)
CANARY = "the-name-of-somebody"
DEEP = b'{"id": ' + b"[" * 64 + b"]" * 64 + b"}"
BAD: dict[Reason, tuple[bytes, ...]] = {
    Reason.EMPTY_VALUE: (b"", b" \n"),
    Reason.VALUE_TOO_LARGE: (b'{"id": "a", "label": "b"}' + b" " * MOST_BYTES,),
    Reason.NOT_UTF8: (b'{"id": "a", "label": "\xff"}',),
    Reason.NOT_JSON: (b"{", f'{{"id": "{CANARY}"'.encode()),
    Reason.NOT_AN_OBJECT: (b"[]",),
    Reason.TOO_DEEP: (DEEP,),
    Reason.NO_ID: (b'{"label": "music"}',),
    Reason.BAD_ID: (f'{{"id": ["{CANARY}"], "label": "music"}}'.encode(),),
    Reason.BAD_LABEL: (
        f'{{"id": "{CANARY}", "label": 3}}'.encode(),
        b'{"id": "a", "label": "music", "shard": "last"}',
    ),
    Reason.NO_LABEL: (f'{{"id": "{CANARY}"}}'.encode(),),
}
GOOD = b'{"id": "u50", "label": "music"}'
TOLD = [(why, value) for why, values in BAD.items() for value in values]


def case(values: list[bytes | None], window: int = 5) -> Case:
    """Two windows of traffic beside answers of the first."""
    spoken: list[Record] = [
        (w * PERIOD_MS + at, say(w * 10 + at, f"say {w} {at}", "music"))
        for w in range(window, window + 4)
        for at in range(6)
    ]
    said: list[Record] = [(window * PERIOD_MS + at, value) for at, value in enumerate(values)]
    kinds = {U: "utterances", LABELS: "labels"}
    return Case({U: spoken, LABELS: said}, kinds, WAITS, (Edition(small_policy()),))


def loop_of(
    world: Case,
    store: Store,
    outlet: Outlet | None,
    *,
    payload_bytes: int = 0,
    kind: type[ListSource] = ListSource,
    metrics: Metrics | None = None,
) -> Loop:
    if not list(store.list("editions/")):
        publish_all(world, store)
    listener = measure(metrics) if metrics else lambda event, facts: None
    loop = world_of(world, store).loop(source_of(world, Schedule(), kind), listener=listener)
    if metrics:
        genesis = loop.registry.genesis
        assert genesis is not None
        metrics.founded(genesis, loop.registry.editions)
    if outlet is not None:
        loop.letters = loop.performer.letters = loop.upkeep.letters = Letters(
            outlet, loop.tell, version="1", payload_bytes=payload_bytes
        )
    return loop


def test_each_reason_of_an_answer_has_a_letter_as_utterances_have() -> None:
    """And no other reason can come of one: the shard counts the same records."""
    values: list[bytes | None] = [GOOD, None]  # a tombstone is no answer, and no fault
    for _, value in TOLD:
        values += [value, GOOD]
    box, store, metrics = Box(), MemoryStore(), Metrics("1", ManualClock())
    assert loop_of(case(values), store, box, metrics=metrics).run()
    assert [m.key.decode() for m in box.acknowledged] == [
        f"labels/0@{2 + 2 * n}" for n in range(len(TOLD))
    ]
    edition = Registry(store)
    edition.read_editions()
    for (why, _), message in zip(TOLD, box.acknowledged, strict=True):
        headers = dict(message.headers)
        assert headers["sluice.reason"].decode() == why.value
        assert headers["sluice.checkpoint"].decode() == edition.editions[0].checkpoint
        assert headers["sluice.edition"] == b"0" and len(headers["sluice.policy"]) == 64
        assert headers["sluice.payload"] == (b"left_out" if values_of(message.key, values) else
                                             b"none")  # fmt: skip
        assert message.value == b"" and CANARY not in repr(message)
    assert shards(store)[5].labelled.refused == len(TOLD)
    shown = metrics.exposition().decode()
    for why, given in BAD.items():
        line = f'sluice_label_refusals_total{{kind="labels",reason="{why.value}"}}'
        assert f"{line} {float(len(given))}" in shown


def values_of(key: bytes, values: list[bytes | None]) -> bytes | None:
    return values[int(key.split(b"@")[1])]


def test_any_bytes_are_an_answer_or_a_refusal_of_these_reasons() -> None:
    """What the decoder of answers can say at all stands in the table above."""
    decoder = AnswerDecoder(small_policy().answer, Limits())
    found = {r.reason for r in decoder.decode([value for _, value in TOLD]).refusals}
    assert found == set(BAD)
    bodies: list[object] = ["a", None, 1, 1.5, True, "", "x" * 300, [], {}, -1, 10**400]
    pairs = [{"id": a, "label": b, "shard": c} for a in bodies for b in bodies for c in bodies]
    decoded = decoder.decode([json.dumps(pair).encode() for pair in pairs])
    assert {r.reason for r in decoded.refusals} <= set(BAD) and decoded.answers


@pytest.mark.parametrize("payload_bytes", [0, 64, 1 << 20])
def test_a_letter_of_an_answer_holds_its_bytes_only_where_that_is_configured(
    payload_bytes: int, tmp_path: Path
) -> None:
    outlet = file.build(file.Options(str(tmp_path / "letters.jsonl")))
    world = case([value for _, value in TOLD])
    assert loop_of(world, MemoryStore(), outlet, payload_bytes=payload_bytes).run()
    outlet.close()
    text = (tmp_path / "letters.jsonl").read_text()
    letters = [json.loads(line) for line in text.splitlines()]
    assert len(letters) == len(TOLD)
    for (_, value), letter in zip(TOLD, letters, strict=True):
        kept = 0 < len(value) <= payload_bytes
        assert dict(letter["headers"])["sluice.payload"] == (
            "kept" if kept else "left_out" if value else "none"
        )
        assert bool(letter["value"]) == kept
    assert (CANARY in text) == bool(payload_bytes)


class Died(Exception):
    """As kill -9 between two calls."""


def dying(store: MemoryStore, when: Callable[[str], bool]) -> MemoryStore:
    """The process dies at the first create for which `when` holds, before it is made."""
    create = store.create

    def died(name: str, data: bytes) -> bool:
        if when(name):
            store.create = create  # type: ignore[method-assign]
            raise Died
        return create(name, data)

    store.create = died  # type: ignore[method-assign]
    return store


@pytest.mark.parametrize("failures", [0, 1, 4])
def test_no_part_of_a_label_lane_passes_before_its_letters(failures: int) -> None:
    """A death between the two, and an outlet that fails: sent again, under the same key."""
    values: list[bytes | None] = [value for _, value in TOLD]
    box, world = Box(failures), case(values)
    sent = {f"labels/0@{at}" for at in range(len(values))}

    def of_labels(name: str) -> bool:
        if name.startswith("parts/labels/"):
            assert not box.waiting, "a part went before its letters"
            assert {m.key.decode() for m in box.acknowledged} == sent
        return name.startswith("parts/labels/")

    store = dying(MemoryStore(), of_labels)
    with pytest.raises(Died):
        loop_of(world, store, box).run()
    box.waiting, before = [], len(box.acknowledged)
    assert loop_of(world, store, box).run()
    again = {m.key.decode() for m in box.acknowledged[before:]}
    assert again == sent, "at least once: what no part has passed is told again"
    plain = MemoryStore()
    assert loop_of(world, plain, None).run()
    assert outcome(store) == outcome(plain), "letters change no shard"
    bytes_of = [n for n in plain.list("parts/labels/") if plain.get(n) != store.get(n)]
    assert list(plain.list("parts/labels/")) and not bytes_of


def test_the_breaker_hears_utterances_alone() -> None:
    """Bad answers stop no utterance, and good ones do not hide that utterances are refused."""
    bad = [b"{"] * 150
    for answers, spoiled, held in ((bad, False, False), ([GOOD] * 150, True, True)):
        world = case([*answers])
        if spoiled:
            world.records[U].extend([(8 * PERIOD_MS + 900, b"{")] * 60)
        loop = loop_of(world, MemoryStore(), Box(), kind=Live)
        loop.brakes.breaker = Breaker(0.5, 40)
        for _ in range(200):
            loop.turn()
        assert loop.brakes.held() is held
        loop._pipeline.close()


def test_the_edition_of_the_window_says_what_an_answer_is() -> None:
    """Of the pin, where there is one: a later edition maps other fields and refuses these."""
    moved = small_policy(answer=msgspec.structs.replace(small_policy().answer, label="truth"))
    world = case([GOOD] * 4)
    world.records[LABELS].extend((6 * PERIOD_MS + at, GOOD) for at in range(3))
    editions = (*world.editions, Edition(moved, first_window=6, seed=1))
    box, store = Box(), MemoryStore()
    both = Case(world.records, world.kinds, world.stream, editions)
    assert loop_of(both, store, box).run()
    told = [dict(m.headers) for m in box.acknowledged]
    assert [h["sluice.position"] for h in told] == [b"4", b"5", b"6"]
    assert {(h["sluice.edition"], h["sluice.reason"]) for h in told} == {(b"1", b"no_label")}
    assert [shards(store)[w].labelled.refused for w in (5, 6)] == [0, 3]


def test_a_pin_decides_though_another_edition_was_published_since() -> None:
    world, store = case([GOOD]), MemoryStore()
    loop = loop_of(world, store, None)
    assert loop.run()
    validator = Validator(loop.registry, loop.engines)
    progress = loop.registry.progress
    assert progress is not None
    pinned = max(progress.pins)
    moved = small_policy(answer=msgspec.structs.replace(small_policy().answer, label="truth"))
    publish_table(loop.registry, moved, first_window=1, seed=3)
    here, after = validator.decides(pinned), validator.decides(pinned + 1)
    assert here is not None and after is not None and (here.number, after.number) == (0, 1)


def test_what_a_part_does_not_keep_is_refused_whatever_the_policy_lets_through() -> None:
    """A part keeps no answer beyond its own bound, so no shard can read one."""
    large = GOOD[:-1] + b" " * MOST_BYTES + b"}"
    limits = msgspec.structs.replace(small_policy().limits, value_bytes=1 << 20)
    world, box = case([GOOD, large]), Box()
    wide = Case(
        world.records, world.kinds, world.stream, (Edition(small_policy(limits=limits)),)
    )  # fmt: skip
    store = MemoryStore()
    assert loop_of(wide, store, box).run()
    told = [(m.key, dict(m.headers)["sluice.reason"]) for m in box.acknowledged]
    assert told == [(b"labels/0@1", b"value_too_large")]
    assert shards(store)[5].labelled.refused == 1
