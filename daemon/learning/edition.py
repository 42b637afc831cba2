"""Editions: numbered, published entries; the highest whose first window has come decides."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from daemon.learning.calibration import Half
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


def name(number: int) -> str:
    """Of the object that holds edition `number`."""
    return f"{PREFIX}{number:06d}.json"


def effective(editions: Sequence[Edition], window: int) -> Edition | None:
    """The highest number whose first window is not after `window`."""
    fit = [e for e in editions if e.number == 0 or e.first_window <= window]
    return max(fit, key=lambda edition: edition.number, default=None)
