"""The scorer: one run of the model, every score once, everything on the grid.

Nothing here looks beyond a row: the result of a text and its label is the same in every batch,
to the last bit, if the model keeps that law (scoring.types.Model).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from scoring.candidates import expand, plausibility_of, recall, top_probabilities
from scoring.grade import MOST_CLASSES, BadOutputs, grade, take
from scoring.types import NO_LABEL, UNKNOWN_LABEL, Ints, Model, Outputs, Score, Scored

__all__ = [
    "BadOutputs",
    "Scorer",
    "Unsupplied",
    "expand",
    "grade",
    "plausibility_of",
    "recall",
    "top_probabilities",
]

SUPPLIERS: Mapping[str, str] = {
    "hidden": "a checkpoint exported with the input of its last layer",
    "slots": "a checkpoint with a slot head",
    "history": "a model that runs the last m checkpoints",
    "hidden_history": "a model that runs the last m checkpoints and gives their last layer's input",
    "gradient": "a model that runs backward under its last m checkpoints: none here does",
    "slot_labels": "records whose slots were annotated, as tags of the model's words",
    "slot_hidden": "a checkpoint exported with the input of its slot layer",
    "lengths": "a model that says how many tokens it read",
    "reference": "a second checkpoint, trained on held-out rows alone",
    "prior": "shares of the classes, from the pinned calibration or from a null model",
    "trails": "slot-trail entropies of the classes (scoring.trails), from the pinned calibration",
}
FIELDS: Mapping[str, str] = {"slots": "slot_probs", "gradient": "gradients"}  # others: their name


class Unsupplied(ValueError):
    """A score that this model cannot feed; found before the first record is read."""

    def __init__(self, score: str, missing: str) -> None:
        supplier = SUPPLIERS.get(missing, "nothing known")
        super().__init__(
            f"score {score!r} needs {missing!r}, which the model does not give; "
            f"what would supply it: {supplier}"
        )
        self.score, self.missing = score, missing


class Scorer:
    """Scores batches with one model. Used from one thread at a time, as the model is."""

    def __init__(self, model: Model, scores: Sequence[Score]) -> None:
        """Rehearses one empty text, so that what cannot work is refused here.

        Raises Unsupplied for a score the model cannot feed, ValueError for classes or scores
        that are named twice or that leave the grid, BadOutputs for a broken model.
        """
        _refuse_twice("score", [score.name for score in scores])
        _refuse_twice("class", model.classes)
        if not 1 <= len(model.classes) <= MOST_CLASSES:
            raise ValueError(f"{len(model.classes)} classes: 1 to {MOST_CLASSES} can be stored")
        self._model = model
        self._scores = tuple(scores)
        self._index = {name: index for index, name in enumerate(model.classes)}
        rehearsed = self._run([""])
        for score in self._scores:
            for need in sorted(score.needs - _supplied(rehearsed)):
                raise Unsupplied(score.name, need)
        grade(replace(rehearsed, labels=np.zeros(1, np.int32)), self._scores)

    def score(self, texts: Sequence[str], labels: Sequence[str | None]) -> Scored:
        """Score n texts; `labels[i]` is None where the record has none. Raises BadOutputs."""
        if len(texts) != len(labels):
            raise ValueError(f"{len(texts)} texts but {len(labels)} labels")
        column = self._label_indices(labels)
        return grade(replace(self._run(texts), labels=column), self._scores)

    def _label_indices(self, labels: Sequence[str | None]) -> Ints:
        index = self._index
        return np.array(
            [NO_LABEL if label is None else index.get(label, UNKNOWN_LABEL) for label in labels],
            np.int32,
        )

    def _run(self, texts: Sequence[str]) -> Outputs:
        # most of live traffic repeats: a row is a function of its text, so once is enough
        distinct = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        outputs = self._model.run(list(distinct))
        if len(distinct) < len(texts):
            rows = np.fromiter((distinct[text] for text in texts), np.intp, len(texts))
            outputs = take(outputs, rows)
        expected = (len(texts), len(self._model.classes))
        if outputs.probs.shape != expected or outputs.probs.dtype != np.float32:
            found = f"{outputs.probs.dtype} {outputs.probs.shape}"
            raise BadOutputs(f"probabilities are {found}, not float32 {expected}")
        return outputs


def _supplied(outputs: Outputs) -> set[str]:
    """What can be needed and is there. Labels come with the records, not from the model."""
    there = {need for need in SUPPLIERS if getattr(outputs, FIELDS.get(need, need)) is not None}
    return there | {"label"}


def _refuse_twice(what: str, given: Sequence[str]) -> None:
    if len(set(given)) != len(given):
        twice = sorted({name for name in given if given.count(name) > 1})
        raise ValueError(f"{what} named twice: {', '.join(twice)}")
