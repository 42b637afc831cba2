"""Entropy of slot trails: by hand, of any order, and from counts that were added."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.trails import entropies, entropy_of_counts, trail


def test_a_trail_keeps_values_of_slots_only() -> None:
    walked = trail(("O", "song", "O"), ("play", "yesterday", "now"))
    assert walked == (("O", None), ("song", "yesterday"), ("O", None))
    assert walked == trail(("O", "song", "O"), ("put on", "yesterday", "please"))
    assert walked != trail(("O", "song", "O"), ("play", "tomorrow", "now"))
    assert trail(("-",), ("play",), outside="-") == (("-", None),)
    with pytest.raises(ValueError, match="zip"):
        trail(("O",), ("play", "it"))


def test_entropies_by_hand() -> None:
    ways = [trail(("song",), (name,)) for name in "abcd"]
    # class 0: 2, 1, 1 of four = 1.5 bits; class 1: four alike; class 2: nothing; class 3: passed
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 7, -1], np.int32)
    trails = [ways[0], ways[0], ways[1], ways[2], *[ways[3]] * 4, ways[0], ways[0]]
    assert entropies(labels, trails, 3).tolist() == [1.5, 0.0, 0.0]
    assert entropies(labels, trails, 3).dtype == np.float32


@given(st.lists(st.integers(1, 10**6), max_size=40))
def test_order_of_counts_does_not_matter_to_the_last_bit(counts: list[int]) -> None:
    bits = entropy_of_counts(counts)
    assert entropy_of_counts(sorted(counts)) == bits
    assert entropy_of_counts(reversed(counts)) == bits
    rows = sum(counts)
    expected = -sum(c / rows * math.log2(c / rows) for c in counts)
    assert bits == pytest.approx(expected, abs=1e-12 if rows < 10**4 else 1e-9)
    assert 0 <= bits <= math.log2(max(len(counts), 1)) + 1e-9


def test_ends() -> None:
    assert entropy_of_counts([]) == 0
    assert entropy_of_counts([9]) == 0
    assert entropy_of_counts([1] * 1024) == pytest.approx(10, abs=1e-12)
