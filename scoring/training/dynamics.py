"""What training shows of each row: its error, round by round, and how it was answered.

The one place with a memory per row, and only offline: in the stream a score is a function of
outputs and pinned calibration (law 7). Rounds are kept as they were measured, never as running
sums, so a resumed training has the same bits; the formulas are those of `scoring.scores`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from scoring.scores.aum import Aum
from scoring.scores.el2n_smoothed import smooth
from scoring.scores.forgetting import Forgetting
from scoring.scores.given import needed, probability, rival
from scoring.scores.joint_el2n import JointEl2n
from scoring.types import Floats, Outputs

Reduce = Literal["norm", "sum", "mean"]


class Measures(NamedTuple):
    """All rows at one moment of training."""

    error: Floats  # (n,) EL2N, of intent and slots together
    answer: Floats  # (n, 2) probability of the given label, and of the best other one


def measure(outputs: Outputs, reduce: Reduce) -> Measures:
    """Of outputs with labels, and with slots where there are any (else `slot_probs` is None)."""
    labels = needed(outputs.labels, "joint_el2n", "labels")
    if outputs.slot_probs is None:
        no_probs = (np.zeros((0, 1), np.float32),) * len(labels)
        no_labels = (np.zeros(0, np.int32),) * len(labels)
        outputs = replace(outputs, slot_probs=no_probs, slot_labels=no_labels)
    error = JointEl2n(reduce)(outputs)
    if reduce != "mean":
        error = np.expm1(error)  # that score is ln(1 + joint): a mean over rounds is of joint
    pair = probability(outputs.probs, labels), rival(outputs.probs, labels)
    return Measures(error, np.stack(pair, axis=1))


def together(parts: list[Measures]) -> Measures:
    """Rows one after the other."""
    return Measures(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class Dynamics:
    """The rounds of one training, oldest first; every round measures all n rows."""

    def __init__(self) -> None:
        self._errors: list[Floats] = []
        self._answers: list[Floats] = []

    def __len__(self) -> int:
        return len(self._errors)

    def add(self, measures: Measures) -> None:
        self._errors.append(measures.error)
        self._answers.append(measures.answer)

    def smoothed(self, alpha: float, c: float) -> Floats:
        """(n,) running mean + c * deviation of the error: see scores/el2n_smoothed.py."""
        return smooth(self._errors, alpha, c)

    def aum(self) -> Floats:
        """(n,) as scores/aum.py has it: large where another class was ahead."""
        return Aum()(self._history())

    def forgetting(self) -> Floats:
        """(n,) as scores/forgetting.py has it: share of rounds at which it was just forgotten."""
        return Forgetting()(self._history())

    def _history(self) -> Outputs:
        """Each round as one of two classes, the given label and the best other one."""
        table = np.stack(self._answers)  # (m, n, 2)
        first = np.zeros(table.shape[1], np.int32)
        return Outputs(table[-1], table[-1], labels=first, history=table)

    def state(self) -> dict[str, npt.NDArray[np.float32]]:
        """What `restore` takes."""
        if not self._errors:
            return {}
        return {"errors": np.stack(self._errors), "answers": np.stack(self._answers)}

    def restore(self, state: Mapping[str, npt.NDArray[np.float32]]) -> None:
        self._errors = list(state.get("errors", ()))
        self._answers = list(state.get("answers", ()))
