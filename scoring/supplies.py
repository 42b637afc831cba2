"""What scores need and where it comes from: from the model, the edition, the calibration, records.

A score that is asked for and cannot be fed is refused before the first record, in one line that
says which score, what it lacks and what would provide it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from scoring.types import NO_LABEL, UNKNOWN_LABEL, Direction, Floats, Ints, Model, Outputs, Score

Tags = tuple[str, ...]  # of a text: the slot tag of each of its words, which `str.split` tells

SUPPLIERS: Mapping[str, str] = {
    "hidden": "a checkpoint exported with the input of its last layer",
    "slots": "a checkpoint with a slot head",
    "history": "earlier checkpoints: policy.history, or `sluice publish --history LIST`",
    "hidden_history": "earlier checkpoints, each exported with the input of its last layer, all of "
    "one width",
    "gradient": "engine torch, and three or more earlier checkpoints of the same tokenizer and "
    "width; engine onnx runs no backward pass",
    "layer_gradient": "engine torch, and a checkpoint whose encoder is a stack of layers; engine "
    "onnx runs no backward pass",
    "slot_labels": "records with a tag for each word (policy.record.tags), and a checkpoint that "
    "names the tags of its slot head",
    "slot_hidden": "a checkpoint exported with the input of its slot layer",
    "lengths": "an engine that says how many tokens it read: all of ours do",
    "reference": "`sluice publish --reference CHECKPOINT`: one trained on held-out rows alone",
    "prior": "shares of the classes in the pinned calibration, which a run always has",
    "trails": "`sluice publish --sample FILE` with labels, and tags of the words",
    "direction": "`sluice publish --trusted FILE`: rows with right labels, not trained on",
}
FIELDS: Mapping[str, str] = {"slots": "slot_probs", "gradient": "gradients"}  # others: their name
OF_CLASSES = frozenset({"prior", "trails"})  # tables: the same for all rows
OF_OTHERS = frozenset({"history", "hidden_history", "gradient"})  # earlier checkpoints feed these


class Unsupplied(ValueError):
    """A score that nobody feeds here; found before the first record is read."""

    def __init__(self, score: str, missing: str) -> None:
        supplier = SUPPLIERS.get(missing, "nothing known")
        super().__init__(
            f"score {score!r} needs {missing!r}, which is not supplied; "
            f"what would supply it: {supplier}"
        )
        self.score, self.missing = score, missing


class TooFewCheckpoints(ValueError):
    """A score that is fed, but by fewer checkpoints than say anything."""


@dataclass(frozen=True, slots=True, eq=False)
class Supplies:
    """What does not come from the model. Tables are over its classes, the same for all rows."""

    prior: Floats | None = None  # (k,) shares; a window brings its own
    trails: Floats | None = None  # (k,) bits
    direction: Direction | None = None  # of trusted rows
    tagged: bool = False  # records may carry tags


@runtime_checkable
class Tagger(Protocol):
    """A model whose slot head has named outputs."""

    tags: tuple[str, ...]


@runtime_checkable
class Differentiable(Protocol):
    """A model that runs backward, under `depth` checkpoints."""

    depth: int

    def gradients(self, texts: Sequence[str], classes: Ints) -> tuple[Floats, ...]:
        """n arrays (depth, L_i, d), as scores/vog.py wants them. A row is a function of its text
        and class alone."""


@runtime_checkable
class Layered(Protocol):
    """A model that runs backward to each layer of its encoder."""

    @property
    def layers(self) -> int:
        """How many there are; 0: it does not run backward."""

    def layer_gradients(self, texts: Sequence[str], classes: Ints, layer: int) -> Floats:
        """(n,) as scores/grand_layer.py wants it; UNKNOWN_LABEL is a class. A row is a function
        of its text and class alone."""


@runtime_checkable
class OfLayer(Protocol):
    """A score of one layer, counted as Python does."""

    layer: int


def layer_of(model: Model, scores: Sequence[Score]) -> int | None:
    """The layer that one of the scores asks for. Raises ValueError if the model has none such."""
    for score in scores:
        if isinstance(score, OfLayer) and isinstance(model, Layered) and model.layers:
            if not -model.layers <= score.layer < model.layers:
                raise ValueError(
                    f"score {score.name!r}: there is no layer {score.layer}, this checkpoint has "
                    f"{model.layers}: options.layer is 0 to {model.layers - 1}, or -1 for the last"
                )
            return score.layer
    return None


def needs_of(outputs: Outputs) -> set[str]:
    """What can be needed and is there. Labels come with the records, not from the model."""
    there = {need for need in SUPPLIERS if getattr(outputs, FIELDS.get(need, need)) is not None}
    return there | {"label"}


def shares(counts: Sequence[int]) -> Floats:
    """(k,) from k counts > 0: the one division that makes a prior of them."""
    total = sum(counts)
    return np.array([count / total for count in counts], np.float32)


def slot_labels(
    index: Mapping[str, int], tags: Sequence[Tags | None], slot_probs: Sequence[Floats]
) -> tuple[Ints, ...]:
    """n arrays (T_i,): indices of the tags of the words that the model read; words behind its cut
    are left out. NO_LABEL for a text that nobody tagged, UNKNOWN_LABEL for a tag it has not."""
    rows = []
    for said, probs in zip(tags, slot_probs, strict=True):
        row = np.full(len(probs), NO_LABEL, np.int32)
        if said is not None:
            found = [index.get(tag, UNKNOWN_LABEL) for tag in said[: len(row)]]
            row[: len(found)] = found
        rows.append(row)
    return tuple(rows)


def class_gradients(
    model: Differentiable, texts: Sequence[str], labels: Ints
) -> tuple[Floats, ...]:
    """n arrays (depth, L_i, d) for the known label of each row; of other rows without a token.

    Equal (text, label) are run once.
    """
    nothing = np.zeros((model.depth, 0, 1), np.float32)
    known = [(texts[row], int(labels[row])) for row in np.flatnonzero(labels >= 0).tolist()]
    pairs = dict.fromkeys(known)
    if not pairs:
        return (nothing,) * len(texts)
    classes = np.array([label for _, label in pairs], np.int32)
    found = dict(zip(pairs, model.gradients([text for text, _ in pairs], classes), strict=True))
    rows = zip(texts, labels.tolist(), strict=True)
    return tuple(found.get((text, label), nothing) for text, label in rows)


def layer_gradients(model: Layered, texts: Sequence[str], labels: Ints, layer: int) -> Floats:
    """(n,) for the label of each row, 0 without one. Equal (text, label) are run once."""
    rows = np.flatnonzero(labels != NO_LABEL).tolist()
    pairs = [(texts[row], int(labels[row])) for row in rows]
    places = {pair: at for at, pair in enumerate(dict.fromkeys(pairs))}
    lengths = np.zeros(len(texts), np.float32)
    if places:
        classes = np.array([label for _, label in places], np.int32)
        found = model.layer_gradients([text for text, _ in places], classes, layer)
        lengths[rows] = found[[places[pair] for pair in pairs]]
    return lengths
