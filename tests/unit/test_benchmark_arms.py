"""Each arm of the benchmark on a tiny stage: what it keeps, and how much of it."""

from __future__ import annotations

import numpy as np
import pytest

from daemon.benchmark import arms, ours, peers, plain, stages, worlds
from tests.tiny_corpus import TINY, numbers


@pytest.fixture(scope="module")
def stage() -> stages.Stage:
    return stages.stage(worlds.make(numbers(), TINY, 1))


def test_quotas_by_hand() -> None:
    groups = np.array([0] * 10 + [1] * 60 + [2] * 30)

    class Given:
        given, rows = groups, groups
        world = worlds.make(numbers(), TINY, 0)

    made: stages.Stage = Given()  # type: ignore[assignment]
    assert np.bincount(groups[plain.stratified(made, 50).rows]).tolist() == [5, 30, 15]
    assert np.bincount(groups[plain.cbrs(made, 51).rows]).tolist() == [10, 21, 20]
    assert np.bincount(groups[plain.cbrs(made, 15).rows]).tolist() == [5, 5, 5]


SLOW = ("cleanlab", "facility-location", "uncertainty")  # their packages take seconds to import
NAMES = [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in sorted(arms.arms())]


@pytest.mark.parametrize("name", NAMES)
def test_every_arm_keeps_its_budget(name: str, stage: stages.Stage) -> None:
    arm = arms.arms()[name]
    choice = arm.choose(stage, 120)
    assert len(np.unique(choice.rows)) == len(choice.rows)
    assert 0 <= choice.rows.min() <= choice.rows.max() < len(stage.rows)
    if arm.budgets:
        assert 0 < len(choice.rows) <= 120
    if arm.group in ("baseline", "peer", "score", "null"):
        assert len(choice.rows) == 120


def test_ours_puts_suspects_aside_and_keeps_texts_once(stage: stages.Stage) -> None:
    choice = ours.choose(stage, ours.default(), 10_000)
    wrong = stage.given != stage.truth
    assert len(np.unique(stage.rows[choice.rows])) == len(choice.rows)
    assert choice.suspects > 0
    assert wrong[choice.rows].mean() < wrong.mean() / 2
    assert choice.records is not None
    assert choice.records.sum() <= len(stage.rows)


def test_k_center_takes_the_farthest_next(stage: stages.Stage) -> None:
    chosen = peers.k_center(stage, 30)
    order = stage.made["center"]
    assert set(order[:30].tolist()) == set(chosen.rows.tolist())
    points = stage.features[order].astype(np.float64)
    for place in range(1, 30):
        away = np.linalg.norm(points[place:, None] - points[None, :place], axis=2).min(axis=1)
        assert away[0] == pytest.approx(away.max(), abs=1e-3)


def test_larger_budgets_contain_smaller_ones(stage: stages.Stage) -> None:
    for name in ("random", "k-center", "badge", "entropy.top"):
        arm = arms.arms()[name]
        few, more = arm.choose(stage, 60).rows, arm.choose(stage, 120).rows
        assert np.isin(few, more).mean() > (0.99 if name != "entropy.top" else 0.5)
