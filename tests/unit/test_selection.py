"""From records to the rows of a shard: laws 2, 5 and 8, against brute force and other lanes."""

from __future__ import annotations

import msgspec
import pytest

from buffers import draw
from daemon.policy import Arms, Groups, Kind, Quarantine
from daemon.ports import LaneId
from scoring.types import CODES, GRID, Reason
from tests.cases import LABELS
from tests.selection import (
    LAST,
    brute_force,
    labelled,
    lane_split,
    ledger_rows,
    losers,
    run,
    selected,
    shard_rows,
)
from tests.streams import CLASSES, PERIOD_MS, Record, say, small_policy
from tests.worlds import shards


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("identity", ["id", "text"])
def test_a_shard_is_the_brute_force_selection_of_its_window(lanes: int, identity: str) -> None:
    """Law 2; taus are of all that was turned away, which kept rows alone cannot tell."""
    policy = small_policy(identity=identity, capacity_rows=16, pool_rows=200)
    texts = 25 if identity == "text" else 10_000
    store = run(lane_split(labelled(150, texts), lanes), policy)
    manifest = shards(store)[5]
    rows = ledger_rows(store, 5)
    lost = losers(rows, store) if identity == "text" else frozenset()
    expected = brute_force(rows, store, 16, lost)
    assert len(expected["kept"]) == 16 and not manifest.cold
    found = sorted(
        (round(row["log_rank"] * draw.RANK_UNIT), row["multiplicity"]) for row in selected(store)
    )
    assert found == sorted(expected["kept"].values())
    assert (manifest.contradictions > 0) == (identity == "text")
    assert {k: v for k, v in manifest.taus.items() if ":" not in k} == expected["taus"]


def answers(count: int) -> list[Record]:
    """Late labels for every third utterance, in the window after it."""
    values = ({"id": f"u{n}", "label": CLASSES[n * 5 % 4]} for n in range(0, count, 3))
    return [(6 * PERIOD_MS + at, msgspec.json.encode(v)) for at, v in enumerate(values)]


