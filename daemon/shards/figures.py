"""Figures of a shard for people: histograms, and lift over the random arm."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from daemon.lanes.arms import ARMS
from daemon.learning import calibration
from daemon.learning.calibration import Counts, Histogram
from daemon.monitors.noise import Z95
from daemon.shards.merge import Merged
from scoring.types import GRID, MISSING

COARSE = GRID // 64  # steps of the grid per bin of a histogram that is only looked at


def histograms(
    merged: Merged, counts: Sequence[Counts], scores: tuple[str, ...]
) -> dict[str, dict[str, Histogram]]:
    """Per score: of the traffic, and of each arm's rows; bins of COARSE steps.

    The traffic of a second stage is the audit arm.
    """
    out: dict[str, dict[str, Histogram]] = {}
    for score in scores:
        traffic = calibration.add(part.histograms.get(score, {}) for part in counts)
        by_arm: dict[str, Histogram] = {"traffic": _coarse(traffic)}
        for arm in ("selected", *ARMS):
            steps = Counter(_steps(merged, score, arm))
            by_arm[arm] = _coarse(dict(sorted(steps.items())))
        out[score] = by_arm
    return out


def _steps(merged: Merged, score: str, arm: str) -> list[int]:
    if _second(merged, score) and arm not in ("selected", "audit"):
        return []  # of these it is known of candidates alone, which are no sample of them
    column = merged.columns[f"score_{score}"]
    return [column[t.row] for t in merged.taken if arm in t.arms and column[t.row] != MISSING]


def _coarse(histogram: Histogram) -> Histogram:
    return calibration.add({step // COARSE: count} for step, count in histogram.items())


def lift(merged: Merged, scores: tuple[str, ...]) -> dict[str, tuple[float, float, float]]:
    """Per score: mean over the selection minus mean over the random arm, with a 95 % interval.

    Of the second stage the audit arm, which is as uniform, stands in for the random one. Welch's
    interval with normal quantile; sums are of integers, so they have no order.
    """
    out = {}
    for score in scores:
        uniform = "audit" if _second(merged, score) else "random"
        ours, theirs = _steps(merged, score, "selected"), _steps(merged, score, uniform)
        if len(ours) < 2 or len(theirs) < 2:
            continue
        (m1, v1), (m2, v2) = _moments(ours), _moments(theirs)
        half = Z95 * math.sqrt(v1 / len(ours) + v2 / len(theirs))
        out[score] = (m1 - m2, m1 - m2 - half, m1 - m2 + half)
    return out


def _second(merged: Merged, score: str) -> bool:
    return merged.stage is not None and score in merged.stage.spreads


def _moments(steps: Sequence[int]) -> tuple[float, float]:
    """Mean and sample variance, in score units."""
    n, total, squares = len(steps), sum(steps), sum(s * s for s in steps)
    variance = (n * squares - total * total) / (n * (n - 1))
    return total / n / GRID, variance / (GRID * GRID)
