"""Scores by hand and by their papers' formulas, and the scorer around them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.grade import BadOutputs
from scoring.kinds import load
from scoring.scorer import Scorer, Unsupplied
from scoring.types import GRID, MISSING, NO_LABEL, UNKNOWN_LABEL, Floats, Outputs, Score

ROWS = {
    "": [0.25, 0.25, 0.25, 0.25],
    "sure": [1.0, 0.0, 0.0, 0.0],
    "half": [0.5, 0.5, 0.0, 0.0],
    "mixed": [0.5, 0.25, 0.125, 0.125],
}
CLASSES = ("on", "off", "timer", "weather")


@dataclass
class Table:
    """A model that answers from a table."""

    rows: dict[str, list[float]]
    classes: tuple[str, ...] = CLASSES
    fingerprint: str = "table"
    engine: str = "table"
    type: npt.DTypeLike = np.float32

    def run(self, texts: Sequence[str]) -> Outputs:
        table = [self.rows[text] for text in texts]
        probs = np.array(table, self.type).reshape(len(texts), len(next(iter(self.rows.values()))))
        return Outputs(logits=np.log(np.maximum(probs, 1e-30)), probs=probs)

    def close(self) -> None:
        """Nothing to close."""


def score(kind: str, **options: object) -> Score:
    return cast(Score, load("scoring.scores", kind, options))


THREE = [score("entropy"), score("margin"), score("el2n")]


def of(kind: str, probs: list[float], label: int = 0, **options: object) -> float:
    p = np.array([probs], np.float32)
    outputs = Outputs(np.log(p + 1e-30), p, labels=np.array([label], np.int32))
    return float(score(kind, **options)(outputs)[0])


def test_entropy_by_hand() -> None:
    assert of("entropy", ROWS["mixed"]) == pytest.approx(1.75 / 2, abs=1e-7)  # bits over log2 4
    assert of("entropy", ROWS["mixed"], normalise=False) == pytest.approx(1.75 * math.log(2))
    assert of("entropy", ROWS["half"]) == pytest.approx(0.5, abs=1e-7)
    assert of("entropy", [1.0]) == 0  # ln 1 = 0 divides nothing


def test_entropy_in_nats_is_refused_where_the_grid_ends() -> None:
    assert of("entropy", [1 / 2980] * 2980, normalise=False) == pytest.approx(math.log(2980))
    with pytest.raises(ValueError, match="leaves the grid"):
        of("entropy", [1 / 2981] * 2981, normalise=False)
    assert of("entropy", [1 / 2981] * 2981) == pytest.approx(1, abs=1e-6)


def test_margin_by_hand() -> None:
    assert of("margin", ROWS["mixed"]) == 0.75
    assert of("margin", ROWS["half"]) == 1
    assert of("margin", [0.0, 0.125, 0.875, 0.0]) == 0.25


def test_el2n_by_hand() -> None:
    assert of("el2n", ROWS["sure"], 0) == 0
    assert of("el2n", ROWS["sure"], 3) == pytest.approx(math.sqrt(2), abs=1e-7)
    # (.5, .75, .125, .125): sqrt(.25 + .5625 + .03125)
    assert of("el2n", ROWS["mixed"], 1) == pytest.approx(math.sqrt(0.84375), abs=1e-7)
    # outside the classes: the label's own error of 1 beside the rest
    assert of("el2n", ROWS["mixed"], UNKNOWN_LABEL) == pytest.approx(math.sqrt(1 + 0.34375))
    # near 1 the form 1 - 2 p_y + sum p^2 would be wrong in the first digit
    assert of("el2n", [1 - 2**-14, 2**-14], 0) == pytest.approx(math.sqrt(2) * 2**-14, rel=1e-6)


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(2, 12))
def test_el2n_is_the_gradient_of_cross_entropy_by_the_logits(seed: int, k: int) -> None:
    r = np.random.default_rng(seed)
    z, label = r.normal(size=k) * 2, int(r.integers(k))

    def loss(logits: npt.NDArray[np.float64]) -> float:
        return float(np.log(np.exp(logits - logits[label]).sum()))

    step = 1e-5 * np.eye(k)
    gradient = [(loss(z + e) - loss(z - e)) / 2e-5 for e in step]
    probs = np.exp(z) / np.exp(z).sum()
    assert of("el2n", probs.tolist(), label) == pytest.approx(np.linalg.norm(gradient), abs=1e-6)


def test_a_label_by_the_same_model_bounds_el2n() -> None:
    """The trap in el2n's docstring: y = argmax p gives at most sqrt((k - 1) / k)."""
    r = np.random.default_rng(5)
    for k in (2, 5, 64):
        p = r.dirichlet(np.full(k, 0.3), 500).astype(np.float32)
        values = score("el2n")(Outputs(p, p, labels=p.argmax(1).astype(np.int32)))
        assert values.max() <= math.sqrt((k - 1) / k) + 1e-6


