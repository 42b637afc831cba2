"""Which rows an epoch trains on: all, the hardest of now, or others drawn anew.

`dynamic` is the schedule of NLU on Data Diets (Attendu and Corbeil 2023, arXiv 2306.03208): some
epochs on everything, then all rows are scored by a forward pass, the top share is trained on for
some epochs, all rows are scored again, and so on. Nothing is removed for good. `random` draws as
many rows at the same moments; `full` is what both are compared with.

`weighted` scores all rows at the same moments as `dynamic`, but draws every epoch's rows anew, with
chances that grow with the score: the hardest rows alone hold next to none of an easy intent, and
five epochs on them can make a model forget what most utterances are (docs/results/joint.md).
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct

from scoring.training.dice import Dice, Floats64, Ints64

Kind = Literal["full", "dynamic", "weighted", "random"]
By = Literal["rows", "tokens"]
Reals = npt.NDArray[np.floating[Any]]

LEAST = 1e-3  # is added to a score that is a weight: what is learnt stays in reach


class Schedule(Struct, frozen=True, forbid_unknown_fields=True):
    """When rows are chosen, and how many."""

    kind: Kind = "full"
    keep: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.5  # share of the rows, or of their tokens
    by: By = "rows"  # tokens: what is hard is long, and what is long costs time; not of `random`
    warm: Annotated[int, Meta(ge=0)] = 1  # epochs on all rows first (tau of the paper)
    every: Annotated[int, Meta(ge=1)] = 2  # epochs on one choice (T of the paper)
    offset: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.0  # share of the hardest that is left out
    alpha: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.8  # weight of the newest round
    c: Annotated[float, Meta(ge=0.0, le=6.0)] = 1.0  # what unrest is worth: times the deviation

    def chooses(self, epoch: int) -> bool:
        """Rows are chosen before this epoch, 0 being the first."""
        after = epoch - self.warm
        every = 1 if self.kind == "weighted" else self.every
        return self.kind != "full" and after >= 0 and after % every == 0

    def scores(self, epoch: int) -> bool:
        """All rows are scored before this epoch. A first choice without a trained epoch is random,
        as in the paper's code: an untrained model's errors say nothing (arXiv 2303.14753)."""
        due = epoch > 0 and epoch >= self.warm and (epoch - self.warm) % self.every == 0
        return self.kind in ("dynamic", "weighted") and due

    def size(self, rows: int) -> int:
        """How many rows are kept, at least one."""
        return max(1, math.ceil(round(self.keep * rows, 6)))

    def seen(self, epochs: int, rows: int) -> tuple[int, int]:
        """(trained, scored) rows of a whole training."""
        warm = epochs if self.kind == "full" else min(self.warm, epochs)
        scored = sum(map(self.scores, range(epochs))) * rows
        return warm * rows + (epochs - warm) * self.size(rows), scored


def hardest(scores: Reals, size: int, offset: float) -> Ints64:
    """The `size` rows of the largest scores, ascending; the share `offset` above them is left out.

    Equal scores go by row. Where fewer are left below the offset, the offset gives way.
    """
    order = np.argsort(-scores, kind="stable")
    first = min(int(offset * len(scores)), len(scores) - size)
    return np.sort(order[first : first + size])


def affordable(scores: Reals, costs: Ints64, share: float, offset: float) -> Ints64:
    """The rows of the largest scores that together cost at most `share` of all, ascending.

    As `hardest` in all else; at least one row. Costs are above 0.
    """
    order = np.argsort(-scores, kind="stable")
    most = round(share * int(costs.sum()), 6)
    left = np.cumsum(costs[order][::-1])[::-1]  # cost of each row and of all below it
    first = min(int(offset * len(scores)), int((left > most).sum()))
    size = int((np.cumsum(costs[order[first:]]) <= most).sum())
    return np.sort(order[first : first + max(1, size)])


def drawn(rows: int, size: int, dice: Dice, epoch: int) -> Ints64:
    """`size` of the rows without replacement, ascending."""
    return np.sort(dice.permutation(f"choice {epoch}", rows)[:size])


def keys(scores: Reals, offset: float, dice: Dice, epoch: int) -> Floats64:
    """(n,) of which the k largest are k rows drawn one after another without replacement, each
    with a chance proportional to score + LEAST among those that are left.

    u ** (1 / weight) of Efraimidis and Spirakis (2006, doi:10.1016/j.ipl.2005.11.003), as a
    logarithm. The share `offset` of the largest scores, which are 0 or more, comes last.
    """
    weights = scores.astype(np.float64) + LEAST
    uniforms = 1.0 - dice.uniforms(f"keys {epoch}", len(scores))  # in (0, 1]
    found: Floats64 = np.log(uniforms) / weights
    found[np.argsort(-scores, kind="stable")[: int(offset * len(scores))]] = -np.inf
    return found
