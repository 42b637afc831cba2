"""An edition's model and tables as its scores want them: only what one of them needs is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from msgspec import UnsetType

from daemon.learning.supplied import BIT, Supplied, Trusted
from daemon.policy import Policy
from scoring.directions import Direction
from scoring.models import selftest
from scoring.models.ensemble import Pinned, ensemble
from scoring.supplies import OF_OTHERS, Differentiable, Layered, Supplies
from scoring.temperature import ONE
from scoring.types import Floats, Model, Score

Load = Callable[[str], Model]  # by the digest of a checkpoint


def needs_of(scores: Iterable[Score]) -> frozenset[str]:
    """What any of them needs."""
    return frozenset(need for score in scores for need in score.needs)


def others(
    supplied: Supplied, needs: frozenset[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Earlier checkpoints and the reference, if there is one: each is one more forward pass."""
    history = supplied.history if needs & OF_OTHERS else ()
    reference = (supplied.reference,) if supplied.reference and "reference" in needs else ()
    return history, reference


def passes(supplied: Supplied, needs: frozenset[str]) -> int:
    """Forward passes of a text whose scores have these needs."""
    return 1 + sum(map(len, others(supplied, needs)))


def backward(supplied: Supplied, needs: frozenset[str]) -> int:
    """Backward passes of a text whose scores have these needs."""
    of_each = len(supplied.history) + 1 if "gradient" in needs else 0
    return of_each + ("layer_gradient" in needs)


def model(checkpoint: str, supplied: Supplied, needs: frozenset[str], load: Load) -> Model:
    """The model of an edition. Raises NotInvariant where its gradients depend on the batch."""

    def pinned(digest: str) -> Pinned:
        return Pinned(load(digest), supplied.temperatures.get(digest, ONE))

    own, (history, reference) = pinned(checkpoint), others(supplied, needs)
    if "layer_gradient" in needs and isinstance(own.model, Layered) and own.model.layers:
        selftest.layer_test(own.model, own.model.engine)
    if not history and not reference and own.temperature == ONE:
        return own.model
    held_out = [pinned(digest) for digest in reference]
    made = ensemble(own, [pinned(digest) for digest in history], *held_out)
    if "gradient" in needs and isinstance(made, Differentiable):
        selftest.gradient_test(made, made.engine)
    return made


def stored(made: Direction) -> Trusted:
    """The direction with its fractions rounded: every window reads what is stored."""
    table = made.table.astype("<i4").tobytes()
    least, low, span = (round(value * BIT) for value in (made.least, *made.effort))
    return Trusted(table, len(made.table), made.inputs, made.entries, least, (low, max(1, span)))


def direction(known: Trusted) -> Direction:
    """What an edition holds, as a score reads it."""
    table = np.frombuffer(known.table, "<i4").reshape(known.classes, -1).astype(np.float64)
    low, span = (value / BIT for value in known.effort)
    return Direction(table, known.inputs, known.entries, known.least / BIT, (low, span))


def supplies(supplied: Supplied, policy: Policy, prior: Floats | int) -> Supplies:
    """What comes beside the model; `prior`: shares, or the number of classes where nothing is
    known of them yet."""
    shares = np.full(prior, 1 / prior, np.float32) if isinstance(prior, int) else prior
    tagged = not isinstance(policy.record.tags, UnsetType)
    known = direction(supplied.direction) if supplied.direction else None
    return Supplies(shares, supplied.trail_bits, known, tagged)