def test_a_batch_on_the_grid() -> None:
    texts = ["sure", "half", "mixed", "mixed", "mixed"]
    labels = ["off", None, "off", "new intent", "on"]
    scored = Scorer(Table(ROWS), THREE).score(texts, labels)
    assert scored.argmax.tolist() == [0, 0, 0, 0, 0]  # the first of equals
    assert scored.labels.tolist() == [1, NO_LABEL, 1, UNKNOWN_LABEL, 0]
    assert scored.scores["entropy"].tolist() == [0, 2048, 3584, 3584, 3584]
    assert scored.scores["margin"].tolist() == [0, 4096, 3072, 3072, 3072]
    # sqrt 2, sqrt .84375, sqrt 1.34375, sqrt .34375, each times 4096
    assert scored.scores["el2n"].tolist() == [5793, MISSING, 3762, 4748, 2401]
    # (p_y + 1/32) / (p_y + max other + 1/16): 1/34, 9/26, 17/26
    assert scored.plausibility.tolist() == [120, MISSING, 1418, MISSING, 2678]
    for column in (*scored.scores.values(), scored.plausibility):
        assert column.dtype == np.int16
    assert scored.argmax.dtype == scored.labels.dtype == np.int32
    np.testing.assert_array_equal(scored.probs, np.array([ROWS[t] for t in texts], np.float32))


def test_a_tie_with_the_label_is_even_odds() -> None:
    scored = Scorer(Table(ROWS), THREE).score(["half", "half"], ["on", "off"])
    assert scored.plausibility.tolist() == [GRID // 2, GRID // 2]


@given(
    rows=st.lists(
        st.tuples(st.sampled_from(sorted(ROWS)), st.sampled_from([None, "new", *CLASSES])),
        max_size=9,
    ),
    cut=st.integers(0, 9),
)
def test_batches_do_not_matter(rows: list[tuple[str, str | None]], cut: int) -> None:
    scorer = Scorer(Table(ROWS), THREE)

    def columns(part: list[tuple[str, str | None]]) -> dict[str, list[int]]:
        scored = scorer.score([text for text, _ in part], [label for _, label in part])
        grids = {name: column.tolist() for name, column in scored.scores.items()}
        return grids | {"p": scored.plausibility.tolist(), "argmax": scored.argmax.tolist()}

    first, second, whole = columns(rows[:cut]), columns(rows[cut:]), columns(rows)
    assert {name: first[name] + second[name] for name in whole} == whole


@pytest.mark.parametrize("need", ["hidden", "slots", "history", "gradient", "moon"])
def test_a_score_that_cannot_be_fed_is_refused_at_once(need: str) -> None:
    wanting = score("el2n")
    wanting.needs, wanting.name = frozenset({"label", need}), "wanting"
    with pytest.raises(Unsupplied) as caught:
        Scorer(Table(ROWS), [wanting])
    message = str(caught.value)
    assert (caught.value.score, caught.value.missing) == ("wanting", need)
    assert "wanting" in message
    assert need in message
    assert "would supply it: " in message
    assert "\n" not in message


def test_a_model_with_a_hidden_layer_feeds_a_score_that_needs_one() -> None:
    class Deep(Table):
        def run(self, texts: Sequence[str]) -> Outputs:
            return replace(super().run(texts), hidden=np.ones((len(texts), 3), np.float32))

    class Length:
        name, high, needs, cost, source = "length", 2.0, frozenset({"hidden", "label"}), "", ""

        def __call__(self, outputs: Outputs) -> Floats:
            assert outputs.hidden is not None
            lengths: Floats = np.sqrt(outputs.hidden.sum(axis=1))
            return lengths

    scored = Scorer(Deep(ROWS), [Length()]).score(["sure", "half"], [None, "on"])
    assert scored.scores["length"].tolist() == [MISSING, round(math.sqrt(3) * GRID)]


@pytest.mark.parametrize("k", [2980, 2981])
def test_too_many_classes_for_nats_are_refused_at_once(k: int) -> None:
    table = Table({"": [1 / k] * k}, tuple(map(str, range(k))))
    if k == 2980:
        Scorer(table, [score("entropy", normalise=False)])
        return
    with pytest.raises(ValueError, match="leaves the grid"):
        Scorer(table, [score("entropy", normalise=False)])


def test_what_is_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="score named twice: margin"):
        Scorer(Table(ROWS), [score("margin"), score("margin")])
    with pytest.raises(ValueError, match="class named twice: on"):
        Scorer(Table(ROWS, ("on", "off", "on", "x")), THREE)


@pytest.mark.parametrize(
    "table",
    [
        Table(ROWS, CLASSES[:3]),
        Table(ROWS, type=np.float64),
        Table(ROWS | {"": [math.nan, 0.5, 0.25, 0.25]}),
        Table(ROWS | {"": [0.0, 0.0, 0.0, 0.0]}),
        Table(ROWS | {"": [3.0, -2.0, 0.0, 0.0]}),
    ],
)
def test_a_broken_model_is_named_before_the_first_record(table: Table) -> None:
    with pytest.raises(BadOutputs):
        Scorer(table, [])


def test_numbers_that_break_later_are_found_then() -> None:
    scorer = Scorer(Table(ROWS | {"bad": [0.5, math.nan, 0.25, 0.25]}), THREE)
    with pytest.raises(BadOutputs):
        scorer.score(["sure", "bad"], [None, None])
    with pytest.raises(ValueError, match="2 texts but 1 labels"):
        scorer.score(["sure", "half"], ["on"])


def test_a_score_that_leaves_its_range_is_named() -> None:
    short = score("margin")
    short.high = 0.5
    with pytest.raises(BadOutputs, match=r"score 'margin' left its range \[0, 0.5\]"):
        Scorer(Table(ROWS), [short])
