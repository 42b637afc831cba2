"""What every score keeps, whatever it computes: walks the folder of kinds."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import cast

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.grade import take
from scoring.kinds import load, names
from scoring.types import GRID, UNKNOWN_LABEL, Floats, Outputs, Score

KINDS = names("scoring.scores")
FACTS = ("Shape:", "Range:", "Direction:", "Needs:", "Cost:", "Source:", "Traps:")
NEEDS = {"label", "hidden", "slots", "history", "gradient"}


def build(kind: str) -> Score:
    return cast(Score, load("scoring.scores", kind, {}))


# scores that read more show their direction in a test of their own
OF_PROBABILITIES = [kind for kind in KINDS if not build(kind).needs - {"label"}]


def softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probs: Floats = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
    return probs


def outputs_of(probs: Floats, labels: object, seed: int = 0) -> Outputs:
    """Outputs with everything that a score may need."""
    n, k = probs.shape
    r = np.random.default_rng(seed)
    return Outputs(
        logits=np.log(np.maximum(probs, np.float32(1e-30))),
        probs=probs,
        hidden=r.normal(size=(n, 8)).astype(np.float32),
        slot_probs=tuple(softmax(r.normal(size=(2 + i % 3, 5)).astype("f4")) for i in range(n)),
        labels=np.asarray(labels, np.int32),
        history=softmax(r.normal(size=(4, n, k)).astype(np.float32)),
    )


def some_outputs(seed: int, n: int, k: int, sharpness: float = 3.0) -> Outputs:
    """Random rows, some labels outside the classes."""
    r = np.random.default_rng(seed)
    probs = softmax((r.normal(size=(n, k)) * sharpness).astype(np.float32))
    labels = r.integers(-1, k, n)
    return outputs_of(probs, np.where(labels < 0, UNKNOWN_LABEL, labels), seed)


def extremes(k: int) -> Outputs:
    """All on one class, on none of the label's, even, subnormal, and a hair beside 0 and 1."""
    one = np.eye(k, dtype=np.float32)[[0, 0, 0]]
    even = np.full((2, k), np.float32(1.0) / np.float32(k))
    tiny = np.full((1, k), np.float32(1e-45))
    tiny[0, -1] = 1.0
    beside = np.full((1, k), np.nextafter(np.float32(0), np.float32(1)))
    beside[0, 0] = np.nextafter(np.float32(1), np.float32(0))
    above = np.eye(k, dtype=np.float32)[[0, 0]] * np.nextafter(np.float32(1), np.float32(2))
    labels = [0, k - 1, UNKNOWN_LABEL, 0, UNKNOWN_LABEL, 0, k - 1, 0, k - 1]
    return outputs_of(np.concatenate([one, even, tiny, beside, above]), labels)


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_says_all_that_a_reader_must_know(kind: str) -> None:
    module = import_module(f"scoring.scores.{kind}")
    for fact in FACTS:
        assert f"\n{fact}" in (module.__doc__ or ""), fact
    assert issubclass(module.Options, msgspec.Struct)
    assert module.Options.__struct_config__.frozen
    assert module.Options.__struct_config__.forbid_unknown_fields


@pytest.mark.parametrize("kind", KINDS)
def test_attributes(kind: str) -> None:
    score = build(kind)
    assert score.name == kind
    assert 0 < score.high <= np.iinfo(np.int16).max / GRID
    assert score.needs <= NEEDS
    assert score.cost in ("forward", "checkpoints", "backward")
    assert score.source


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 70), sharpness=st.floats(0, 60))
def test_range_and_type(kind: str, seed: int, k: int, sharpness: float) -> None:
    score, outputs = build(kind), some_outputs(seed, 9, k, sharpness)
    values = score(outputs)
    assert values.dtype == np.float32
    assert values.shape == (9,)
    assert (values >= 0).all()
    assert (values <= np.float32(score.high)).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 2, 3, 64, 150])
def test_extreme_probabilities_give_no_nan(kind: str, k: int) -> None:
    score = build(kind)
    with np.errstate(all="raise", under="ignore"):
        values = score(extremes(k))
    assert ((values >= 0) & (values <= np.float32(score.high))).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [2, 5, 64, 150])
def test_a_row_has_the_same_bits_alone_and_in_any_batch(kind: str, k: int) -> None:
    score, outputs = build(kind), some_outputs(7, 1200, k)  # more rows than one block
    whole = score(outputs)
    for row in (0, 1, 511, 512, 700, 1199):
        assert score(take(outputs, np.array([row])))[0] == whole[row]
    for cut in (1, 2, 3, 17, 600):
        rows = np.arange(cut)
        np.testing.assert_array_equal(score(take(outputs, rows)), whole[:cut])


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(2, 40))
def test_order_does_not_matter(kind: str, seed: int, k: int) -> None:
    score, outputs = build(kind), some_outputs(seed, 23, k)
    order = np.random.default_rng(seed).permutation(23)
    np.testing.assert_array_equal(score(take(outputs, order)), score(outputs)[order])


@pytest.mark.parametrize("kind", KINDS)
def test_memory_layout_does_not_matter_and_nothing_is_written(kind: str) -> None:
    score, outputs = build(kind), some_outputs(3, 33, 64)
    turned = replace(outputs, probs=np.asfortranarray(outputs.probs))
    outputs.probs.flags.writeable = False
    turned.probs.flags.writeable = False
    np.testing.assert_array_equal(score(turned), score(outputs))
    np.testing.assert_array_equal(score(outputs), score(outputs))


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_give_no_values(kind: str) -> None:
    assert build(kind)(take(some_outputs(0, 3, 4), np.array([], np.intp))).shape == (0,)


@pytest.mark.parametrize("kind", OF_PROBABILITIES)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(2, 40))
def test_larger_is_more_valuable(kind: str, seed: int, k: int) -> None:
    """Pulling a row towards its label (its best class) never makes it more valuable."""
    score = build(kind)
    probs = some_outputs(seed, 1, k).probs
    best = int(probs.argmax())
    sure = np.eye(k, dtype=np.float32)[[best]]
    steps = [np.float32(t) for t in (0.0, 0.25, 0.5, 0.75, 1.0)]
    path = np.concatenate([(1 - t) * probs + t * sure for t in steps]).astype(np.float32)
    values = score(outputs_of(path, np.full(5, best)))
    assert (np.diff(values) <= 1e-6).all()
    assert values[-1] < values[0] or probs.max() > 0.999
    assert values[-1] == 0
