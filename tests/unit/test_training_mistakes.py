"""Mistakes of intents and slots: counts and rates by hand, and laws of the edit distance."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.training.chunks import chunk_f1
from scoring.training.mistakes import RATES, distance, mistakes, rates

TRUTH = (
    ("play", "O B-artist I-artist O"),  # answered rightly
    ("play", "B-artist O O B-song"),  # intent wrong; one slot wrong, one missed
    ("turn", "O O"),  # a slot that is none
    ("turn", "O B-room"),  # the slot's name
)
SAID = (
    ("play", "O B-artist I-artist O"),
    ("turn", "B-artist I-artist O O"),
    ("turn", "O B-room"),
    ("turn", "O B-song"),
)


def counted() -> np.ndarray:
    intents, tags = zip(*((intent, own.split()) for intent, own in TRUTH), strict=True)
    said, answers = zip(*((intent, own.split()) for intent, own in SAID), strict=True)
    return mistakes(intents, tags, said, answers)


def test_counts_by_hand() -> None:
    # rows, intent, edits, slots of the truth, of the answers, of both, any mistake
    assert counted().tolist() == [
        [1, 0, 0, 1, 1, 1, 0],
        [1, 1, 2, 2, 1, 0, 1],  # a substitution and a deletion
        [1, 0, 1, 0, 1, 0, 1],  # an insertion
        [1, 0, 1, 1, 1, 0, 1],  # a substitution
    ]


def test_rates_by_hand() -> None:
    found = {name: float(value) for name, value in rates(counted().sum(axis=0)).items()}
    semer, turned = Fraction(1 + 4, 4 + 4), Fraction(1 + 4, 4 + 4)
    assert found == {
        "accuracy": pytest.approx(3 / 4),
        "slot_f1": pytest.approx(2 * 1 / (4 + 4)),
        "semer": pytest.approx(float(semer)),
        "f_semer": pytest.approx(float(2 * semer * turned / (semer + turned))),
        "irer": pytest.approx(3 / 4),
    }
    assert tuple(found) == RATES


def test_f_semer_is_harmonic_where_the_two_differ() -> None:
    # one utterance of three slots, none of which is said: 3 / 4 by the truth, 3 / 1 by the answers
    counts = mistakes(["a"], [["B-x", "B-y", "B-z"]], ["a"], [["O", "O", "O"]])
    found = rates(counts.sum(axis=0))
    assert float(found["semer"]) == 3 / 4
    assert float(found["f_semer"]) == pytest.approx(2 / (4 / 3 + 1 / 3))


def test_without_mistakes_and_without_slots() -> None:
    found = rates(mistakes(["a"], [["O"]], ["a"], [["O"]]).sum(axis=0))
    assert {name: float(value) for name, value in found.items()} == {
        "accuracy": 1, "slot_f1": 1, "semer": 0, "f_semer": 0, "irer": 0,
    }  # fmt: skip


TAGS = st.lists(st.sampled_from(("O", "B-a", "I-a", "B-b")), min_size=5, max_size=5)


@given(TAGS, TAGS)
def test_edits_are_between_their_bounds(one: list[str], other: list[str]) -> None:
    counts = mistakes(["i"], [one], ["i"], [other])
    edits, wanted, said, found = counts[0, 2:6].tolist()
    assert max(wanted, said) - found <= edits <= wanted + said - 2 * found
    assert mistakes(["i"], [other], ["i"], [one])[0, 2] == edits
    assert (edits == 0) == (wanted == said == found)
    assert float(rates(counts[0])["slot_f1"]) == pytest.approx(chunk_f1([one], [other]))


@given(st.lists(st.integers(0, 3), max_size=6), st.lists(st.integers(0, 3), max_size=6))
def test_the_distance_is_the_shortest_path(one: list[int], other: list[int]) -> None:
    def shortest(left: tuple[int, ...], right: tuple[int, ...]) -> int:
        if not left or not right:
            return len(left) + len(right)
        same = shortest(left[1:], right[1:]) + (left[0] != right[0])
        return min(same, 1 + shortest(left[1:], right), 1 + shortest(left, right[1:]))

    chunks = [[(place, 0, "") for place in row] for row in (one, other)]
    assert distance(*chunks) == shortest(tuple(one), tuple(other))


def test_sums_keep_their_axes() -> None:
    many = np.stack([counted().sum(axis=0)] * 3)
    assert all(value.shape == (3,) for value in rates(many).values())
