"""What an edition brings for its scores besides its checkpoint: other checkpoints, tables, a
temperature. Content of the edition, so it is pinned with it (laws 4 and 7). Integers alone.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from msgspec import Meta, Struct, UnsetType

from scoring.types import Floats

BIT = 1 << 16  # fixed point of slot-trail entropies
MILLION = 1_000_000  # fixed point of calibration errors

History = (
    Annotated[
        int,
        Meta(
            ge=2,
            le=64,
            description="checkpoints whose outputs make the history that some scores read: this "
            "one and those of the editions before; left out: none",
        ),
    ]
    | UnsetType
)
Calibrate = (
    Annotated[
        Literal["temperature"],
        Meta(description="of probabilities, on the labels of the sample; left out: as they are"),
    ]
    | UnsetType
)
TagsPath = (
    Annotated[
        str,
        Meta(
            min_length=1,
            max_length=200,
            pattern=r"^[^.\s]+(\.[^.\s]+)*$",
            description="annotated slot tags, a list with one for each word; left out: none",
        ),
    ]
    | UnsetType
)


class Fit(Struct, frozen=True):
    """What a temperature did on the sample that it was fitted on."""

    rows: int
    before: int  # expected calibration error without it, in millionths
    after: int


class Trusted(Struct, frozen=True):
    """A scoring.directions.Direction, which daemon.running.supplying makes of it. In 1/BIT."""

    table: bytes  # (k, d + 1) int32, little-endian
    classes: int  # k
    inputs: int
    entries: int
    least: int
    effort: tuple[int, int]


class Supplied(Struct, frozen=True, omit_defaults=True):
    """Checkpoints are named by the digest of their manifest."""

    history: tuple[str, ...] = ()  # before this one, oldest first
    reference: str = ""  # of held-out rows alone
    temperatures: dict[str, int] = {}  # in 1/GRID; of those that are not named: 1
    fit: Fit | None = None  # of the edition's own checkpoint
    trails: tuple[int, ...] = ()  # slot-trail entropy of each class, in 1/BIT bits
    direction: Trusted | None = None  # where trusted rows pull the last layer

    @property
    def trail_bits(self) -> Floats | None:
        """(k,) bits, or None where no sample told them."""
        return np.array(self.trails, np.float32) / np.float32(BIT) if self.trails else None


NOTHING = Supplied()
