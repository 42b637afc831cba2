"""A checkpoint with the others that its edition names: earlier ones, and a reference.

All are models of one folder of kinds, so each row of what they say together is still a function of
its text alone. Classes are told by name: under a checkpoint that lacks a class it has probability
0, and what only another checkpoint knows is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, cast

import numpy as np

from scoring.supplies import Layered
from scoring.temperature import ONE, tempered
from scoring.types import Floats, Ints, Model, Outputs


@dataclass(frozen=True, slots=True, eq=False)
class Pinned:
    """A loaded checkpoint and its temperature (scoring.temperature)."""

    model: Model
    temperature: int = ONE


class Backward(Protocol):
    """What an engine offers that runs backward."""

    reads: str  # equal where tokenizer, cut and width are: gradients then have one shape

    def gradients(self, texts: Sequence[str], classes: Ints) -> tuple[Floats, ...]: ...


def ensemble(
    own: Pinned, earlier: Sequence[Pinned] = (), reference: Pinned | None = None
) -> Model:
    """The model of an edition; `earlier` oldest first. Runs backward if all of them do, alike."""
    tower = [*earlier, own]
    reads = {getattr(pinned.model, "reads", None) for pinned in tower}
    kind = Ensemble if not earlier or None in reads or len(reads) > 1 else DeepEnsemble
    return kind(own, tuple(earlier), reference)


class Ensemble:
    """Outputs of the edition's checkpoint, with the history and the reference of the others.

    Whoever loaded the models closes them.
    """

    def __init__(
        self, own: Pinned, earlier: tuple[Pinned, ...], reference: Pinned | None
    ) -> None:
        self.classes = own.model.classes
        self.fingerprint = own.model.fingerprint
        self.engine = own.model.engine
        self.tags: tuple[str, ...] = getattr(own.model, "tags", ())
        self._own, self._earlier, self._reference = own, earlier, reference

    def run(self, texts: Sequence[str]) -> Outputs:
        """See `scoring.types.Model`."""
        outputs = _run(self._own, texts)
        if self._earlier:
            past = [_run(pinned, texts) for pinned in self._earlier]
            probs = [
                _aligned(old.probs, pinned.model.classes, self.classes)
                for old, pinned in zip(past, self._earlier, strict=True)
            ]
            history = np.stack([*probs, outputs.probs])
            outputs = replace(outputs, history=history, hidden_history=_hidden([*past, outputs]))
        if self._reference:
            other = _run(self._reference, texts)
            known = self._reference.model.classes
            outputs = replace(outputs, reference=_aligned(other.probs, known, self.classes))
        return outputs

    @property
    def layers(self) -> int:
        """Of the edition's checkpoint; 0 where its engine runs no backward pass."""
        layers: int = getattr(self._own.model, "layers", 0)
        return layers

    def layer_gradients(self, texts: Sequence[str], classes: Ints, layer: int) -> Floats:
        """(n,) of the edition's checkpoint alone, by its own logits: no temperature."""
        return cast(Layered, self._own.model).layer_gradients(texts, classes, layer)

    def close(self) -> None:
        """Nothing of its own is open."""


class DeepEnsemble(Ensemble):
    """The same where all checkpoints run backward."""

    @property
    def depth(self) -> int:
        return len(self._earlier) + 1

    def gradients(self, texts: Sequence[str], classes: Ints) -> tuple[Floats, ...]:
        """n arrays (m, L_i, d), oldest checkpoint first; 0 under one that lacks the class."""
        towers = []
        for pinned in (*self._earlier, self._own):
            places = {name: at for at, name in enumerate(pinned.model.classes)}
            at = np.array([places.get(self.classes[c], -1) for c in classes.tolist()], np.int32)
            model = cast(Backward, pinned.model)
            found = model.gradients(texts, np.maximum(at, 0))
            towers.append(
                [one if known >= 0 else np.zeros_like(one)
                 for one, known in zip(found, at.tolist(), strict=True)]
            )  # fmt: skip
        return tuple(np.stack(rows) for rows in zip(*towers, strict=True))


def _run(pinned: Pinned, texts: Sequence[str]) -> Outputs:
    return tempered(pinned.model.run(texts), pinned.temperature)


def _aligned(probs: Floats, given: tuple[str, ...], wanted: tuple[str, ...]) -> Floats:
    """Columns by name: (n, len(given)) -> (n, len(wanted)); 0 for a name that is not given."""
    if given == wanted:
        return probs
    places = {name: at for at, name in enumerate(given)}
    at = np.array([places.get(name, -1) for name in wanted], np.intp)
    columns: Floats = probs[:, at]  # -1 takes some column, which is then cleared
    columns[:, at < 0] = 0.0
    return columns


def _hidden(outputs: Sequence[Outputs]) -> Floats | None:
    """(m, n, d), or None where a checkpoint does not give it or their widths differ."""
    tables = [one.hidden for one in outputs if one.hidden is not None]
    if len(tables) < len(outputs) or len({table.shape for table in tables}) > 1:
        return None
    return np.stack(tables)