@pytest.mark.parametrize("late", [False, True])
def test_the_number_of_lanes_changes_nothing_but_where_rows_stand(late: bool) -> None:
    """A9: labels on what lanes kept lost a fifth of the rows; pools and one merge lose none."""
    policy = small_policy(identity="id", pool_rows=40, arms=Arms(9, 9, 9))
    seen = []
    for lanes in (1, 3, 12):
        records = lane_split(labelled(150), lanes)
        if late:
            records[LABELS] = answers(150)
        store = run(records, policy)
        rows = [{k: v for k, v in row.items() if k not in {"lane", "position"}} for row in
                shard_rows(store)]  # fmt: skip
        manifest = shards(store)[5]
        assert (manifest.labelled.late > 0) == late
        seen.append((sorted(rows, key=lambda row: row["id"]), manifest.taus, manifest.calibration))
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("lanes", [2, 5])
def test_equal_ranks_are_ordered_by_identity_and_not_by_position(
    lanes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By position, multiplicities were wrong in 2,405 of 20,000 worlds with ties."""
    real = draw.log_rank
    monkeypatch.setattr(draw, "log_rank", lambda d, w: real(d, w) >> 41 << 41)
    policy = small_policy(identity="text", select=Kind("uniform"))
    kept = []
    for values in (labelled(120, 40), labelled(120, 40)[::-1]):
        for count in (1, lanes):
            rows = selected(run(lane_split(values, count), policy))
            kept.append(sorted((r["text"], r["group"], r["multiplicity"]) for r in rows))
    assert kept[0] == kept[1] == kept[2] == kept[3]
    assert sum(count for _, _, count in kept[0]) > len(kept[0])


def test_of_contradicting_labels_the_most_plausible_stays() -> None:
    values = [say(n, f"say {n // 4}", CLASSES[n % 4]) for n in range(32)]
    policy = small_policy(capacity_rows=40, quarantine=Quarantine(assumed_rate=0.0))
    store = run(lane_split(values, 2), policy)
    rows, manifest = shard_rows(store), shards(store)[5]
    taken = {row["text"]: row["plausibility"] for row in rows if "selected" in row["arms"]}
    assert manifest.contradictions == 24 and len(taken) == 8
    for row in rows:
        if "selected" not in row["arms"] and "review" in row["arms"]:
            assert row["plausibility"] <= taken[row["text"]]
    assert manifest.arms["selected"] == 8 and manifest.arms["review"] >= 24


def test_one_text_under_two_unknown_names_is_two_rows_of_other() -> None:
    """They share a group and not a key, or the weight would depend on who came first."""
    values = [say(n, "the same", f"unknown {n % 2}") for n in range(10)]
    store = run(lane_split(values, 2), small_policy(quarantine=Quarantine(assumed_rate=0.0)))
    rows, manifest = shard_rows(store), shards(store)[5]
    assert manifest.contradictions == 1
    arms = [row["arms"] for row in rows if {"selected", "review"} & set(row["arms"])]
    assert sorted("selected" in arm for arm in arms) == [False, True]
    assert [row["multiplicity"] for row in rows if "selected" in row["arms"]] == [5]
    assert {row["group"] for row in rows} == {"(other)"}


def test_suspects_go_to_review_and_not_to_training() -> None:
    policy = small_policy(quarantine=Quarantine(assumed_rate=0.3, margin=1.0), capacity_rows=60)
    records = lane_split(labelled(100), 2)
    for lane, rows_of_9 in lane_split(labelled(100), 2, LAST).items():
        records[lane] += rows_of_9
    store = run(records, policy)
    manifest, rows = shards(store)[LAST], shard_rows(store, LAST)
    assert manifest.suspect_below is not None and manifest.calibration_used == 5
    suspects = [r for r in ledger_rows(store, LAST) if r["reason"] == CODES[Reason.SUSPECT]]
    assert manifest.counts["suspect"] == len(suspects) > 5
    assert all(0 <= r["plausibility"] < manifest.suspect_below for r in suspects)
    judged = [r for r in rows if r["plausibility"] is not None]
    below = [r for r in judged if r["plausibility"] * GRID < manifest.suspect_below]
    assert below and all("selected" not in row["arms"] for row in below)
    assert sum("review" in row["arms"] for row in below) == min(6, len(suspects))


def test_the_audit_has_a_draw_of_its_own() -> None:
    """With the selection's draw 0 or all of the audit rows are selected too (B3)."""
    policy = small_policy(
        identity="id", capacity_rows=60, arms=Arms(60, 60, 0), select=Kind("uniform"),
        reservoir=Kind("uniform"), quarantine=Quarantine(assumed_rate=0.0),
    )  # fmt: skip
    store = run(lane_split(labelled(600), 2), policy)
    arms = [set(row["arms"]) for row in shard_rows(store)]
    for pair in ({"selected", "audit"}, {"selected", "random"}, {"audit", "random"}):
        assert 0 < sum(pair <= arm for arm in arms) < 20, "about 60 of 600, ten by chance"


def test_audit_and_random_rows_are_drawn_by_utterance_and_not_by_text() -> None:
    """A head text would be audited always or never, and the rate would have no precision."""
    calm = Quarantine(assumed_rate=0.0)
    groups = Groups(by=("label", "argmax"))
    policy = small_policy(arms=Arms(40, 40, 6), groups=groups, quarantine=calm)
    store = run(lane_split([say(n, "always the same", "music") for n in range(200)], 2), policy)
    rows = shard_rows(store)
    assert sum("audit" in row["arms"] for row in rows) == 40
    assert sum("selected" in row["arms"] for row in rows) == 1
    assert next(row for row in rows if "selected" in row["arms"])["multiplicity"] == 200


def test_late_claims_and_refusals_are_counted_once() -> None:
    values = [say(n, f"say {n}", "music") for n in range(20)]
    records = lane_split(values, 1)
    records[LaneId("u", 0)] += [(1, values[0]), (5_999, b"{"), (5_999, None)]
    counts = shards(run(records, small_policy()))[5].counts
    assert (counts["records"], counts["late"]) == (23, 1)
    assert (counts["not_json"], counts["empty_value"]) == (1, 1)
