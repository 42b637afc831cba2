"""Aggregates: every arm of every world over its seeds, with paired differences. Values, no text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np

from daemon.benchmark import cells
from daemon.benchmark.arms import arms
from daemon.benchmark.blocks import Block
from daemon.benchmark.cells import Cell, Key, World
from daemon.benchmark.features import Texts
from daemon.benchmark.statistics import Interval
from daemon.ports import Missing, Store


class Line(msgspec.Struct, frozen=True):
    """One arm at one budget in one scenario, over its seeds."""

    corpus: str
    scenario: str
    arm: str
    budget: float
    seeds: int
    kept: float  # share of the stream
    noise: float  # share of wrong labels among what was kept
    select_s: float
    train_s: float
    figures: dict[str, Interval]  # macro, plain, traffic, tail: in [0, 1]
    to_random: dict[str, Interval]  # differences, paired by seed and row; at the same budget
    to_everything: dict[str, Interval]
    to_oracle: dict[str, Interval]


class Scene(msgspec.Struct, frozen=True):
    """One scenario: means over its worlds."""

    corpus: str
    scenario: str
    seeds: int
    events: float
    texts: float
    noise: float
    audited: float
    checkpoint: float
    suspicion: dict[str, float]


class Results(msgspec.Struct, frozen=True):
    """All that was measured."""

    lines: tuple[Line, ...]
    scenes: tuple[Scene, ...]

    def line(self, scenario: str, arm: str, budget: float, corpus: str = "") -> Line | None:
        """The arm's line; an arm without budgets has the same at every budget."""
        return next(
            (
                line
                for line in self.lines
                if line.scenario == scenario
                and line.arm == arm
                and (line.budget == budget or not arms()[arm].budgets)
                and corpus in ("", line.corpus)
            ),
            None,
        )

    def scene(self, scenario: str) -> Scene | None:
        return next((scene for scene in self.scenes if scene.scenario == scenario), None)


def results(store: Store, corpora: Mapping[str, Texts], split: str) -> Results:
    """Everything that lies in the store for these corpora."""
    lines: list[Line] = []
    scenes: list[Scene] = []
    for name, texts in corpora.items():
        for scenario, found in _found(store, name, split).items():
            worlds = {
                seed: world
                for seed in {key.seed for key in found}
                if (world := _world(store, Key(name, split, scenario, seed, "", 1.0)))
            }
            there = {key: cell for key, cell in found.items() if key.seed in worlds}
            lines += _lines(name, scenario, Block(texts, there, worlds))
            scenes.append(_scene(name, scenario, list(worlds.values())))
    return Results(tuple(lines), tuple(scenes))


def _lines(corpus: str, scenario: str, block: Block) -> Iterator[Line]:
    for arm in arms():
        budgets = sorted({key.budget for key in block.seeds_of(arm)})
        for budget in budgets:
            keys = block.seeds(arm, budget)
            found = block.cells(keys)
            events = block.events(keys)
            yield Line(
                corpus,
                scenario,
                arm,
                budget,
                len(keys),
                float(np.mean([cell.kept / n for cell, n in zip(found, events, strict=True)])),
                float(np.mean([cell.noise for cell in found])),
                float(np.mean([cell.select_s for cell in found])),
                float(np.mean([cell.train_s for cell in found])),
                block.intervals(keys),
                block.intervals(keys, block.seeds("random", budget)),
                block.intervals(keys, block.seeds("everything", 1.0)),
                block.intervals(keys, block.seeds("oracle", 1.0)),
            )


def _found(store: Store, corpus: str, split: str) -> dict[str, dict[Key, Cell]]:
    """By scenario: every cell that lies there."""
    made: dict[str, dict[Key, Cell]] = {}
    for name in store.list(f"cells-{cells.VERSION}/{corpus}/{split}/"):
        _, _, _, scenario, seed, arm, budget = name.split("/")
        if arm not in arms():
            continue  # of an arm that there was once
        key = Key(corpus, split, scenario, int(seed), arm, float(budget.removesuffix(".json")))
        cell = cells.read(store, key)
        assert cell is not None  # it was listed
        made.setdefault(scenario, {})[key] = cell
    return made


def _world(store: Store, key: Key) -> World | None:
    try:
        return msgspec.json.decode(store.get(cells.world_name(key)), type=World)
    except Missing:
        return None


def _scene(corpus: str, scenario: str, worlds: Sequence[World]) -> Scene:
    def mean(values: Sequence[float]) -> float:
        return float(np.mean(values))

    names = sorted({name for world in worlds for name in world.suspicion})
    return Scene(
        corpus,
        scenario,
        len(worlds),
        mean([world.events for world in worlds]),
        mean([world.texts for world in worlds]),
        mean([world.noise for world in worlds]),
        mean([world.audited for world in worlds]),
        mean([world.checkpoint for world in worlds]),
        {n: mean([w.suspicion[n] for w in worlds if n in w.suspicion]) for n in names},
    )
