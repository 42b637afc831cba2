"""Outputs and labels to the grid: every score once, and how plausible each label is.

The one way from a model's outputs to decisions, for labels that came with the record and for
those that came later (scoring.candidates).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from scoring.rows import to_grid, top_two
from scoring.types import MISSING, NO_LABEL, Floats, Grid, Outputs, Score, Scored

S = TypeVar("S", bound=np.generic)
T = TypeVar("T")

SMOOTHING = 1 / 32  # probability that is added to both sides of the odds of a label
MOST_CLASSES = 65_535  # class indices are stored as uint16, the last one means "none"


class BadOutputs(ValueError):
    """The model broke its contract: wrong shape or type, or numbers that are no probabilities.

    Going on would write rubbish for ever; nobody heals it by trying again.
    """


def grade(outputs: Outputs, scores: Sequence[Score]) -> Scored:
    """Every score of every row that has what it needs, and the label's plausibility.

    `outputs.labels` None means that no row has one. What else the scores need must be there.
    Raises BadOutputs where a probability or a score is not finite or leaves its range.
    """
    probs = outputs.probs
    n = len(probs)
    labels = np.full(n, NO_LABEL, np.int32) if outputs.labels is None else outputs.labels
    argmax, first, second = top_two(probs)
    if not ((first > 0.0) & (first <= 1.001)).all():  # also false for NaN
        raise BadOutputs("the model returned probabilities outside (0, 1] or not finite")
    labelled = np.flatnonzero(labels != NO_LABEL)
    some = outputs if len(labelled) == n else take(outputs, labelled)
    columns: dict[str, Grid] = {}
    for score in scores:
        needs_label = "label" in score.needs
        columns[score.name] = column = np.full(n, MISSING, np.int16)
        column[labelled if needs_label else slice(None)] = _checked(
            score, some if needs_label else outputs
        )
    known = np.flatnonzero(labels >= 0)
    plausibility = np.full(n, MISSING, np.int16)
    given = labels[known]
    rival = np.where(given == argmax[known], second[known], first[known])
    plausibility[known] = _odds(probs[known, given], rival)
    return Scored(argmax, labels, columns, plausibility, probs)


def take(outputs: Outputs, rows: npt.NDArray[np.intp]) -> Outputs:
    """The outputs of some rows, every column of them."""

    def ragged(column: tuple[T, ...] | None) -> tuple[T, ...] | None:
        return None if column is None else tuple(column[row] for row in rows)

    def of_rows(column: npt.NDArray[S] | None) -> npt.NDArray[S] | None:
        return None if column is None else column[rows]

    def of_history(column: Floats | None) -> Floats | None:
        return None if column is None else column[:, rows]

    return Outputs(
        logits=outputs.logits[rows],
        probs=outputs.probs[rows],
        hidden=of_rows(outputs.hidden),
        slot_probs=ragged(outputs.slot_probs),
        labels=of_rows(outputs.labels),
        history=of_history(outputs.history),
        hidden_history=of_history(outputs.hidden_history),
        gradients=ragged(outputs.gradients),
        layer_gradient=of_rows(outputs.layer_gradient),
        slot_labels=ragged(outputs.slot_labels),
        slot_hidden=ragged(outputs.slot_hidden),
        lengths=of_rows(outputs.lengths),
        reference=of_rows(outputs.reference),
        prior=outputs.prior,
        trails=outputs.trails,
        direction=outputs.direction,
    )


def _odds(given: Floats, rival: Floats) -> Grid:
    """(p_y + SMOOTHING) / (p_y + max_{j != y} p_j + 2 SMOOTHING) on the grid.

    Near 1: surely right; 1/2: level with its rival; near 0: surely wrong. The normalised margin of
    Northcutt, Jiang and Chuang 2021 puts a doubted label among small probabilities near 1/2, as if
    it were level; its bare odds condemn whatever a young checkpoint has never seen. Lidstone's
    smoothing lies between the two; docs/results/default.md has what each is worth.
    """
    smooth = np.float32(SMOOTHING)
    return to_grid((given + smooth) / (given + rival + 2 * smooth))


def _checked(score: Score, outputs: Outputs) -> Grid:
    values = score(outputs)
    inside = (values >= 0.0) & (values <= np.float32(score.high))  # false for NaN
    if values.shape != (len(outputs.probs),) or not inside.all():
        raise BadOutputs(f"score {score.name!r} left its range [0, {score.high:g}]")
    return to_grid(values)
