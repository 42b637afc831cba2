"""Trials over their seeds: rates with intervals, differences to random and to full, costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np

from daemon.benchmark import courses, rates, trials
from daemon.benchmark.statistics import Interval
from daemon.benchmark.trials import Key, Trial
from daemon.ports import Store
from scoring.training.mistakes import Counts

Rates = Mapping[str, Interval]


class Line(msgspec.Struct, frozen=True):
    """One arm at one budget in one setting. Differences: above 0 is better, whatever the rate."""

    corpus: str
    setting: str
    rows: int
    epochs: int
    layers: int
    arm: str
    budget: float
    seeds: int
    kept: float  # rows
    wrong: float  # share of them
    figures: Rates
    to_random: Rates  # at the same budget
    to_full: Rates
    spared: Rates  # share of random's mistakes
    tokens: Interval | None  # saved, as a share of full's
    cpu: Interval | None
    cpu_seconds: float


def lines(store: Store, corpora: Sequence[str], split: str) -> list[Line]:
    """Everything that lies in the store for these corpora, asked on this split."""
    found: dict[tuple[str, str, int, int, int], dict[Key, Trial]] = {}
    for corpus in corpora:
        for name in store.list(f"trials-{trials.VERSION}/{corpus}/"):
            key = _key(name)
            trial = trials.read(store, key)
            if key.arm in courses.arms() and trial is not None:
                found.setdefault(key[:5], {})[key] = trial
    return [line for own in found.values() for line in _lines(own, split)]


def _key(name: str) -> Key:
    _, corpus, setting, size, seed, arm, budget = name.split("/")
    rows, epochs, layers = map(int, size.split("x"))
    share = float(budget.removesuffix(".json"))
    return Key(corpus, setting, rows, epochs, layers, int(seed), arm, share)


def _lines(found: Mapping[Key, Trial], split: str) -> Iterator[Line]:
    for arm in courses.arms():
        for budget in sorted({key.budget for key in found if key.arm == arm}):
            own = _of(found, arm, budget)
            first = next(key for key in found if key.arm == arm)
            counts = _stacked(own, sorted(own), split)
            random = {} if arm == "random" else _of(found, "random", budget)
            full = {} if arm == "full" else _of(found, "full", 1.0)
            yield Line(
                first.corpus,
                first.setting,
                first.rows,
                first.epochs,
                first.layers,
                arm,
                budget,
                len(own),
                float(np.mean([trial.rows for trial in own.values()])),
                float(np.mean([trial.wrong for trial in own.values()])),
                rates.alone(counts),
                _paired(rates.gains, own, random, split),
                _paired(rates.gains, own, full, split),
                _paired(rates.spared, own, random, split),
                _saved(own, full, "tokens"),
                _saved(own, full, "cpu_seconds"),
                float(np.mean([trial.cpu_seconds for trial in own.values()])),
            )


def _of(found: Mapping[Key, Trial], arm: str, budget: float) -> dict[int, Trial]:
    """By seed."""
    return {k.seed: t for k, t in found.items() if (k.arm, k.budget) == (arm, budget)}


def _stacked(own: Mapping[int, Trial], seeds: Sequence[int], split: str) -> Counts:
    return np.stack([own[seed].counts(split) for seed in seeds])


def _paired(
    difference: rates.Difference, own: Mapping[int, Trial], other: Mapping[int, Trial], split: str
) -> Rates:
    """Over the seeds that both have; nothing where there is none."""
    seeds = sorted(own.keys() & other.keys())
    if not seeds:
        return {}
    return difference(*(_stacked(each, seeds, split) for each in (own, other)))


def _saved(own: Mapping[int, Trial], full: Mapping[int, Trial], cost: str) -> Interval | None:
    """Mean share of the cost that is not spent, with the least and the largest of the seeds."""
    seeds = sorted(own.keys() & full.keys())
    if not seeds:
        return None
    shares = [1 - getattr(own[seed], cost) / getattr(full[seed], cost) for seed in seeds]
    return Interval(float(np.mean(shares)), min(shares), max(shares))
