"""Runs: which cells there are, and measuring those that are missing. Any stop loses one cell.

Seeds come first: whenever a run ends, all arms have the same seeds, or one more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import msgspec

from daemon.benchmark import cells, stages, worlds
from daemon.benchmark.arms import Arm, arms
from daemon.benchmark.cells import Key
from daemon.benchmark.features import Texts
from daemon.benchmark.scenarios import SCENARIOS
from daemon.ports import EXIT_CONFIG, Clock, Fatal, Store

BUDGETS = (0.02, 0.10, 0.20, 0.30, 0.50, 0.75)
QUICK_BUDGETS = (0.10, 0.20, 0.50)
QUICK_SCENARIOS = ("clean", "flips-10", "near-10", "flips-20")
QUICK_ARMS = (
    "everything", "oracle", "random", "stratified", "cbrs", "el2n.top", "el2n.band", "cleanlab",
    "uncertainty", "once", "quarantine", "default",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for."""

    split: str
    scenarios: Sequence[str]
    seeds: int
    arms: Sequence[str]
    budgets: Sequence[float]
    part: tuple[int, int] = (1, 1)  # this process measures the first of so many parts

    def check(self) -> None:
        """Raises Fatal for a name that does not exist."""
        for what, names, known in (
            ("scenario", self.scenarios, tuple(SCENARIOS)),
            ("arm", self.arms, tuple(arms())),
        ):
            for name in names:
                if name not in known:
                    hint = f"One of: {', '.join(known)}"
                    raise Fatal(f"there is no {what} {name}", code=EXIT_CONFIG, hint=hint)

    def keys(self, corpora: Sequence[str]) -> Iterator[Key]:
        """Every cell, in the order of measuring."""
        known = arms()
        for seed in range(self.seeds):
            for corpus in corpora:
                for scenario in self.scenarios:
                    for arm in self.arms:
                        for budget in self.budgets if known[arm].budgets else (1.0,):
                            yield Key(corpus, self.split, scenario, seed, arm, budget)


def measure(
    plan: Plan,
    corpora: Mapping[str, Texts],
    store: Store,
    clock: Clock,
    *,
    until: float | None = None,
    advance: Callable[[int], None] = lambda _steps: None,
) -> bool:
    """Measure what is missing. False: the time was up (`until`, of the monotonic clock)."""
    every = list(plan.keys(tuple(corpora)))
    return work(every, arms(), corpora, store, clock, part=plan.part, until=until, advance=advance)


def work(
    every: Sequence[Key],
    known: Mapping[str, Arm],
    corpora: Mapping[str, Texts],
    store: Store,
    clock: Clock,
    *,
    part: tuple[int, int] = (1, 1),
    until: float | None = None,
    advance: Callable[[int], None] = lambda _steps: None,
) -> bool:
    """Measure those of `every` that are missing, world by world."""
    for keys in _worlds(every, part):
        todo = cells.missing(store, keys)
        advance(len(keys) - len(todo))
        if not todo:
            continue
        if until is not None and clock.monotonic() >= until:
            return False
        stage = begin(corpora[keys[0].corpus], keys[0], store, clock)
        for key in todo:
            if until is not None and clock.monotonic() >= until:
                return False
            cell = cells.measure(stage, known[key.arm], key.budget, clock)
            store.create(key.name, msgspec.json.encode(cell))
            advance(1)
    return True


def _worlds(every: Sequence[Key], part: tuple[int, int]) -> list[list[Key]]:
    """Cells of one world lie side by side; of the worlds, those of this part."""
    grouped = [list(keys) for _, keys in groupby(every, key=lambda key: key[:4])]
    first, parts = part
    return grouped[first - 1 :: parts]


def begin(texts: Texts, key: Key, store: Store, clock: Clock) -> stages.Stage:
    """The stage of a world; its figures are kept."""
    began = clock.monotonic()
    stage = stages.stage(worlds.make(texts, SCENARIOS[key.scenario], key.seed))
    figures = cells.world(stage, clock.monotonic() - began)
    store.create(cells.world_name(key), msgspec.json.encode(figures))
    return stage


def size(plan: Plan, corpora: Sequence[str]) -> int:
    """Cells of this process."""
    return sum(map(len, _worlds(list(plan.keys(corpora)), plan.part)))
