"""What `why` says of accepted records that a shard does not show, and rows that no chance took."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from daemon.derived.history import History
from daemon.derived.rolling import roll
from daemon.derived.why import REPEATS, Fate, why
from daemon.policy import Arms, Kind, Quarantine
from daemon.ports import LaneId, Store
from daemon.registry.registry import Registry
from daemon.running.engines import Engines
from tests.cases import Case, Edition, Schedule
from tests.erasing import ASKED, ask
from tests.selection import WAITS, labelled, lane_split, run, shard_rows
from tests.streams import CLASSES, KEY, Record, say, small_policy
from tests.unit.test_agreement import policy as agreeing
from tests.unit.test_agreement import stream
from tests.worlds import play, shards

SOUND = Quarantine(assumed_rate=0.0)
FEW = Arms(audit_rows=1, random_rows=1, review_rows=6)


def history(store: Store) -> History:
    return History(Registry(store), Engines(store, KEY, threads=1))


def fate(store: Store, number: int, window: int = 5) -> Fate:
    return next(f for f in why(history(store), f"u{number}", KEY) if f.window == window)


def test_a_repeat_of_a_text_that_was_put_aside() -> None:
    """Two labels of one text, each said twice: the repeat of the loser was not kept either."""
    texts = [say(n, f"say {n}", CLASSES[n % 4]) for n in range(8)]
    said = [say(10 + n, "the same", f"unknown {n // 2}") for n in range(4)]
    policy = small_policy(capacity_rows=40, quarantine=SOUND, arms=FEW)
    store = run(lane_split(texts + said, 1), policy)
    told = {n: fate(store, n) for n in range(10, 14)}
    assert sorted(told[n].verdict for n in (10, 12)) == ["kept", "review"]
    for first, again in ((10, 11), (12, 13)):
        assert told[again].verdict == "repeated"
        aside = told[first].verdict == "review"
        assert ("put aside for review" in told[again].detail) == aside
        assert ("was kept" in told[again].detail) == (not aside)


def test_a_row_that_lost_to_another_label_and_would_have_had_no_place() -> None:
    """It is not in review; below the threshold that its place's heir left, no rank explains it."""
    policy = small_policy(capacity_rows=12, pool_rows=100, quarantine=SOUND, arms=FEW)
    names = [*CLASSES, "music", "music", "music"]
    values = [say(n, f"say {n * 7 % 25}", names[n * n % 7]) for n in range(150)]
    store = run(lane_split(values, 2), policy)
    told = [fate(store, n) for n in range(150)]
    lost = [f for f in told if f.detail == "another label of the same text is likelier"]
    assert lost and {f.verdict for f in lost} == {"evicted"}
    assert not any("to which a late label" in f.detail for f in told), "there was none"
    assert all("tau_log" not in f.facts for f in lost)


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_repeat_of_a_text_whose_row_was_erased(lanes: int) -> None:
    values = [say(n, f"say {n}", CLASSES[n % 4]) for n in range(8)]
    values += [say(10 + n, "the same", "music") for n in range(2)]
    records: dict[LaneId, list[Record]] = lane_split(values, lanes)
    for lane, later in lane_split(labelled(60)[20:], lanes, 8).items():
        records[lane] += later
    policy = small_policy(capacity_rows=40, quarantine=SOUND, arms=FEW)
    kinds = dict.fromkeys(records, "utterances")
    asked = {ASKED: [ask(7, id="u10")]}
    case = Case(records | asked, kinds | {ASKED: "erasures"}, WAITS, (Edition(policy),))
    store = play(case, Schedule())
    assert fate(store, 10).verdict == "erased"
    told = fate(store, 11)
    assert told.verdict == "repeated" and "was erased" in told.detail


def newest(**changes: Any) -> Store:
    policy = small_policy(
        reservoir=Kind("newest"), select=Kind("uniform"), quarantine=SOUND, capacity_rows=12
    )
    policy = msgspec.structs.replace(policy, **changes)
    return run(lane_split(labelled(60), 2), policy)


def test_of_the_newest_no_row_has_a_chance() -> None:
    """No draw took them: neither in a shard nor in the roll of several."""
    rows = shard_rows(newest(identity="id"))
    kept = [row for row in rows if "selected" in row["arms"]]
    assert len(kept) == 12 and len(rows) > 12
    for row in rows:
        could = row["weight"] > 0
        assert row["tau"] is None and row["inclusion_selected"] is None
        assert row["inclusion_probability"] is None or not could
        assert all(row[f"inclusion_{arm}"] for arm in row["arms"] if arm != "selected")
    made = roll(history(newest()), 5).rows
    assert made["id"] and set(made["inclusion_selected"]) == set(made["tau"]) == {None}
    assert set(made["inclusion_probability"]) == {None}


def test_who_is_not_among_the_newest_hears_of_newer_ones() -> None:
    store = newest()
    seen = [fate(store, n) for n in range(60)]
    gone = [one for one in seen if one.verdict == "evicted"]
    assert gone and not any(one.verdict == "repeated" for one in seen)
    assert {one.detail for one in gone} == {"newer records took its place"}
    assert all("log_rank" not in one.facts and "tau_log" not in one.facts for one in gone)
    assert all("inclusion_probability" not in one.facts for one in seen if one.verdict == "kept")


def test_a_roll_has_no_chances_where_one_of_its_windows_took_the_newest() -> None:
    """Its texts could have come in through that window, and nobody knows with which chance."""
    drawing = small_policy(select=Kind("uniform"), quarantine=SOUND, capacity_rows=12)
    first = msgspec.structs.replace(drawing, reservoir=Kind("newest"))
    records = lane_split(labelled(60), 1)
    for lane, later in lane_split(labelled(60), 1, 6).items():
        records[lane] += later
    editions = (Edition(first), Edition(drawing, first_window=6))
    case = Case(records, dict.fromkeys(records, "utterances"), WAITS, editions)
    made = roll(history(play(case, Schedule())), 6)
    assert made.windows == (5, 6) and 6 in made.rows["window"]
    assert set(made.rows["inclusion_selected"]) == set(made.rows["tau"]) == {None}


def test_a_doubted_text_that_its_repeats_brought_back() -> None:
    """The first of its records is shown and kept; to the others it is the same text."""
    store = run(lane_split(stream(1, copied=False), 2), agreeing())
    rows = {row["id"]: row for row in shard_rows(store)}
    told: dict[str, set[str]] = {}
    for made in stream(1, copied=False):
        read = msgspec.json.decode(made)
        one = why(history(store), read["id"], KEY)[0]
        assert "late_label" not in one.facts
        if one.detail.endswith(REPEATS):
            told.setdefault(one.verdict, set()).add(f"{read['text']} {read['label']}")
            assert (read["id"] in rows) == (one.verdict == "kept")
    assert set(told) == {"kept", "repeated"} and told["repeated"] <= told["kept"]
    assert 0 < len(told["kept"]) <= shards(store)[5].agreed.back
