"""What every score keeps, whatever it computes: walks the folder of kinds."""

from __future__ import annotations

from dataclasses import fields, replace
from importlib import import_module
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.catalogue import catalogue
from scoring.grade import take
from scoring.kinds import load, names
from scoring.scorer import FIELDS, SUPPLIERS
from scoring.types import GRID, NO_LABEL, UNKNOWN_LABEL, Floats, Outputs, Score
from tests.outputs import CHECKPOINTS, TAGS, outputs_of, some_outputs

KINDS = names("scoring.scores")
FACTS = ("Shape:", "Range:", "Direction:", "Needs:", "Cost:", "Source:", "Traps:")
NEEDS = {"label", *SUPPLIERS}
CONTROLS = [entry.name for entry in catalogue() if entry.control]
VALUABLE = [kind for kind in KINDS if kind not in CONTROLS]
TABLES = ("prior", "trails", "direction")  # of classes: not of rows


def build(kind: str) -> Score:
    return cast(Score, load("scoring.scores", kind, {}))


# these read nothing but a row's probabilities and its label
OF_PROBABILITIES = [kind for kind in VALUABLE if not build(kind).needs - {"label"}]


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
    turned = outputs
    for field in fields(Outputs):
        column = getattr(outputs, field.name)
        if field.name == "direction":
            continue  # no column: its own products are tried in tests/unit/test_directions.py
        if isinstance(column, tuple):
            column = tuple(np.asfortranarray(row) for row in column)
        else:
            column = np.asfortranarray(column)
        turned = replace(turned, **{field.name: column})
    for given_outputs in (outputs, turned):
        for field in fields(Outputs):
            column = getattr(given_outputs, field.name)
            column = column.table if field.name == "direction" else column
            for array in column if isinstance(column, tuple) else (column,):
                array.flags.writeable = False
    np.testing.assert_array_equal(score(turned), score(outputs))
    np.testing.assert_array_equal(score(outputs), score(outputs))


def spoilt(outputs: Outputs, name: str) -> Outputs:
    """NaN wherever column `name` speaks of row 1; all over a table of classes."""
    column: Any = getattr(outputs, name)
    if isinstance(column, tuple):
        nothing = column[1] * np.float32(np.nan)
        column = (column[0], nothing, column[2])
        return replace(outputs, **{name: column})
    if name == "direction":
        return replace(outputs, direction=replace(column, table=column.table * np.nan))
    column = column.copy()
    of_history = name in ("history", "hidden_history")
    (column[:, 1] if of_history else column if name in TABLES else column[1:2])[...] = np.nan
    return replace(outputs, **{name: column})


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"length", "shuffled", "slot_trail_entropy"}))
def test_what_is_not_a_number_never_becomes_one(kind: str) -> None:
    """Then grade refuses it: for each column that the score needs, and for all together."""
    score, two = build(kind), np.full((2, TAGS), 1 / TAGS, np.float32)
    outputs = replace(
        some_outputs(11, 3, 4),
        labels=np.array([0, 1, 2], np.int32),
        slot_probs=(two, two, two),
        slot_labels=(np.array([1, NO_LABEL], np.int32),) * 3,
        slot_hidden=(two, two, two),
        gradients=(np.ones((4, 2, 3), np.float32),) * 3,
    )
    sound = score(outputs)
    needed = [FIELDS.get(need, need) for need in score.needs - {"label", "slot_labels"}]
    floats = [f.name for f in fields(Outputs) if "Floats" in str(f.type)]
    everything = [name for name in floats if name not in TABLES]
    for names_spoilt in (*([name] for name in needed), everything):
        broken = outputs
        for name in names_spoilt:
            broken = spoilt(broken, name)
        try:
            values = score(broken)
        except ValueError:
            assert set(names_spoilt) <= set(TABLES)  # refused at once
            continue
        assert np.isnan(values[1]), names_spoilt
        if names_spoilt == ["direction"]:
            assert np.isnan(values).all()  # one table for all rows
            continue
        assert values[[0, 2]].tolist() == sound[[0, 2]].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_without_what_it_needs_it_says_so(kind: str) -> None:
    score, outputs = build(kind), some_outputs(0, 3, 4)
    for need in score.needs:
        name = {"label": "labels", **FIELDS}.get(need, need)
        with pytest.raises(ValueError, match=f"{kind} needs "):
            score(replace(outputs, **cast(dict[str, Any], {name: None})))


def test_a_row_is_taken_whole() -> None:
    outputs = some_outputs(1, 5, 6)
    some = take(outputs, np.array([3, 1]))
    for field in fields(Outputs):
        whole, part = getattr(outputs, field.name), getattr(some, field.name)
        if field.name in TABLES:
            expected = whole
        elif field.name in ("history", "hidden_history"):
            expected = whole[:, [3, 1]]
        elif isinstance(whole, tuple):
            assert [row.tolist() for row in part] == [whole[3].tolist(), whole[1].tolist()]
            continue
        else:
            expected = whole[[3, 1]]
        np.testing.assert_array_equal(part, expected)
    bare = take(Outputs(outputs.logits, outputs.probs), np.array([0]))
    assert all(getattr(bare, field.name) is None for field in fields(Outputs)[2:])


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_give_no_values(kind: str) -> None:
    assert build(kind)(take(some_outputs(0, 3, 4), np.array([], np.intp))).shape == (0,)


def path(seed: int, k: int) -> tuple[Floats, Outputs]:
    """Five rows that go from anywhere to all on one class, their label, under all checkpoints."""
    probs = some_outputs(seed, 1, k).probs
    best = int(probs.argmax())
    sure = np.eye(k, dtype=np.float32)[[best]]
    steps = [np.float32(t) for t in (0.0, 0.25, 0.5, 0.75, 1.0)]
    walked = np.concatenate([(1 - t) * probs + t * sure for t in steps]).astype(np.float32)
    start = take(outputs_of(probs, [best], seed), np.zeros(5, np.intp))
    alike = replace(start, history=np.repeat(walked[None], CHECKPOINTS, axis=0))
    return probs, replace(alike, probs=walked, logits=walked)


# influence has a sign: what pulls against trusted rows is worth less, however hard it is
@pytest.mark.parametrize("kind", [kind for kind in VALUABLE if kind != "influence"])
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(2, 40))
def test_larger_is_more_valuable(kind: str, seed: int, k: int) -> None:
    """Pulling a row towards its label (its best class) never makes it more valuable."""
    probs, outputs = path(seed, k)
    values = build(kind)(outputs)
    assert (np.diff(values) <= 1e-6).all()
    if kind in OF_PROBABILITIES:
        assert values[-1] < values[0] or probs.max() > 0.999
        assert values[-1] == 0
