"""The direction in which trusted rows would move the last layer, and how far a row goes along.

H^-1 g of scoring.influence, made once where a checkpoint is published, as a table of whole numbers.
Products of whole numbers below 2**53 are exact in float64 whatever order a library adds them in, so
the influence of a row is the same bits in every batch and on every CPU (law 7): at most WIDEST
inputs of 2**21 steps each, times entries of 2**18.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scoring import influence
from scoring.influence import Doubles
from scoring.rows import blocks, row_sums
from scoring.scores.given import squared_error
from scoring.scores.scale import squared_norm
from scoring.types import Floats, Ints

BITS = 18  # of the largest entry, and of the largest input of the sample
ROOM = 3  # more bits for inputs beyond those of the sample; then they are cut
FINEST = 30  # a step of the inputs is not smaller than 2**-FINEST: the bias is an input of 1
WIDEST = 1 << 13  # inputs of the layer
DAMPING, TOLERANCE = 0.01, 1e-3  # of the solution


@dataclass(frozen=True, slots=True, eq=False)
class Direction:
    """Influences are told in units of their span over the sample's rows, efforts likewise."""

    table: Doubles  # (k, d + 1) whole numbers; the last column is the bias
    inputs: int  # inputs are read in steps of 2**-inputs
    entries: int  # entries count 2**-entries
    least: float  # smallest influence of the sample, in spans
    effort: tuple[float, float]  # smallest effort of the sample, and the span

    def influences(self, probs: Floats, hidden: Floats, labels: Ints) -> Floats:
        """(n,) 0 at the sample's smallest, 1 at its largest; not cut. UNKNOWN_LABEL is a class of
        its own, of probability 0. ValueError where the layer has other inputs."""
        if hidden.shape[1] + 1 != self.table.shape[1]:
            found, made = hidden.shape[1], self.table.shape[1] - 1
            raise ValueError(f"the layer has {found} inputs, its trusted direction {made}")
        return _along(self, probs, hidden, labels) - np.float32(self.least)

    def efforts(self, probs: Floats, hidden: Floats, labels: Ints) -> Floats:
        """(n,) likewise, of ||grad loss||_2 of the layer."""
        low, span = self.effort
        return (_effort(probs, hidden, labels) - np.float32(low)) / np.float32(span)


def solve(trusted: tuple[Floats, Floats, Ints], sample: tuple[Floats, Floats, Ints]) -> Direction:
    """From (probs, hidden, labels) of trusted rows and of a sample of the traffic.

    Raises ValueError where either has no row with a known label or the layer is too wide, and
    scoring.influence.NotSolved.
    """
    (probs, hidden, labels), known = trusted, np.flatnonzero(trusted[2] >= 0)
    own = np.flatnonzero(sample[2] >= 0)
    for rows, what in ((known, "trusted rows"), (own, "rows of the sample")):
        if not len(rows):
            raise ValueError(f"no label of the {what} is one that the checkpoint knows")
    if hidden.shape[1] > WIDEST:
        raise ValueError(f"the last layer has more than {WIDEST} inputs")
    gradient = influence.mean_gradient(_wide(probs[known]), _wide(hidden[known]), labels[known])
    solved = influence.solve(gradient, _wide(sample[0]), _wide(sample[1]), DAMPING, TOLERANCE)
    some = sample[0][own], sample[1][own], sample[2][own]
    values = influence.influence(_wide(some[0]), _wide(some[1]), some[2], solved)
    span = float(np.ptp(values)) or 1.0
    table, largest = solved / span, float(np.abs(some[1]).max(initial=0.0))
    inputs, entries = min(FINEST, _steps(largest)), _steps(float(np.abs(table).max()))
    whole = np.rint(table * 2.0**entries)
    efforts = _effort(*some)
    low, wide = float(efforts.min()), float(np.ptp(efforts)) or 1.0
    return Direction(whole, inputs, entries, float(values.min()) / span, (low, wide))


def _wide(column: Floats) -> Doubles:
    return column.astype(np.float64)


def _steps(largest: float) -> int:
    """So many bits behind the point that `largest` has BITS."""
    return BITS - math.frexp(largest)[1] if largest else 0


def _along(direction: Direction, probs: Floats, hidden: Floats, labels: Ints) -> Floats:
    most, unit = np.float32(1 << BITS + ROOM), np.float32(2.0**direction.inputs)
    inputs, bias = direction.table[:, :-1].T, direction.table[:, -1] * float(unit)
    back = 2.0 ** -(direction.inputs + direction.entries)
    result = np.empty(len(hidden), np.float32)
    for block in blocks(len(result)):
        steps = hidden[block] * unit  # whole numbers of 21 bits are exact in float32, too
        np.clip(np.rint(steps, out=steps), -most, most, out=steps)
        moved = steps.astype(np.float64) @ inputs
        moved += bias
        moved *= back  # a power of two: still exact
        error = np.array(probs[block], np.float32, order="C")
        given = labels[block]
        known = np.flatnonzero(given >= 0)
        error[known, given[known]] -= np.float32(1.0)
        error *= moved.astype(np.float32)
        result[block] = row_sums(error)
    return result


def _effort(probs: Floats, hidden: Floats, labels: Ints) -> Floats:
    squares = squared_error(probs, labels) * (squared_norm(hidden) + np.float32(1.0))
    # infinite inputs are no large ones: the grade is refused, not cut
    return np.sqrt(np.where(np.isfinite(squares), squares, np.float32(np.nan)))
