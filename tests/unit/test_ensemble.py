"""Several checkpoints as one model: classes by name, a temperature each, gradients of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest

from scoring.kinds import load
from scoring.models.base import softmax
from scoring.models.ensemble import DeepEnsemble, Ensemble, Pinned, ensemble
from scoring.models.table import build, table_files
from scoring.scorer import Scorer, Unsupplied
from scoring.supplies import Differentiable, Supplies
from scoring.types import GRID, Floats, Ints, Model, Outputs, Score

CLASSES = ("alarm", "lights", "music")
TEXTS = ("one", "two", "three")


def pinned(classes: tuple[str, ...], rows: list[list[float]], temperature: int = GRID) -> Pinned:
    return Pinned(build(table_files(classes, dict(zip(TEXTS, rows, strict=True))), 1), temperature)


OWN = pinned(CLASSES, [[1, 2, 3], [4, 0, 1], [0, 0, 9]])
OLD = pinned(("music", "alarm", "gone"), [[3, 1, 5], [1, 4, 0], [9, 0, 2]])
HOT = pinned(CLASSES, [[2, 4, 6], [8, 0, 2], [0, 0, 18]], temperature=2 * GRID)


def test_classes_are_matched_by_name_and_a_lost_one_has_probability_0() -> None:
    whole = ensemble(OWN, [OLD]).run(TEXTS)
    assert whole.history is not None
    old = OLD.model.run(TEXTS).probs
    np.testing.assert_array_equal(whole.history[0, :, 0], old[:, 1])
    np.testing.assert_array_equal(whole.history[0, :, 1], [0, 0, 0])
    np.testing.assert_array_equal(whole.history[0, :, 2], old[:, 0])
    np.testing.assert_array_equal(whole.history[1], OWN.model.run(TEXTS).probs)


def test_each_checkpoint_has_its_own_temperature() -> None:
    plain = OWN.model.run(TEXTS)
    whole = ensemble(OWN, [HOT], HOT).run(TEXTS)
    assert whole.history is not None and whole.reference is not None
    for cooled in (whole.history[0], whole.reference):
        np.testing.assert_array_equal(cooled, plain.probs)  # half of twice the logits
    np.testing.assert_array_equal(whole.probs, plain.probs)
    own = Pinned(OWN.model, 3 * GRID)
    tempered = ensemble(own, [OWN]).run(TEXTS)
    assert tempered.history is not None
    np.testing.assert_array_equal(tempered.probs, softmax(plain.logits * np.float32(1 / 3)))
    np.testing.assert_array_equal(tempered.history[1], tempered.probs)
    np.testing.assert_array_equal(tempered.history[0], plain.probs)


def test_hidden_layers_of_other_widths_make_no_history() -> None:
    assert ensemble(OWN, [OLD]).run(TEXTS).hidden_history is not None
    narrow = Narrow()
    whole = ensemble(OWN, [Pinned(narrow)]).run(TEXTS)
    assert whole.history is not None and whole.hidden_history is None
    assert ensemble(OWN).run(TEXTS).history is None


class Narrow:
    """Another width, and a derivative that tells its class and text."""

    classes = CLASSES
    fingerprint = engine = "narrow"

    def __init__(self, classes: tuple[str, ...] = CLASSES, reads: str = "same") -> None:
        self.classes, self.reads, self.asked = classes, reads, 0

    def run(self, texts: Sequence[str]) -> Outputs:
        logits = np.zeros((len(texts), len(self.classes)), np.float32)
        return Outputs(logits, softmax(logits), logits[:, :2])

    def gradients(self, texts: Sequence[str], classes: Ints) -> tuple[Floats, ...]:
        self.asked += len(texts)
        pairs = zip(texts, classes.tolist(), strict=True)
        return tuple(np.full((len(t) + 1, 2), at + 1, np.float32) for t, at in pairs)

    def close(self) -> None: ...


def test_gradients_are_of_every_checkpoint_oldest_first() -> None:
    turned, lacking = Narrow(CLASSES[::-1]), Narrow(("lights",))
    whole = ensemble(Pinned(Narrow()), [Pinned(turned), Pinned(lacking)])
    assert isinstance(whole, Differentiable) and whole.depth == 3
    first, second = whole.gradients(("ab", ""), np.array([0, 1], np.int32))
    assert first.shape == (3, 3, 2) and second.shape == (3, 1, 2)
    assert first[:, 0, 0].tolist() == [3, 0, 1], "a class that it lacks has no logit"
    assert second[:, 0, 0].tolist() == [2, 1, 2]


def test_checkpoints_that_read_otherwise_have_no_common_gradient() -> None:
    own = Pinned(Narrow())
    assert isinstance(ensemble(own, [own]), DeepEnsemble)
    for other in (Pinned(Narrow(reads="other")), OWN):
        found = ensemble(own, [other])
        assert isinstance(found, Ensemble) and not isinstance(found, Differentiable)


class Rows:
    """A score that hands out what each row's gradient holds."""

    name, high, cost, source = "rows", 7.0, "backward", "a test"
    needs = frozenset({"label", "gradient"})

    def __call__(self, outputs: Outputs) -> Floats:
        assert outputs.gradients is not None
        return np.array([g.max(initial=0) for g in outputs.gradients], np.float32)


def test_each_text_is_derived_once_for_each_label_it_has() -> None:
    model = Narrow()
    deep = ensemble(Pinned(model), [Pinned(Narrow())])
    scorer = Scorer(deep, [cast(Score, Rows())])
    model.asked = 0
    texts = ["a", "a", "b", "a", "a", "b"]
    labels = ["alarm", "music", "alarm", "alarm", None, "unheard of"]
    column = scorer.score(texts, labels).scores["rows"]
    assert (column[column >= 0] / GRID).tolist() == [1, 3, 1, 1, 0]
    assert model.asked == 3, "of four labelled rows two are alike"
    assert scorer.score(["c"], [None]).scores["rows"].tolist() == [-1]


class Tagged(Narrow):
    """Two words a text, each as sure of tag 1 as of tag 0."""

    tags = ("O", "B-x")

    def run(self, texts: Sequence[str]) -> Outputs:
        plain = super().run(texts)
        halves = tuple(np.full((2, 2), 0.5, np.float32) for _ in texts)
        return Outputs(plain.logits, plain.probs, slot_probs=halves)


def test_tags_of_words_behind_the_cut_are_left_out() -> None:
    score = cast(Score, load("scoring.scores", "joint_el2n", {}))
    scorer = Scorer(cast(Model, Tagged()), [score], Supplies(tagged=True))
    said = [("O", "B-x", "O"), ("B-x",), None, ("new", "O")]
    found = scorer.score(["t"] * 4, ["alarm"] * 4, tags=said).scores["joint_el2n"] / GRID
    intent, word = np.sqrt(2 / 3), np.sqrt(0.5)
    strange = (word + np.sqrt(1.5)) / 2
    expected = [(intent + word) / 2, (intent + word) / 2, intent, (intent + strange) / 2]
    assert found.tolist() == pytest.approx(expected, abs=1 / GRID)
    with pytest.raises(Unsupplied, match="slot_labels"):
        Scorer(cast(Model, Tagged()), [score])
