"""Calibrations: what Sluice has learnt up to a window, in integers, folded shard by shard.

Two halves (law 5). That of the traffic (group shares, audited noise) survives a new checkpoint.
That of a checkpoint (histograms of its scores on the grid: they are the quantile sketch) starts
as published with it and is folded only by its own shards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from msgspec import UNSET, Struct, UnsetType, field

from daemon.learning.emitted import Run
from daemon.monitors import noise
from daemon.policy import Learning, Quarantine
from scoring.types import GRID, Grid, Scored

SCALE = 1 << 10  # fixed point of every decayed count: one record is SCALE
HALVES = 4  # checkpoints whose halves are remembered, the most recently folded first

Histogram = dict[int, int]  # step of the grid -> count


class Counts(Struct, frozen=True):
    """What one part says of its lane's window, besides rows. Plain record counts."""

    records: int = 0
    late: int = 0
    reasons: dict[str, int] = field(default_factory=dict)  # of refusals, and "accepted"
    groups: dict[str, int] = field(default_factory=dict)  # accepted or emitted already, by name
    histograms: dict[str, Histogram] = field(default_factory=dict)  # score name -> histogram
    plausibility: Histogram = field(default_factory=dict)  # of labels that could be judged


class Half(Struct, frozen=True):
    """The checkpoint's half. Counts in SCALE-ths."""

    checkpoint: str
    histograms: dict[str, Histogram]
    plausibility: Histogram

    @property
    def rows(self) -> int:
        """Scored records remembered (decayed)."""
        return max((sum(h.values()) for h in self.histograms.values()), default=0) // SCALE


class Traffic(Struct, frozen=True):
    """The traffic's half. Counts in SCALE-ths."""

    groups: dict[str, int] = field(default_factory=dict)
    answered: int = 0  # audit answers on labelled rows
    wrong: int = 0  # of these, the given label was not the answer


class Calibration(Struct, frozen=True):
    """Learnt up to and including `window`."""

    window: int
    traffic: Traffic = Traffic()
    halves: tuple[Half, ...] = ()
    version: int = 1
    emitted: tuple[Run, ...] | UnsetType = UNSET  # of epoch `window` alone

    def half(self, checkpoint: str) -> Half | None:
        return next((half for half in self.halves if half.checkpoint == checkpoint), None)


def add(histograms: Iterable[Mapping[int, int]]) -> Histogram:
    """The sum of plain histograms, bins ascending."""
    total: Histogram = {}
    for histogram in histograms:
        for step, count in histogram.items():
            total[step] = total.get(step, 0) + count
    return dict(sorted(total.items()))


def _fold(before: Mapping[Any, int], new: Mapping[Any, int], memory: int) -> dict[Any, int]:
    """Integer decay: keep (memory - 1)/memory of what was, add what is. Keys ascending."""
    folded = {}
    for key in sorted({*before, *new}):
        value = before.get(key, 0) * (memory - 1) // memory + new.get(key, 0) * SCALE
        if value:
            folded[key] = value
    return folded


def _largest(counts: dict[str, int], most: int) -> dict[str, int]:
    """The names with the largest counts: what a hostile stream makes up cannot grow for ever."""
    if len(counts) <= most:
        return counts
    kept = sorted(counts, key=lambda name: (-counts[name], name))[:most]
    return {name: counts[name] for name in sorted(kept)}


def publish_half(checkpoint: str, counts: Counts) -> Half:
    """The half that is published with a checkpoint, from a reference sample scored by it."""
    return Half(
        checkpoint,
        {name: _fold({}, h, 1) for name, h in sorted(counts.histograms.items())},
        _fold({}, counts.plausibility, 1),
    )


def half_of(scored: Scored, checkpoint: str) -> Half:
    """The same, of the scores themselves."""

    def histogram(column: Grid) -> Histogram:
        steps, counts = np.unique(column[column >= 0], return_counts=True)
        return dict(zip(steps.tolist(), counts.tolist(), strict=True))

    histograms = {name: histogram(column) for name, column in scored.scores.items()}
    plausibility = histogram(scored.plausibility)
    return publish_half(checkpoint, Counts(histograms=histograms, plausibility=plausibility))


def fold(
    before: Calibration,
    window: int,
    published: Half,
    parts: Iterable[Counts],
    answers: tuple[int, int],
    learning: Learning,
    most_names: int,
) -> Calibration:
    """Calibration of `window` = fold(the one before, parts of the window, audit answers).

    `published` is the half that came with the window's checkpoint: its first shard folds onto it.
    `answers` = (answered, wrong) of the label windows since the shard before. Order of the parts
    does not matter: only sums enter. `most_names`: of groups, the largest are remembered.
    """
    parts, memory = list(parts), learning.memory_windows
    checkpoint = published.checkpoint
    old = before.half(checkpoint) or published
    names = sorted({*old.histograms, *(name for part in parts for name in part.histograms)})
    half = Half(
        checkpoint,
        {
            name: _fold(
                old.histograms.get(name, {}),
                add(part.histograms.get(name, {}) for part in parts),
                memory,
            )
            for name in names
        },
        _fold(old.plausibility, add(part.plausibility for part in parts), memory),
    )
    groups: dict[str, int] = {}
    for part in parts:
        for name, count in part.groups.items():
            groups[name] = groups.get(name, 0) + count
    traffic = Traffic(
        _largest(_fold(before.traffic.groups, groups, memory), most_names),
        before.traffic.answered * (memory - 1) // memory + answers[0] * SCALE,
        before.traffic.wrong * (memory - 1) // memory + answers[1] * SCALE,
    )
    others = tuple(h for h in before.halves if h.checkpoint != checkpoint)
    return Calibration(window, traffic, (half, *others)[:HALVES])


def quantile(histogram: Mapping[int, int], share: float) -> int:
    """The smallest step with at least `share` of the mass at or below it; 0 when empty."""
    wanted = int(share * (1 << 20)) * sum(histogram.values())
    seen = 0
    for step in sorted(histogram):
        seen += histogram[step]
        if seen << 20 >= wanted:
            return step
    return 0


def noise_rate(traffic: Traffic, quarantine: Quarantine) -> noise.Interval | None:
    """The audited share of wrong labels with its interval; None while too few answers came."""
    if traffic.answered < quarantine.minimum_answers * SCALE:
        return None
    return noise.wilson(traffic.wrong / SCALE, traffic.answered / SCALE)


def wrong_share(calibration: Calibration, quarantine: Quarantine) -> float | None:
    """Of labels: as audited, or assumed until answers tell."""
    rate = noise_rate(calibration.traffic, quarantine)
    return rate.estimate if rate else quarantine.assumed_rate


def suspect_below(calibration: Calibration, half: Half, quarantine: Quarantine) -> int | None:
    """Plausibility under this is suspect (law 5): None when no noise rate is known.

    The share follows the rate and not the upper end of its interval (docs/adr/0015)."""
    wrong = wrong_share(calibration, quarantine)
    total = sum(half.plausibility.values())
    if wrong is None or not total:
        return None
    share = min(quarantine.cap, quarantine.margin * wrong)
    step = quantile(half.plausibility, share)
    below = sum(count for s, count in half.plausibility.items() if s <= step)
    # a single crowded step must not carry the quarantine past its cap
    return step + 1 if share and below <= quarantine.cap * total else min(step, GRID)
