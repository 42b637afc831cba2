"""The scorer: one run of the model, every score once, everything on the grid.

Nothing here looks beyond a row: the result of a text and its label is the same in every batch,
to the last bit, if the model keeps that law (scoring.types.Model).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scoring.candidates import expand, plausibility_of, recall, top_probabilities
from scoring.grade import MOST_CLASSES, BadOutputs, grade, take
from scoring.supplies import (
    FIELDS,
    SUPPLIERS,
    Differentiable,
    Layered,
    Supplies,
    Tagger,
    Tags,
    Unsupplied,
    class_gradients,
    layer_gradients,
    layer_of,
    needs_of,
    slot_labels,
)
from scoring.types import NO_LABEL, UNKNOWN_LABEL, Floats, Ints, Model, Outputs, Score, Scored

__all__ = [
    "FIELDS",
    "SUPPLIERS",
    "BadOutputs",
    "Scorer",
    "Supplies",
    "Unsupplied",
    "expand",
    "grade",
    "plausibility_of",
    "recall",
    "top_probabilities",
]
NOTHING = Supplies()

class Scorer:
    """Scores batches with one model. Used from one thread at a time, as the model is."""

    def __init__(
        self, model: Model, scores: Sequence[Score], supplies: Supplies = NOTHING
    ) -> None:
        """Rehearses one empty text, so that what cannot work is refused here.

        Raises Unsupplied for a score that nobody feeds, ValueError for classes or scores
        that are named twice or that leave the grid and for a layer that the model does not
        have, BadOutputs for a broken model.
        """
        _refuse_twice("score", [score.name for score in scores])
        _refuse_twice("class", model.classes)
        if not 1 <= len(model.classes) <= MOST_CLASSES:
            raise ValueError(f"{len(model.classes)} classes: 1 to {MOST_CLASSES} can be stored")
        self._model = model
        self._scores = tuple(scores)
        self._supplies = supplies
        self._needs = frozenset(need for score in scores for need in score.needs)
        self._layer = layer_of(model, scores)
        self._index = {name: index for index, name in enumerate(model.classes)}
        named = model.tags if supplies.tagged and isinstance(model, Tagger) else ()
        self._tags = {name: index for index, name in enumerate(named)}
        rehearsed = self._outputs([""], np.zeros(1, np.int32), [()], supplies.prior)
        there = needs_of(rehearsed)
        for score in self._scores:
            # in the order of SUPPLIERS: without a history there is no history of anything
            lacking = sorted(score.needs - there, key=[*SUPPLIERS, *score.needs].index)
            if lacking:
                raise Unsupplied(score.name, lacking[0])
        grade(rehearsed, self._scores)

    def score(
        self,
        texts: Sequence[str],
        labels: Sequence[str | None],
        *,
        tags: Sequence[Tags | None] | None = None,
        prior: Floats | None = None,
    ) -> Scored:
        """Score n texts; `labels[i]` and `tags[i]` are None where the record has none.

        `prior`: (k,) shares of the classes, else those of the supplies. Raises BadOutputs.
        """
        if len(texts) != len(labels):
            raise ValueError(f"{len(texts)} texts but {len(labels)} labels")
        column = self._label_indices(labels)
        said = [None] * len(texts) if tags is None else tags
        chosen = self._supplies.prior if prior is None else prior
        return grade(self._outputs(texts, column, said, chosen), self._scores)

    def _outputs(
        self,
        texts: Sequence[str],
        labels: Ints,
        tags: Sequence[Tags | None],
        prior: Floats | None,
    ) -> Outputs:
        """What the model says, with all that scores need and that is supplied beside it."""
        outputs = replace(self._run(texts), labels=labels)
        if "prior" in self._needs and prior is not None:
            outputs = replace(outputs, prior=prior)
        if "trails" in self._needs and self._supplies.trails is not None:
            outputs = replace(outputs, trails=self._supplies.trails)
        if "direction" in self._needs and self._supplies.direction is not None:
            outputs = replace(outputs, direction=self._supplies.direction)
        if "slot_labels" in self._needs and self._tags and outputs.slot_probs is not None:
            indices = slot_labels(self._tags, tags, outputs.slot_probs)
            outputs = replace(outputs, slot_labels=indices)
        if "gradient" in self._needs and isinstance(self._model, Differentiable):
            gradients = class_gradients(self._model, texts, labels)
            outputs = replace(outputs, gradients=gradients)
        if self._layer is not None and isinstance(self._model, Layered):
            lengths = layer_gradients(self._model, texts, labels, self._layer)
            outputs = replace(outputs, layer_gradient=lengths)
        return outputs

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


def _refuse_twice(what: str, given: Sequence[str]) -> None:
    if len(set(given)) != len(given):
        twice = sorted({name for name in given if given.count(name) > 1})
        raise ValueError(f"{what} named twice: {', '.join(twice)}")
