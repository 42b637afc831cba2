"""The trusted direction: what scoring.influence says, the same bits whatever stands beside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.running import supplying
from scoring import influence
from scoring.directions import BITS, ROOM, WIDEST, Direction, solve
from scoring.scores.influence import Options, build
from scoring.types import UNKNOWN_LABEL, Floats, Ints, Outputs
from tests.outputs import softmax

K, D = 5, 12
Rows = tuple[Floats, Floats, Ints]


def rows(seed: int, n: int, wrong: float = 0.0) -> Rows:
    """Clouds around K points, as a head of some training sees them; some labels are another's."""
    r = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(K, D))
    truth = r.integers(0, K, n)
    hidden = (centres[truth] + 0.8 * r.normal(size=(n, D))).astype(np.float32)
    probs = softmax((hidden @ centres.T * 0.6).astype(np.float32))
    labels = np.where(r.random(n) < wrong, (truth + 1) % K, truth)
    return probs, hidden, labels.astype(np.int32)


def made(seed: int = 0) -> Direction:
    return solve(rows(seed, 80), rows(seed + 1, 200))


def test_it_is_the_influence_in_spans_of_the_sample() -> None:
    trusted, sample, asked = rows(0, 80), rows(1, 200), rows(2, 50, wrong=0.2)
    wide = [tuple(c.astype(np.float64) for c in some[:2]) for some in (trusted, sample, asked)]
    gradient = influence.mean_gradient(*wide[0], trusted[2])
    solved = influence.solve(gradient, *wide[1], 0.01, 1e-3)
    of_sample = influence.influence(*wide[1], sample[2], solved)
    own = influence.influence(*wide[2], asked[2], solved)
    expected = (own - of_sample.min()) / np.ptp(of_sample)
    found = solve(trusted, sample)
    np.testing.assert_allclose(found.influences(*asked), expected, atol=2e-4)
    efforts = influence.effort(*wide[1], sample[2])
    expected = (influence.effort(*wide[2], asked[2]) - efforts.min()) / np.ptp(efforts)
    np.testing.assert_allclose(found.efforts(*asked), expected, atol=1e-5)
    kept = supplying.direction(supplying.stored(found))  # what an edition holds
    np.testing.assert_allclose(kept.influences(*asked), found.influences(*asked), atol=2e-5)
    np.testing.assert_allclose(kept.efforts(*asked), found.efforts(*asked), atol=2e-5)
    assert (kept.table == found.table).all()


@given(st.integers(0, 99), st.integers(1, 40))
def test_the_order_of_addition_changes_no_bit(seed: int, n: int) -> None:
    direction, (probs, hidden, labels) = made(), rows(seed, n)
    whole = direction.influences(probs, hidden, labels)
    alone = [direction.influences(probs[[i]], hidden[[i]], labels[[i]])[0] for i in range(n)]
    assert whole.tolist() == [float(value) for value in alone]
    order = np.random.default_rng(seed).permutation(D)  # inputs in another order
    table = np.column_stack([direction.table[:, :-1][:, order], direction.table[:, -1]])
    turned = replace(direction, table=table).influences(probs, hidden[:, order], labels)
    assert turned.tolist() == whole.tolist()


def test_the_largest_numbers_are_still_exact() -> None:
    most, entry = float(1 << BITS + ROOM), 1 << BITS
    signs = np.where(np.random.default_rng(0).random(WIDEST) < 0.5, 1.0, -1.0)
    table = np.zeros((2, WIDEST + 1))
    table[0, :-1] = entry * signs
    table[0, -1] = 1  # of the smallest weight: lost if a sum were rounded
    hidden = (most * 2 * signs).astype(np.float32)[None]  # beyond the room: cut
    direction = Direction(table, 0, 0, 0.0, (0.0, 1.0))
    (moved,) = np.clip(hidden, -most, most).astype(np.float64) @ table[:1, :-1].T
    assert int(moved[0]) == WIDEST * int(most) * entry < 1 << 53
    assert int(moved[0] + 1) == WIDEST * int(most) * entry + 1
    probs, labels = np.array([[1.0, 0.0]], np.float32), np.array([1], np.int32)
    value = direction.influences(probs, hidden, labels)[0]
    assert value == np.float32(WIDEST * int(most) * entry + 1)


def test_wrong_labels_pull_against_what_is_trusted() -> None:
    direction = solve(rows(0, 200), rows(1, 400, wrong=0.2))
    probs, hidden, right = rows(7, 300)
    values = direction.influences(probs, hidden, right)
    flipped = direction.influences(probs, hidden, ((right + 1) % K).astype(np.int32))
    assert values.mean() > flipped.mean() + 0.05  # many right rows are learnt: they pull nowhere
    # a class outside is of probability 0: nothing is taken from any error
    outside = direction.influences(probs, hidden, np.full(300, UNKNOWN_LABEL, np.int32))
    assert np.isfinite(outside).all() and (outside != values).any()


def test_the_score_is_cut_and_effort_is_weighed() -> None:
    direction, (probs, hidden, labels) = made(), rows(3, 60)
    outputs = Outputs(np.log(probs), probs, hidden, labels=labels, direction=direction)
    alone, both = (build(Options(effort))(outputs) for effort in (0.0, 0.5))
    expected = np.clip(direction.influences(probs, hidden, labels), 0, 1)
    np.testing.assert_array_equal(alone, expected)
    part = np.clip(direction.efforts(probs, hidden, labels), 0, 1)
    np.testing.assert_allclose(both, expected + 0.5 * part, rtol=1e-6)
    assert build(Options(0.5)).high == 1.5 and both.max() <= 1.5
    narrow = replace(outputs, hidden=hidden[:, :-1])
    with pytest.raises(ValueError, match="the layer has 11 inputs, its trusted direction 12"):
        build(Options())(narrow)


@pytest.mark.parametrize("what", ["trusted rows", "rows of the sample"])
def test_labels_that_nobody_knows_are_told(what: str) -> None:
    some, other = rows(0, 9), rows(1, 9)
    nobody = (*some[:2], np.full(9, UNKNOWN_LABEL, np.int32))
    given_rows = (nobody, other) if what == "trusted rows" else (other, nobody)
    with pytest.raises(ValueError, match=f"no label of the {what}"):
        solve(*given_rows)
