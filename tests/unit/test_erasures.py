"""Erasures take rows away, and nothing else (law 8)."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buffers import draw
from daemon.decode.erasure import NOBODY, Erasure, ErasureDecoder
from daemon.decode.utterance import pseudonym
from daemon.derived import ranges, rolling, verify
from daemon.derived.history import History
from daemon.derived.why import why
from daemon.policy import Quarantine
from daemon.ports import LaneId, Store
from daemon.registry import versions
from daemon.registry.registry import Registry
from daemon.running.engines import Engines
from daemon.running.pinning import Pinning
from daemon.running.settle import Settler
from daemon.shards import erasures, shard
from daemon.shards.assemble import Inputs, assemble
from daemon.shards.erasures import Erasures
from tests.cases import Case, Edition, Schedule
from tests.erasing import (
    ASKED,
    FIRST,
    ask,
    case_of,
    contents,
    copied,
    newest,
    policy,
    readable,
    text_of,
    traffic,
    versions_of,
)
from tests.selection import WAITS
from tests.streams import CLASSES, KEY, ListSource, say
from tests.worlds import play, shards

DECODER = ErasureDecoder(KEY)


def identity(name: str) -> tuple[int, int]:
    high, low = draw.identity(KEY, "id", [name])[0].tolist()
    return high, low


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "empty_value"), (b"{", "not_json"), (b"[]", "not_an_object"), (b"{}", "no_id"),
        (b'{"id": null}', "no_id"), (b'{"id": ""}', "bad_id"), (b'{"id": [1]}', "bad_id"),
        (b'{"user": true}', "bad_id"), (b'{"id": "a", "user": "b"}', "bad_id"),
        (b'{"id": "\\ud800"}', "bad_id"), (b"\xff", "not_utf8"), (b"[" * 99, "too_deep"),
        (b'{"id": "' + b"a" * 70_000 + b'"}', "value_too_large"),
    ],
)  # fmt: skip
def test_what_names_nobody_says_why(value: bytes, reason: str) -> None:
    assert DECODER.decode([value]) == [Erasure(reason=reason)]


def test_ids_and_users_are_hashed_as_those_of_records_are() -> None:
    values = [b'{"id": "u1"}', b'{"user": 7, "why": "asked"}', b"{}", b'{"id": 12, "user": null}']
    assert DECODER.decode(values) == [
        Erasure(id=identity("u1")), Erasure(user=pseudonym(KEY)("7")),
        Erasure(reason="no_id"), Erasure(id=identity("12")),
    ]  # fmt: skip
    assert NOBODY == (0, 0) and DECODER.decode([]) == []


def history(store: Store) -> History:
    return History(Registry(store), Engines(store, KEY, threads=1))


@pytest.fixture(scope="module")
def plain() -> Store:
    """Nothing was asked."""
    return play(case_of(), Schedule())


@pytest.fixture(
    scope="module", params=[{}, {"epoch": "window", "rolling": None}], ids=["constant", "window"]
)
def inputs(request: pytest.FixtureRequest) -> Inputs:
    """Under both epochs: one of them teaches which texts were emitted."""
    looked = history(play(case_of(**request.param), Schedule()))
    return looked.inputs(looked.registry.manifest(FIRST))


WHO = st.builds(
    lambda ids, users: Erasures(
        frozenset(identity(f"u{100 * FIRST + n}") for n in ids),
        frozenset(pseudonym(KEY)(f"p{n}") for n in users),
    ),
    st.sets(st.integers(0, 15), max_size=6),
    st.sets(st.integers(0, 6), max_size=2),
)


def both(one: Erasures, other: Erasures) -> Erasures:
    return Erasures(one.ids | other.ids, one.users | other.users)


@settings(max_examples=20, deadline=None)
@given(whom=WHO)
def test_other_rows_stay_as_they_are(inputs: Inputs, whom: Erasures) -> None:
    """No row moves up, no probability, tau or count of traffic changes, nothing else is taught."""
    before = assemble(inputs)
    after = assemble(dataclasses.replace(inputs, erasures=whom))
    gone = erasures.named_rows(before.rows, whom, KEY)
    assert after.rows == erasures.remaining(before.rows, gone)
    assert after.manifest.revision.removed == len(gone)
    for name in ("taus", "calibration", "counts", "traffic", "contradictions", "labelled"):
        assert getattr(after.manifest, name) == getattr(before.manifest, name)


@settings(max_examples=20, deadline=None)
@given(one=WHO, other=WHO)
def test_erasures_commute_and_may_come_one_by_one(
    inputs: Inputs, one: Erasures, other: Erasures
) -> None:
    whole, step = assemble(inputs), {"parts": (), "key": KEY}

    def after(*order: Erasures) -> Any:
        made = whole
        for number, whom in enumerate(order):
            gone = erasures.named_rows(made.rows, whom, KEY)
            made = erasures.succeed(made.manifest, made.rows, gone, whom, step=number, **step)
        bare = [part for _, part in inputs.parts]
        for number, whom in enumerate(order):
            bare = [erasures.blanked(part, whom, number) or part for part in bare]
        return made.rows, made.manifest.rows_digest, [part.rows for part in bare]

    assert after(one, other) == after(other, one)
    assert after(both(one, other))[0] == after(one, other)[0]
    assert after(both(one, other))[2] == after(one, other)[2]


@settings(max_examples=20, deadline=None)
@given(one=WHO, other=WHO)
def test_the_selection_is_made_again_from_bare_parts(
    inputs: Inputs, one: Erasures, other: Erasures
) -> None:
    """Keyed hashes, ranks and labels stay: verify selects, then removes."""
    bare = [(name, erasures.blanked(part, other, 9) or part) for name, part in inputs.parts]
    straight = assemble(dataclasses.replace(inputs, erasures=both(one, other)))
    again = assemble(dataclasses.replace(inputs, erasures=one, parts=bare))
    assert again.rows == straight.rows
    assert again.manifest.calibration == straight.manifest.calibration


def test_whether_it_is_asked_in_time_or_later_the_same_rows_are_left(plain: Store) -> None:
    early = play(case_of(*[ask(5, id=f"u{n}") for n in range(500, 507)]), Schedule())
    late = play(case_of(*[ask(7, id=f"u{n}") for n in range(500, 507)]), Schedule())
    assert newest(early, 5) == newest(late, 5)
    assert versions.numbers(early, 5) == [1] and versions.numbers(late, 5) == [1, 2]
    gone = {f"u{n}" for n in range(500, 507)}
    assert newest(early, 5) == [row for row in newest(plain, 5) if row["id"] not in gone]
    assert len(newest(early, 5)) < len(newest(plain, 5))


@pytest.fixture(scope="module")
def asked() -> Store:
    """Two ids in time, a user and more ids later, and rubbish; some twice."""
    return play(case_of(*asked_records()[ASKED]), Schedule())


def test_no_object_of_the_store_holds_the_text_any_more(asked: Store, plain: Store) -> None:
    gone = [n for n in range(500, 514) if n in (500, 501, 502, 503) or n % 5 == 3]
    gone += [n for n in range(600, 714) if n % 5 == 3 and n % 100 < 14]
    kept_before = {name for name, said in readable(plain) for n in gone if text_of(n) in said}
    assert {name.split("/")[0] for name in kept_before} == {"parts", "shards"}, "so this can fail"
    for name, said in readable(asked):
        for n in gone:
            assert text_of(n) not in said, name
            assert f'"u{n}"' not in said, name
    kept = [n for n in range(500, 514) if n not in gone]
    held = "".join(said for name, said in readable(asked) if name.startswith("parts/"))
    assert all(text_of(n) in held for n in kept)


def test_old_names_hold_stubs_that_lead_to_the_newest_version(asked: Store) -> None:
    assert versions.numbers(asked, 5) == [1, 2, 3]
    rows = versions_of(asked)
    names = []
    for number in (1, 2, 3):
        manifest = versions.manifest(asked, 5, number)
        names.append(shard.manifest_name(5, number))
        assert manifest.revision.number == number
        left = len(rows[5, number]["id"])
        assert left == (manifest.rows if number == 3 else 0)
        assert list(rows[5, number]) == list(rows[5, 3]), "the columns of a stub are those of rows"
        following = shard.manifest_name(5, number + 1) if number < 3 else ""
        assert manifest.successor == following
    assert names[2].startswith("shards/000000000005.v3/")
    first, second, third = (versions.manifest(asked, 5, n) for n in (1, 2, 3))
    assert first.rows - second.revision.removed == second.rows
    assert second.rows - third.revision.removed == third.rows
    assert third.revision.supersedes == second.rows_digest
    assert third.calibration == first.calibration and third.taus == first.taus


def test_counts_and_receipts_say_what_was_taken(asked: Store) -> None:
    receipts = {name: msgspec.json.decode(asked.get(name)) for name in asked.list("erased/")}
    assert [r["shard"] for r in receipts.values()] == list(shards(asked))
    said = {(w, n): taken for r in receipts.values() for w, n, taken in r["versions"]}
    assert said == {
        (w, n): versions.manifest(asked, w, n).revision.removed
        for w, n in versions_of(asked)
        if n > 1
    }
    assert max(r["refused"] for r in receipts.values()) == 1
    first = shards(asked)[5]
    assert (first.revision.records, first.revision.removed > 0) == (2, True)
    # only hashes are kept of what was asked
    held = b"".join(asked.get(name) for name in asked.list("parts/asked/"))
    assert b"u500" not in held and b'"p3"' not in held


def test_every_grade_of_verify_still_holds_and_says_what_differs(asked: Store) -> None:
    looked, case = history(asked), case_of()
    log = {**traffic(), **asked_records()}
    for window in shards(asked):
        manifest = versions.newest(looked.registry, window)
        source = ListSource(log, {**case.kinds, ASKED: "erasures"})
        for finding in (
            verify.verify_manifest(looked, manifest),
            verify.verify_ledger(looked, manifest),
            verify.verify_log(looked, manifest, ranges.of(source)),
        ):
            assert finding.identical, (window, finding)
        assert "as erased" in verify.verify_ledger(looked, manifest).detail


def asked_records() -> dict[LaneId, Any]:
    return {
        ASKED: [
            ask(5, id="u500"), ask(5, id="u503"), ask(7, user="p3"), ask(7, id="u501"),
            ask(8, id="u502"), ask(8, id="u503"), ask(8, foo=1), (8_900, None),
        ]
    }  # fmt: skip


def test_who_makes_a_shard_late_from_bare_parts_is_no_bug_and_leaves_nothing(asked: Store) -> None:
    """It read parts that erasures of later shards have been at: its rows are those of a version."""
    store = copied(asked)
    looked, first = history(store), shards(store)[5]
    late = assemble(looked.inputs(first))
    assert late.manifest.rows_digest != first.rows_digest, "so this can fail"
    settler = Settler(looked.registry, Pinning(looked.registry, looked.engines), looked.engines)
    assert settler._publish(late) == first
    assert contents(store) == contents(asked)


def test_why_says_erased(asked: Store) -> None:
    looked = history(asked)
    assert [fate.verdict for fate in why(looked, "u500", KEY)] == ["erased"]
    assert [fate.verdict for fate in why(looked, "u502", KEY)] == ["erased"]
    assert "erased" not in [fate.verdict for fate in why(looked, "u504", KEY)]


def test_what_is_rolled_lacks_them_and_what_was_rolled_is_emptied() -> None:
    early = play(case_of(ask(5, id="u500")), Schedule())
    before = rolling.roll(history(early), 7)
    late = play(case_of(*(ask(8, id=name) for name in before.rows["id"][:3])), Schedule())
    after = rolling.roll(history(late), 7)
    assert "u500" not in before.rows["id"]
    assert set(before.rows["id"][3:]) <= set(after.rows["id"])
    assert not set(before.rows["id"][:3]) & set(after.rows["id"])


def test_in_text_mode_a_row_goes_with_its_speaker_and_with_nobody_else() -> None:
    """Others said the same; whose record is shown is whose row it is."""
    values = [say(n, f"shared {n % 3}", CLASSES[n % 3], user=f"p{n}") for n in range(12)]
    records = {LaneId("u", 0): [(5_000 + n, value) for n, value in enumerate(values)]}
    records[LaneId("u", 0)].append((9_000, say(99, "later", CLASSES[0])))
    kinds = {LaneId("u", 0): "utterances", ASKED: "erasures"}

    def left(*ids: int) -> list[tuple[str, int]]:
        asked = {ASKED: [ask(5, id=f"u{n}") for n in ids]}
        by_text = policy(identity="text", quarantine=Quarantine(assumed_rate=0.0))
        case = Case({**records, **asked}, kinds, WAITS, (Edition(by_text),))
        rows = newest(play(case, Schedule()), 5)
        return sorted((r["text"], r["multiplicity"]) for r in rows if "selected" in r["arms"])

    whole = left()
    assert whole == [("shared 0", 4), ("shared 1", 4), ("shared 2", 4)]
    assert left(3, 6) == whole, "not shown: the row is another's"
    assert left(1) == [("shared 0", 4), ("shared 2", 4)]
