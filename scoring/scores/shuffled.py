"""Null control: a number that belongs to the row and means nothing, as if scores were dealt out.

Shape:      logits (n, k) -> (n,) float32
Range:      [0, 1): uniform over distinct rows
Direction:  none: a null control. Selecting by it must not beat selecting at random
Needs:      nothing: no label
Cost:       forward
Source:     the control with permuted scores: what is left of a selection when its scores keep their
            spread and lose their meaning. Here from a hash of the row's logits (multilinear modulo
            2^64, Carter and Wegman 1979, then the finaliser of MurmurHash3, Appleby), because a
            permutation of a batch would depend on the batch.
Traps:      - Reads every bit of the logits, so another CPU or engine deals anew, where other scores
              move by a grid step. Compare arms within one run.
            - Rows with equal logits are dealt the same number: repeats stay together, as in any
              score of the text.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from scoring.rows import blocks
from scoring.types import Floats, Outputs

_BITS = 24  # what a float32 in [0, 1) holds exactly
_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio

Words = npt.NDArray[np.uint64]


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """The control has no options."""


class Shuffled:
    """A hash of the logits in [0, 1) per row."""

    name = "shuffled"
    high = 1.0
    needs: frozenset[str] = frozenset()
    cost = "forward"
    source = "null control: permuted scores, drawn by row"

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, 1)."""
        n, k = outputs.logits.shape
        factors = _mixed(np.arange(1, k + 1, dtype=np.uint64) * _ODD) | np.uint64(1)
        hashed = np.empty(n, np.uint64)
        for block in blocks(n):
            bits = np.ascontiguousarray(outputs.logits[block], np.float32).view(np.uint32)
            hashed[block] = (bits * factors).sum(axis=1, dtype=np.uint64)
        steps = (_mixed(hashed) >> np.uint64(64 - _BITS)).astype(np.float32)
        dealt: Floats = steps * np.float32(2.0**-_BITS)
        return dealt


def _mixed(words: Words) -> Words:
    """Every bit of the result follows from every bit of the word."""
    words = (words ^ (words >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    words = (words ^ (words >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return words ^ (words >> np.uint64(33))


def build(_options: Options) -> Shuffled:
    return Shuffled()
