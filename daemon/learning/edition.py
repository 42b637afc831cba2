"""Editions: numbered, published entries; the highest whose first window has come decides."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET, Struct, UnsetType

from daemon import tables
from daemon.learning import supplied as supplies
from daemon.learning.calibration import Half
from daemon.learning.supplied import Supplied
from daemon.policy import Policy

PREFIX = "editions/"


class Edition(Struct, frozen=True):
    """A checkpoint with its calibration half, a policy, and the first window it decides.

    Written by `sluice publish` after its gates passed, never by a replica; a rollback is a new
    edition (law 4).
    """

    number: int
    checkpoint: str  # digest of its manifest
    classes: tuple[str, ...]
    policy: Policy
    half: Half | None
    first_window: int  # edition 0 is valid from the genesis, whatever stands here
    version: int = 1
    supplied: Supplied | UnsetType = UNSET  # for scores that need more than the checkpoint

    @property
    def supplies(self) -> Supplied:
        """What it brings for its scores; nothing, where nothing was asked for."""
        return supplies.NOTHING if isinstance(self.supplied, UnsetType) else self.supplied

    @property
    def half_name(self) -> str:
        """Whose half it folds: scores of one checkpoint that are made of other supplies (another
        temperature, say) are not the same scores."""
        return half_name(self.checkpoint, self.supplied)


def half_name(checkpoint: str, supplied: Supplied | UnsetType) -> str:
    """The name of the half of a checkpoint with these supplies."""
    if isinstance(supplied, UnsetType):
        return checkpoint
    return f"{checkpoint}+{tables.digest(supplied)[:16]}"


def name(number: int) -> str:
    """Of the object that holds edition `number`."""
    return f"{PREFIX}{number:06d}.json"


def effective(editions: Sequence[Edition], window: int) -> Edition | None:
    """The highest number whose first window is not after `window`."""
    fit = [e for e in editions if e.number == 0 or e.first_window <= window]
    return max(fit, key=lambda edition: edition.number, default=None)
