"""Scores by tables over the classes: shares of the pinned calibration, trails of the edition."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from daemon.lanes.pin import FIRST
from daemon.learning.calibration import SCALE, Calibration, Traffic
from daemon.learning.edition import Edition
from daemon.learning.rules import make
from daemon.learning.supplied import BIT, Supplied
from daemon.policy import Groups, Kind, Quarantine
from daemon.registry.halves import Sample, _trails, reading
from scoring.supplies import Tags, shares
from tests.cases import LABELS
from tests.selection import LAST, labelled, lane_split, run, selected
from tests.streams import CLASSES, KEY, PERIOD_MS, small_policy

PVI = small_policy(
    identity="id",
    scores=(Kind("entropy"), Kind("pvi")),
    select=Kind("weighted", {"score": "pvi"}),
    capacity_rows=200,
    pool_rows=200,
    quarantine=Quarantine(assumed_rate=0.0),
    groups=Groups(by=("label", "argmax"), limit=9),
)


def test_shares_are_those_of_the_traffic_with_one_more_of_each() -> None:
    edition = Edition(0, "c", CLASSES, PVI, None, 0)
    traffic = Traffic({"alarm": 3 * SCALE, "music": SCALE, "of nobody": 90 * SCALE})
    rules = make(5, edition, Calibration(4, traffic), KEY)
    expected = np.array([4, 1, 2, 1], np.float32) / np.float32(8)
    assert shares(rules.terms.classes).tolist() == expected.tolist()
    cold = make(5, edition, Calibration(FIRST), KEY)
    assert shares(cold.terms.classes).tolist() == [0.25] * 4, "nothing known: all alike"
    assert shares([1, 2, 4]).sum() == pytest.approx(1)


def test_pvi_follows_the_pinned_calibration_and_no_other() -> None:
    """The first windows know no shares; those behind the lag know what the first ones taught."""
    values = [*labelled(60)]
    records = lane_split(values, 1)
    (lane,) = records
    rows = [
        (window * PERIOD_MS + at, value)
        for window in range(5, 11)
        for at, (_, value) in enumerate(records[lane])
    ]
    store = run({lane: rows}, PVI)
    found = {window: selected(store, window) for window in range(5, 11)}
    by_window = {w: {row["id"]: row["score_pvi"] for row in rows} for w, rows in found.items()}
    assert by_window[5] == by_window[7] == by_window[8], "nothing was learnt yet"
    assert by_window[LAST] != by_window[8], "calibration 5 decides this window"
    label = {row["id"]: row["label"] for row in found[8]}
    moved = {
        (label[name], by_window[LAST][name] - score)
        for name, score in by_window[8].items()
        if score < 7.9 and by_window[LAST][name] < 7.9
    }
    # one number per class: log2 of its share against 1/4, a quarter of that on the grid
    for name in set(label.values()):
        steps = [step for given, step in moved if given == name]
        assert steps and max(steps) - min(steps) <= 2 / 4096


def test_a_late_label_is_scored_by_the_same_tables() -> None:
    said = {n: CLASSES[n * 5 % 4] for n in range(60)}
    sooner = run(lane_split(labelled(60), 2), PVI)
    in_time = {row["id"]: (row["label"], row["score_pvi"]) for row in selected(sooner)}
    bare = [msgspec.json.encode({**msgspec.json.decode(v), "label": None}) for v in labelled(60)]
    records = lane_split(bare, 2)
    labels = {name: label for name, (label, _) in in_time.items()}
    records[LABELS] = [
        (6 * PERIOD_MS + at, msgspec.json.encode({"id": name, "label": label}))
        for at, (name, label) in enumerate(labels.items())
    ]
    later = {row["id"]: (row["label"], row["score_pvi"]) for row in selected(run(records, PVI))}
    assert set(later) == set(in_time) and len(said) >= len(later) > 30
    for name, (label, score) in in_time.items():
        assert later[name][0] == label
        if score < 5:  # p of 2^-6 or more: kept in 1/65535 it is the same within some steps
            assert later[name][1] == pytest.approx(score, abs=4 / 4096)


def test_trails_of_a_sample_in_fixed_point() -> None:
    texts = ["play jazz", "play rock", "play jazz", "play jazz", "light on", "light on", "x y"]
    tags: list[Tags | None] = [("O", "B-genre")] * 4 + [("O", "O")] * 2 + [None]
    labels: list[str | None] = ["music"] * 4 + ["lights"] * 2 + ["music"]
    rows = reading(Sample(texts, labels, tags), PVI)
    thirds = 0.75 * math.log2(4 / 3) + 0.25 * 2
    expected = [0, 0, round(thirds * BIT), 0]
    assert list(_trails(rows, CLASSES)) == pytest.approx(expected, abs=1)
    bits = Supplied(trails=_trails(rows, CLASSES)).trail_bits
    assert bits is not None and bits.dtype == np.float32
    assert bits[2] == pytest.approx(thirds, abs=2 / BIT)
    assert _trails(reading(Sample(texts, labels), PVI), CLASSES) == ()


def test_tags_of_a_text_that_normalising_cuts_otherwise_are_left_out() -> None:
    policy = small_policy(identity="text")
    rows = reading(Sample(["a\u00a0b", "\ufdfa"], [None, None], [("O", "O"), ("O",)]), policy)
    assert rows.tags == [("O", "O"), None], "one sign became four words"
