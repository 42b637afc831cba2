"""What is learnt, in integers, and the rules that follow from it: laws 2, 5 and 7."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buffers.base import TARGET_SUM
from daemon.lanes.pin import FIRST
from daemon.learning import calibration as cal
from daemon.learning import rules as rulebook
from daemon.learning.calibration import SCALE, Calibration, Counts, Half, Traffic
from daemon.learning.edition import Edition
from daemon.learning.rules import ALL, NO_HALF, NO_NOISE_RATE, OTHER, Rules
from daemon.policy import Groups, Learning, Policy, Quarantine
from scoring.types import GRID
from tests.streams import KEY

HISTOGRAMS = st.dictionaries(st.integers(0, GRID), st.integers(0, 50), max_size=6)
COUNTS = st.builds(
    Counts,
    groups=st.dictionaries(st.sampled_from("abcde"), st.integers(0, 9)),
    histograms=st.dictionaries(st.sampled_from(["entropy", "margin"]), HISTOGRAMS),
    plausibility=HISTOGRAMS,
)
NO_SAMPLE = Half("c", {}, {})


MEMORY = Learning(memory_windows=4)


def fold(
    before: Calibration,
    parts: list[Counts],
    answers: tuple[int, int] = (0, 0),
    most_names: int = 99,
) -> Calibration:
    return cal.fold(before, before.window + 1, NO_SAMPLE, parts, answers, MEMORY, most_names)


@given(parts=st.lists(COUNTS, max_size=4), seed=st.integers(0, 99))
def test_a_fold_sums_parts_in_any_order_and_split(parts: list[Counts], seed: int) -> None:
    """A11: one float sum over six batch cuts had five values; integers have one."""
    expected = fold(Calibration(FIRST), parts)
    shuffled = [parts[i] for i in np.random.default_rng(seed).permutation(len(parts))]
    assert fold(Calibration(FIRST), shuffled) == expected


def numbers(value: Any) -> list[Any]:
    """Every leaf of plain data."""
    if isinstance(value, dict):
        return [leaf for pair in value.items() for item in pair for leaf in numbers(item)]
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in numbers(item)]
    return [value]


@given(folds=st.lists(st.tuples(st.lists(COUNTS, max_size=2), st.integers(0, 9)), max_size=5))
def test_calibrations_hold_integers_only(folds: list[tuple[list[Counts], int]]) -> None:
    learnt = Calibration(FIRST)
    for parts, answered in folds:
        learnt = fold(learnt, parts, (answered, answered // 2))
    assert not [leaf for leaf in numbers(msgspec.to_builtins(learnt)) if isinstance(leaf, float)]


def test_a_fold_forgets_a_share_of_what_was() -> None:
    one = fold(Calibration(FIRST), [Counts(groups={"a": 8})], (10, 2))
    two = fold(one, [Counts(groups={"b": 1})])
    assert one.traffic == Traffic({"a": 8 * SCALE}, 10 * SCALE, 2 * SCALE)
    assert two.traffic == Traffic({"a": 6 * SCALE, "b": SCALE}, 10 * SCALE * 3 // 4, 1536)
    for _ in range(200):
        two = fold(two, [])
    assert two.traffic.groups == {}, "what is forgotten leaves no zero behind"


def test_names_that_a_hostile_stream_makes_up_do_not_grow_a_calibration() -> None:
    """Decay forgets them too late: a thousand new names a window are thousands at any time."""
    learnt = Calibration(FIRST)
    for window in range(20):
        made_up = {f"made up {window} {n}": 1 for n in range(40)}
        learnt = fold(learnt, [Counts(groups={"music": 50, **made_up})], most_names=30)
        assert len(learnt.traffic.groups) == 30
        assert learnt.traffic.groups["music"] == max(learnt.traffic.groups.values())
        assert list(learnt.traffic.groups) == sorted(learnt.traffic.groups)


def test_the_two_halves_live_apart() -> None:
    """A5: scores of one checkpoint say nothing of another's; the traffic goes on."""
    sample = cal.publish_half("new", Counts(histograms={"entropy": {7: 3}}, plausibility={9: 2}))
    before = fold(Calibration(FIRST), [Counts(groups={"a": 8}, histograms={"entropy": {5: 4}})])
    one_row = Counts(histograms={"entropy": {7: 1}})
    after = cal.fold(before, 1, sample, [one_row], (0, 0), MEMORY, 99)
    old, new = after.half("c"), after.half("new")
    assert old == before.half("c"), "not decayed by another's windows"
    assert new is not None and new.histograms["entropy"] == {7: 3 * SCALE * 3 // 4 + SCALE}
    assert after.traffic.groups == {"a": 6 * SCALE}
    assert [half.checkpoint for half in after.halves] == ["new", "c"]
    many = after
    for number in range(9):
        many = cal.fold(many, 2, Half(str(number), {}, {}), [], (0, 0), Learning(), 99)
    assert len(many.halves) == cal.HALVES


@given(histogram=HISTOGRAMS, share=st.floats(0, 1))
def test_a_quantile_is_the_smallest_step_with_that_mass(
    histogram: dict[int, int], share: float
) -> None:
    step, total = cal.quantile(histogram, share), sum(histogram.values())
    if not total:
        assert step == min(histogram, default=0)
        return
    below = sum(count for at, count in histogram.items() if at <= step)
    before = sum(count for at, count in histogram.items() if at < step)
    wanted = int(share * (1 << 20)) / (1 << 20) * total
    assert below >= wanted
    assert before < wanted or before == 0


def learnt(**traffic: Any) -> Calibration:
    plain = dict.fromkeys(range(0, GRID, 4), SCALE)  # plausibility spread evenly
    half = Half("c", {"entropy": plain}, plain)
    return Calibration(3, Traffic(**traffic), (half,))


def below(calibration: Calibration, quarantine: Quarantine) -> int | None:
    half = calibration.half("c")
    assert half is not None
    return cal.suspect_below(calibration, half, quarantine)


def test_the_quarantine_follows_the_audited_rate_however_few_answers_tell_it() -> None:
    quarantine = Quarantine(margin=1.0, minimum_answers=50)
    few = learnt(answered=100 * SCALE, wrong=10 * SCALE)
    many = learnt(answered=10_000 * SCALE, wrong=1000 * SCALE)
    rate = cal.noise_rate(few.traffic, quarantine)
    assert rate is not None and rate.low < rate.estimate == 0.1 < rate.high
    for calibration in (few, many):
        threshold = below(calibration, quarantine)
        assert threshold is not None and threshold / GRID == pytest.approx(0.1, abs=0.002)
    wide = below(few, Quarantine(margin=1.3, minimum_answers=50))
    assert wide is not None and wide / GRID == pytest.approx(0.13, abs=0.002)


def test_without_answers_nothing_is_quarantined_unless_a_rate_is_assumed() -> None:
    none = learnt(answered=49 * SCALE, wrong=40 * SCALE)
    assert below(none, Quarantine(minimum_answers=50)) is None
    assumed = below(none, Quarantine(minimum_answers=50, assumed_rate=0.1, margin=1.0))
    assert assumed is not None and assumed / GRID == pytest.approx(0.1, abs=0.002)
    measured = learnt(answered=50 * SCALE, wrong=0)
    rate = cal.noise_rate(measured.traffic, Quarantine(minimum_answers=50))
    assert rate is not None and 0 < rate.high < 0.1
    none_wrong = below(measured, Quarantine(minimum_answers=50, assumed_rate=0.1))
    assert none_wrong == 0, "answers speak louder than an assumption"


@given(histogram=HISTOGRAMS, rate=st.floats(0, 1), cap=st.floats(0, 1))
def test_the_quarantine_never_takes_more_than_its_cap(
    histogram: dict[int, int], rate: float, cap: float
) -> None:
    half = Half("c", {}, histogram)
    quarantine = Quarantine(assumed_rate=rate, cap=cap)
    threshold = cal.suspect_below(Calibration(3, Traffic(), (half,)), half, quarantine)
    total = sum(histogram.values())
    if threshold is None:
        assert not total
        return
    taken = sum(count for step, count in histogram.items() if step < threshold)
    assert taken <= cap * total


def make(calibration: Calibration, classes: tuple[str, ...] = ("a", "b"), **policy: Any) -> Rules:
    edition = Edition(0, "c", classes, Policy(**policy), None, 0)
    return rulebook.make(9, edition, calibration, KEY, reads=("entropy",))


def test_cold_windows_say_why_and_balance_nothing() -> None:
    never = make(Calibration(FIRST))
    assert (never.cold, never.groups) == (NO_HALF, (ALL,))
    unknown = make(learnt())
    assert unknown.cold == NO_NOISE_RATE, "unquarantined labels are never balanced"
    for rules in (never, unknown):
        assert rules.terms.cold and rules.terms.suspect_below is None
        assert rules.quotas.targets.tolist() == [TARGET_SUM]
    assert make(learnt(), quarantine=Quarantine(assumed_rate=0.1)).cold == ""
    assert make(learnt(), groups=Groups(by=("argmax",))).cold == "", "no label, no label noise"


def test_groups_are_known_classes_and_well_supported_names_and_other() -> None:
    """A8: a constant of the window. First-come groups differed by order in 400 of 400 worlds."""
    counts = {"a": 50 * SCALE, "new": 20 * SCALE, "rare": 19 * SCALE, "(other)": 99 * SCALE}
    names = rulebook.group_names(("a", "b"), counts, Groups(support=20, limit=9), KEY)
    assert names == (OTHER, "a", "b", "new")
    few = rulebook.group_names(("a", "b"), counts, Groups(support=20, limit=2), KEY)
    assert few == (OTHER, "a", "new"), "the most frequent names own groups"
    tie = dict.fromkeys("pqrs", SCALE)
    for order in itertools.permutations("pqrs"):
        shuffled = {name: tie[name] for name in order}
        two = rulebook.group_names((), shuffled, Groups(support=1, limit=2), KEY)
        assert two == rulebook.group_names((), tie, Groups(support=1, limit=2), KEY)


@given(
    shares=st.lists(st.integers(0, 1 << 40), min_size=1, max_size=40),
    exponent=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_targets_are_integers_that_share_out_everything(shares: list[int], exponent: float) -> None:
    found = rulebook.targets(shares, exponent)
    assert sum(found) == TARGET_SUM and min(found) >= 1
    assert all(isinstance(target, int) for target in found)
    if exponent == 0.0:
        assert max(found) - min(found) <= len(found)
    for (a, x), (b, y) in itertools.combinations(zip(shares, found, strict=True), 2):
        assert a < b or x >= y or x + len(found) >= y or exponent == 0.0


def test_two_names_that_share_other_are_two_keys() -> None:
    rules = make(learnt(), quarantine=Quarantine(assumed_rate=0.1))
    assert rules.mask(0, "x") != rules.mask(0, "y") != 0
    assert rules.mask(1, "x") == 0, "a group of its own tells it apart"
    assert make(Calibration(FIRST)).mask(0, "x") == 0, "in a cold window nothing is grouped"


def test_rules_are_a_function_of_the_pin() -> None:
    quarantine = Quarantine(assumed_rate=0.1)
    traffic = {"b": 9 * SCALE, "a": 3 * SCALE}
    one = make(learnt(groups=traffic), quarantine=quarantine)
    other = make(learnt(groups=dict(reversed(traffic.items()))), quarantine=quarantine)
    assert (one.groups, one.terms) == (other.groups, other.terms)
    assert one.quotas.targets.tolist() == other.quotas.targets.tolist()
    assert one.quotas.ties.tolist() == other.quotas.ties.tolist()
    (spread,) = one.terms.spreads
    assert spread.low < spread.high
