"""Cells: what one arm reached in one world at one budget. Created once, never changed."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from daemon.benchmark import pupils, statistics
from daemon.benchmark.arms import Arm
from daemon.benchmark.stages import Stage
from daemon.ports import Clock, Missing, Store

VERSION = "1"  # of what a cell means: another one begins anew


class Key(NamedTuple):
    """Which cell."""

    corpus: str
    split: str  # "test" or "valid"
    scenario: str
    seed: int
    arm: str
    budget: float  # share of the stream; 1.0 for arms without budgets

    @property
    def name(self) -> str:
        """Of its object."""
        folder = f"cells-{VERSION}/{self.corpus}/{self.split}/{self.scenario}/{self.seed:03d}"
        return f"{folder}/{self.arm}/{self.budget:.4f}.json"


class Cell(msgspec.Struct, frozen=True):
    """Figures of a cell. Accuracies are in [0, 1]; noise is a share of rows."""

    kept: int
    texts: int
    noise: float
    suspects: int
    plain: float
    macro: float
    traffic: float
    tail: float
    select_s: float
    train_s: float
    right: str  # base64 of the bits of all asked rows, in their order


class World(msgspec.Struct, frozen=True):
    """What is true of a world whatever the arm."""

    events: int
    texts: int
    noise: float
    audited: float  # upper end of the audited noise rate
    checkpoint: float  # its macro accuracy
    suspicion: dict[str, float]  # AUROC of each score, and of the plausibility, for wrong labels
    weights: dict[str, list[float]]  # by figure, of each class: what all its rows count
    checkpoint_s: float


def measure(stage: Stage, arm: Arm, budget: float, clock: Clock) -> Cell:
    """Choose, train, ask."""
    began = clock.monotonic()
    choice = arm.choose(stage, max(1, round(budget * len(stage.rows))))
    chosen = clock.monotonic()
    texts = stage.world.texts
    head = pupils.fit(
        stage.features[choice.rows],
        stage.given[choice.rows],
        len(texts.classes),
        seed=stage.world.seed,
        weights=None if choice.records is None else choice.records.astype(np.float32),
        steps=pupils.STEPS,
    )
    trained = clock.monotonic()
    right = pupils.hits(head, texts.asked, texts.asked_classes)
    figures = accuracies(right, stage)
    return Cell(
        kept=len(choice.rows),
        texts=len(np.unique(stage.rows[choice.rows])),
        noise=float((stage.given != stage.truth)[choice.rows].mean()),
        suspects=choice.suspects,
        **figures,
        select_s=round(chosen - began, 4),
        train_s=round(trained - chosen, 4),
        right=base64.b64encode(np.packbits(right).tobytes()).decode(),
    )


def accuracies(right: npt.NDArray[np.bool_], stage: Stage) -> dict[str, float]:
    """Of (m,) answers, every figure."""
    classes = stage.world.texts.asked_classes
    counted = statistics.weights(classes, stage.world.traffic)
    return {name: float((right * counted[name]).sum()) for name in statistics.FIGURES}


def world(stage: Stage, seconds: float) -> World:
    """Figures of a stage before any selection."""
    texts, wrong = stage.world.texts, stage.given != stage.truth
    columns = {name: column.astype(np.float64) for name, column in stage.scored.scores.items()}
    columns["plausibility"] = -stage.scored.plausibility.astype(np.float64)
    known = np.flatnonzero(stage.scored.labels >= 0)
    found = {n: statistics.auroc(column[known], wrong[known]) for n, column in columns.items()}
    places = np.flatnonzero(stage.world.early)
    answers = places[stage.head.logits(texts.asked).argmax(axis=1)]
    counted = statistics.weights(texts.asked_classes, stage.world.traffic)
    return World(
        events=len(stage.rows),
        texts=len(np.unique(stage.rows)),
        noise=float(wrong.mean()),
        audited=stage.noise.high,
        checkpoint=accuracies(answers == texts.asked_classes, stage)["macro"],
        suspicion={name: value for name, value in found.items() if value is not None},
        weights={
            name: np.bincount(texts.asked_classes, each, len(texts.classes)).tolist()
            for name, each in counted.items()
        },
        checkpoint_s=round(seconds, 3),
    )


def world_name(key: Key) -> str:
    """Of the object that holds a world's figures."""
    return f"worlds-{VERSION}/{key.corpus}/{key.split}/{key.scenario}/{key.seed:03d}.json"


def right(cell: Cell, rows: int) -> npt.NDArray[np.int8]:
    """(m,) 1 where the answer was right."""
    bits = np.frombuffer(base64.b64decode(cell.right), np.uint8)
    return np.unpackbits(bits, count=rows).astype(np.int8)


def read(store: Store, key: Key) -> Cell | None:
    try:
        return msgspec.json.decode(store.get(key.name), type=Cell)
    except Missing:
        return None


def missing(store: Store, keys: Iterable[Key]) -> list[Key]:
    """Those that nobody has measured, in their order."""
    asked = list(keys)
    folders = {key.name.rsplit("/", 2)[0] + "/" for key in asked}
    there = {name for folder in folders for name in store.list(folder)}
    return [key for key in asked if key.name not in there]
