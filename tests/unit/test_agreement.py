"""Repeats of a text speak for its labels, where they were made apart (daemon/shards/agreement.py).

Held in the stream and in memory alike: what a doubted label that is said again and again comes
back as, which of two labels is believed, and that copies of a mistake persuade nobody.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.offline import selection as offline
from daemon.policy import Groups, Quarantine
from daemon.ports import LaneId, Store
from daemon.shards import agreement
from daemon.shards.agreement import ALONE, MINIMUM, Standing, agree, contradictions, log_odds
from scoring.types import GRID
from tests import selection
from tests.cases import LABELS
from tests.selection import lane_split, shard_rows
from tests.streams import CLASSES, PERIOD_MS, Record, say, small_policy
from tests.unit.test_offline_selection import candidates, engine_of, shown, told
from tests.worlds import shards

RATE = 0.1
STEPS = round(GRID * RATE)


def one(text: int, label: str, said: int, plausibility: int = GRID // 2) -> Standing:
    return Standing((text, 0), ord(label), plausibility, said)


def annotated(rng: random.Random, texts: int, *, copied: bool) -> list[Standing]:
    """Texts that were labelled two to six times, a tenth wrongly: each time anew, or for good."""
    made = []
    for text in range(texts):
        labels: dict[str, int] = {}
        mistake = rng.random() < RATE
        for _ in range(rng.randint(2, 6)):
            mistake = mistake if copied else rng.random() < RATE
            label = rng.choice("bcd") if mistake and not copied else "b" if mistake else "a"
            labels[label] = labels.get(label, 0) + 1
        made += [one(text, label, said) for label, said in labels.items()]
    return made


@pytest.mark.parametrize("seed", range(10))
def test_mistakes_that_are_made_apart_are_told_from_copied_ones(seed: int) -> None:
    rng = random.Random(seed)
    assert agree(annotated(rng, 400, copied=False), STEPS).gain == log_odds(GRID - STEPS) > 0
    assert agree(annotated(rng, 400, copied=True), STEPS).gain == 0


def test_few_texts_and_an_unknown_rate_say_nothing() -> None:
    apart = [one(text, label, 1) for text in range(MINIMUM) for label in "ab"]
    assert agree(apart, STEPS).gain > 0
    assert agree(apart[2:], STEPS).gain == agree(apart, 0).gain == 0
    assert agree([one(text, "a", 1) for text in range(900)], STEPS).texts == 0, "said once"


@given(st.randoms(use_true_random=False), st.integers(0, GRID // 2))
def test_neither_order_nor_which_rows_hold_the_labels_matters(
    rng: random.Random, noise: int
) -> None:
    whole = annotated(rng, 60, copied=False)
    parts = [
        each
        for stands in whole
        for each in (
            [stands]
            if stands.said == 1
            else [stands._replace(said=1), stands._replace(said=stands.said - 1)]
        )
    ]
    rng.shuffle(parts)
    once, again = agree(whole, noise), agree(parts, noise)
    assert (once.gain, once.counts, once.told(3)) == (again.gain, again.counts, again.told(3))
    for limit in (GRID // 3, GRID // 2 + 1, GRID):
        cleared = {(s.text, s.label) for s in whole if once.clears(s, limit)}
        assert cleared == {(s.text, s.label) for s in parts if again.clears(s, limit)}
    lost = {whole[at][:2] for at in contradictions(enumerate(whole), once)}
    assert lost == {parts[at][:2] for at in contradictions(enumerate(parts), again)}


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(-1, GRID)), min_size=1))
def test_alone_the_checkpoint_decides(labels: Sequence[tuple[str, int]]) -> None:
    said = [one(0, label, n, plausibility) for n, (label, plausibility) in enumerate(labels)]
    best = max(stands.plausibility for stands in said)
    lost = contradictions(enumerate(said), ALONE)
    stay = {stands.label for at, stands in enumerate(said) if at not in lost}
    assert len(stay) == 1
    assert {(s.label, s.plausibility) for s in said} >= {(next(iter(stay)), best)}


@given(st.randoms(use_true_random=False), st.integers(0, GRID // 2))
def test_who_loses_does_not_hang_on_who_is_a_candidate(rng: random.Random, noise: int) -> None:
    """Labels that are none contradict all the same, and count."""
    whole = annotated(rng, 60, copied=False)
    kept = {at for at in range(len(whole)) if rng.random() < 0.5}
    own = [(at, one) for at, one in enumerate(whole) if at in kept]
    others = [one for at, one in enumerate(whole) if at not in kept]
    once = agree(whole, noise)
    heard = replace(agree([one for _, one in own], noise).counting(others), gain=once.gain)
    assert heard.counts == once.counts
    assert contradictions(own, heard, others) == contradictions(enumerate(whole), once) & kept


def test_of_two_labels_the_one_that_is_said_more_often_wins_against_some_doubt() -> None:
    """At a rate of a tenth each label more is worth ln 9: odds of one to six are outweighed."""
    others = [one(text, label, 1) for text in range(1, 99) for label in "ab"]
    often, once = one(0, "a", 3, GRID // 7), one(0, "b", 1, GRID * 6 // 7)
    apart = agree([often, once, *others], STEPS)
    assert contradictions(enumerate([often, once]), apart) == {1}
    assert contradictions(enumerate([often, once]), ALONE) == {0}
    surely = one(0, "b", 1, GRID), one(0, "a", 2, 1)
    assert contradictions(enumerate(surely), agree([*surely, *others], STEPS)) == {1}


def stream(seed: int, *, copied: bool, window: int = 5) -> list[bytes]:
    """Sixty texts of a checkpoint that knows little, each labelled four times or once."""
    rng, values, number = random.Random(seed), [], 1000 * window
    for text in range(90):
        truth, mistake = CLASSES[text % 4], rng.random() < 0.2
        for _ in range(4 if text < 60 else 1):
            mistake = mistake if copied else rng.random() < 0.2
            label = CLASSES[(text + 1) % 4] if mistake else truth
            values.append(say(number, f"say {text}", label))
            number += 1
    rng.shuffle(values)
    return values


def policy(**changes: Any) -> Any:
    quarantine = Quarantine(assumed_rate=0.2)
    return small_policy(capacity_rows=200, quarantine=quarantine, **changes)


def in_memory(store: Store, records: dict[LaneId, list[Record]]) -> offline.Kept:
    """Held against the shard of window 5, row by row."""
    engine, rules = engine_of(store, 5)
    own = [r for lane in sorted(records) for r in records[lane] if r[0] // PERIOD_MS == 5]
    rows, ids, _ = candidates(engine, own)
    kept = offline.select(rows, rules, rules.policy.capacity_rows)
    assert told(kept, rules, ids, rows.names) == shown(shard_rows(store, 5))
    assert len(kept.contradicted) == shards(store)[5].contradictions
    return kept


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("lanes", [1, 4])
def test_doubted_labels_that_are_said_again_come_back(seed: int, lanes: int) -> None:
    records = lane_split(stream(seed, copied=False), lanes)
    store = selection.run(records, policy())
    manifest = shards(store)[5]
    assert manifest.agreed.independent and manifest.agreed.back > 0
    doubted = [
        row
        for row in shard_rows(store, 5)
        if "selected" in row["arms"] and row["plausibility"] * GRID < manifest.suspect_below
    ]
    assert 0 < len(doubted) <= manifest.agreed.back
    assert all(row["multiplicity"] > 1 and row["weight"] > 0 for row in doubted)
    in_memory(store, records)


@pytest.mark.parametrize("seed", range(4))
def test_copies_of_a_mistake_bring_nothing_back(seed: int) -> None:
    records = lane_split(stream(seed, copied=True), 2)
    store = selection.run(records, policy())
    manifest = shards(store)[5]
    assert manifest.agreed.texts >= MINIMUM and not manifest.agreed.independent
    assert manifest.agreed.back == 0
    selected = [row for row in shard_rows(store, 5) if "selected" in row["arms"]]
    assert all(row["plausibility"] * GRID >= manifest.suspect_below for row in selected)
    in_memory(store, records)


def test_a_late_label_counts_as_often_as_it_was_given() -> None:
    """One answer about a text that was said five times is one label, and persuades nobody."""
    values = [say(n, f"say {n // 5}", None) for n in range(400)]
    store = {}
    for given_to in (1, 5):
        records = lane_split(values, 2)
        answers = [
            {"id": f"u{n}", "label": CLASSES[(n // 5 + (n % 5 == 4)) % 4]}
            for n in range(400)
            if n % 5 < given_to
        ]
        at = 6 * PERIOD_MS
        records[LABELS] = [(at + n, msgspec.json.encode(a)) for n, a in enumerate(answers)]
        store[given_to] = shards(selection.run(records, policy()))[5].agreed
    assert store[1].texts == 0 and store[5].texts > 0


def test_rows_that_do_not_know_how_often_a_label_was_given_do_not_count() -> None:
    groups = Groups(by=("hypothesis", "label", "argmax"), support=1, limit=9)
    store = selection.run(lane_split(stream(0, copied=False), 2), policy(groups=groups))
    told_ = shards(store)[5].agreed
    assert not told_.independent and told_.back == 0


def test_the_law_would_notice_repeats_that_are_always_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(agreement, "ENOUGH", (0, 1))  # nothing has to differ
    store = selection.run(lane_split(stream(0, copied=True), 2), policy())
    assert shards(store)[5].agreed.back > 0
