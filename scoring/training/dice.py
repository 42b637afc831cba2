"""Repeatable draws of experiments: a name gives a stream of numbers, the same on every machine.

The numbers are the output of SHAKE128 (FIPS 202) over the name, read as 53-bit fractions, so
they depend neither on a library's generator nor on its version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Floats64 = npt.NDArray[np.float64]
Ints64 = npt.NDArray[np.int64]
T = TypeVar("T")


class Dice:
    """A named stream of draws. Equal names give equal draws; `named` begins a stream below it.

    Every method names its own purpose, so that adding a draw somewhere moves no other draw.
    """

    def __init__(self, *name: str | int) -> None:
        self._name = name

    def named(self, *name: str | int) -> Dice:
        return Dice(*self._name, *name)

    def uniforms(self, purpose: str, count: int) -> Floats64:
        """(count,) float64 in [0, 1)."""
        # repr of a tuple of str and int is unambiguous: ("a", 1) is never ("a1",)
        seed = repr((*self._name, purpose)).encode()
        raw = np.frombuffer(hashlib.shake_128(seed).digest(8 * count), dtype="<u8")
        return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def uniform(self, purpose: str) -> float:
        return float(self.uniforms(purpose, 1)[0])

    def below(self, purpose: str, count: int, high: int) -> Ints64:
        """(count,) integers in [0, high)."""
        return np.minimum(self.uniforms(purpose, count) * high, high - 1).astype(np.int64)

    def permutation(self, purpose: str, count: int) -> Ints64:
        """(count,) the integers below count, shuffled."""
        order: Ints64 = np.argsort(self.uniforms(purpose, count), kind="stable").astype(np.int64)
        return order

    def shuffled(self, purpose: str, items: Sequence[T]) -> list[T]:
        return [items[index] for index in self.permutation(purpose, len(items))]

    def weighted(self, purpose: str, count: int, weights: Floats64) -> Ints64:
        """(count,) indices, index i with a chance in proportion to weights[i] >= 0."""
        edges = np.cumsum(weights)
        picked = np.searchsorted(edges, self.uniforms(purpose, count) * edges[-1], side="right")
        chosen: Ints64 = np.minimum(picked, len(weights) - 1).astype(np.int64)
        return chosen


def zipf(count: int, exponent: float) -> Floats64:
    """(count,) weights 1 / rank**exponent, rank from 1."""
    weights: Floats64 = np.arange(1, count + 1, dtype=np.float64) ** -exponent
    return weights
