"""What a checkpoint must show: each gate passes a sound model and refuses the fault it is for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from scoring.correlation import spearman
from scoring.gates import Gate, Verdict, judge
from scoring.models.base import BadModel, Files, softmax
from scoring.models.table import build, table_files
from scoring.types import Floats, Model, Outputs

SECRET = "canary_9f3a"
LABELS = ("alarm", "lights", "music", "weather")
# Every third text is long, so that length says nothing of the label.
GOLDEN = tuple(f"{SECRET} number {number}" + " please" * (number * 5 % 7) for number in range(40))
TRUTH = tuple(LABELS[number % 4] for number in range(40))


def table(peak: float, doubt: Callable[[int], float] = lambda _: 0.0) -> Model:
    """A real table model that answers the truth with this much more of a logit."""
    rows = {}
    for number, text in enumerate(GOLDEN):
        row = np.zeros(4, np.float32)
        row[number % 4] = peak - doubt(number)
        rows[text] = row.tolist()
    return build(table_files(LABELS, rows), 1)


class Letters:
    """A linear model over counts of letters: real outputs, with a fault put in by `spoil`."""

    classes: tuple[str, ...] = LABELS
    fingerprint = "0" * 64
    engine = "letters"

    def __init__(self, spoil: Callable[[Floats], Floats] = lambda logits: logits) -> None:
        self.spoil = spoil
        self.weights = np.random.default_rng(3).standard_normal((256, 4)).astype(np.float32)

    def run(self, texts: Sequence[str]) -> Outputs:
        rows = []
        for text in texts:
            counts = np.bincount(np.frombuffer(text.encode(), np.uint8), minlength=256)
            rows.append((counts[:, None] * self.weights).sum(axis=0, dtype=np.float32))
        logits = self.spoil(np.array(rows, np.float32).reshape(len(texts), 4))
        with np.errstate(all="ignore"):
            return Outputs(logits, softmax(logits), logits.copy())

    def close(self) -> None: ...


def failed(verdict: Verdict) -> list[Gate]:
    assert SECRET not in repr(verdict)
    assert not any(label in repr(verdict) for label in LABELS)
    return [finding.gate for finding in verdict.findings if not finding.passed]


def detail(verdict: Verdict, gate: Gate) -> dict[str, float]:
    (found,) = [finding for finding in verdict.findings if finding.gate is gate]
    pairs = (pair.split("=") for pair in found.detail.split())
    return {name: float(number) for name, number in pairs}


def test_a_sound_model_passes_every_gate() -> None:
    verdict = judge(table(6.0), GOLDEN, TRUTH, LABELS)
    assert verdict.passed
    assert [finding.gate for finding in verdict.findings] == list(Gate)
    assert failed(verdict) == []
    assert judge(Letters(), GOLDEN).passed


@pytest.mark.parametrize("normalised", [0.95, 0.97, 0.979, 0.981, 0.99, 1.0])
def test_cold_gate_by_doubt(normalised: float) -> None:
    low, high = 0.0, 9.0  # entropy falls with the peak: bisect for the wanted one
    for _ in range(60):
        peak = (low + high) / 2
        probs = softmax(np.array([[peak, 0, 0, 0]], np.float32)).astype(np.float64)
        entropy = -(probs * np.log(probs)).sum() / math.log(4)
        low, high = (peak, high) if entropy > normalised else (low, peak)
    verdict = judge(table(low), GOLDEN)
    assert detail(verdict, Gate.TRAINED)["entropy"] == pytest.approx(normalised, abs=2e-3)
    assert (Gate.TRAINED in failed(verdict)) == (normalised > 0.98)
    assert verdict.passed == (normalised < 0.98)


def test_cold_gate_by_loss_where_the_truth_is_known() -> None:
    wrong = TRUTH[1:] + TRUTH[:1]
    assert judge(table(6.0), GOLDEN, TRUTH).passed
    assert failed(judge(table(6.0), GOLDEN, wrong)) == [Gate.TRAINED]
    some = [label if number % 2 else None for number, label in enumerate(wrong)]
    verdict = judge(table(6.0), GOLDEN, some)
    assert failed(verdict) == [Gate.TRAINED]
    assert detail(verdict, Gate.TRAINED)["labelled"] == 20
    assert judge(table(6.0), GOLDEN, [None] * 40).passed
    # peak 0.6: probability 0.378, loss 0.973 = 0.702 ln 4; at 0.7 it is 0.903 = 0.651 ln 4
    assert failed(judge(table(0.60), GOLDEN, TRUTH)) == [Gate.TRAINED]
    assert judge(table(0.70), GOLDEN, TRUTH).passed


def test_a_sure_model_is_not_refused_for_wrong_labels_of_others() -> None:
    """A fifth of the labels is wrong: the mean loss would be that of no training at all."""
    wrong = TRUTH[1:] + TRUTH[:1]
    noisy = [wrong[n] if n % 5 == 0 else label for n, label in enumerate(TRUTH)]
    assert judge(table(14.0), GOLDEN, noisy).passed


def test_labels_that_the_checkpoint_lacks() -> None:
    unknown = ["nobody_knows"] * 10 + list(TRUTH[10:])
    verdict = judge(table(6.0), GOLDEN, unknown)
    assert verdict.passed
    assert detail(verdict, Gate.TRAINED)["unknown"] == 10
    assert failed(judge(table(6.0), GOLDEN, ["nobody_knows"] * 40)) == [Gate.TRAINED]
    with pytest.raises(ValueError, match="one expected label"):
        judge(table(6.0), GOLDEN, TRUTH[1:])


def test_label_set_against_the_edition_before() -> None:
    model = table(6.0)
    lost = judge(model, GOLDEN, previous=(*LABELS, "gone"))
    assert failed(lost) == [Gate.LABELS]
    assert not lost.passed
    assert len(lost.findings) == 2  # a model that is not ours is not run
    assert judge(model, GOLDEN, previous=(*LABELS, "gone"), allow_missing_labels=True).passed
    assert judge(model, GOLDEN, previous=LABELS[:2]).passed
    assert failed(judge(model, GOLDEN, previous=LABELS[:2], allow_new_labels=False)) == [
        Gate.LABELS
    ]
    moved = judge(model, GOLDEN, previous=LABELS[::-1])
    assert moved.passed
    assert detail(moved, Gate.LABELS) == {"classes": 4, "missing": 0, "new": 0, "moved": 4}


@pytest.mark.parametrize("classes", [("a",), ("a", "a", "b", "c")])
def test_label_set_of_its_own(classes: tuple[str, ...]) -> None:
    model = Letters()
    model.classes = classes
    assert failed(judge(model, GOLDEN)) == [Gate.LABELS]


@pytest.mark.parametrize("texts", [(), GOLDEN[:15], GOLDEN[:3] * 20])
def test_too_few_texts_say_nothing(texts: tuple[str, ...]) -> None:
    assert failed(judge(Letters(), texts)) == [Gate.GOLDEN]


def put(value: float, row: int) -> Callable[[Floats], Floats]:
    def spoil(logits: Floats) -> Floats:
        logits = logits.copy()
        logits[row % len(logits), 1] = value
        return logits

    return spoil


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("row", [0, 17, -1])
def test_one_number_that_is_not_finite(value: float, row: int) -> None:
    verdict = judge(Letters(put(value, row)), GOLDEN)
    assert failed(verdict) == [Gate.FINITE]
    assert not verdict.passed
    assert detail(verdict, Gate.FINITE)["not_finite"] >= 1


def test_hidden_and_slots_must_be_finite_too() -> None:
    class Hidden(Letters):
        def run(self, texts: Sequence[str]) -> Outputs:
            good = super().run(texts)
            return Outputs(good.logits, good.probs, np.full((len(texts), 2), np.nan, np.float32))

    class Slots(Letters):
        def run(self, texts: Sequence[str]) -> Outputs:
            good = super().run(texts)
            nan = np.full((3, 2), np.nan, np.float32)
            return Outputs(good.logits, good.probs, slot_probs=(nan,) * len(texts))

    assert failed(judge(Hidden(), GOLDEN)) == failed(judge(Slots(), GOLDEN)) == [Gate.FINITE]


def test_width_and_sums() -> None:
    class Halved(Letters):
        def run(self, texts: Sequence[str]) -> Outputs:
            good = super().run(texts)
            return Outputs(good.logits, good.probs / 2)

    class Refusing(Letters):
        def run(self, texts: Sequence[str]) -> Outputs:
            raise BadModel(SECRET)

    wide = Letters()
    wide.classes = (*LABELS, "a_fifth")
    for model in (wide, Halved(), Refusing()):
        assert failed(judge(model, GOLDEN)) == [Gate.FINITE]


def test_neighbours_are_found_out() -> None:
    mean = Letters(lambda logits: logits - logits.mean(axis=0))
    assert Gate.INVARIANT in failed(judge(mean, GOLDEN))
    last_bit = Letters(
        lambda logits: np.nextafter(logits, np.float32(9e9)) if len(logits) == 1 else logits
    )
    verdict = judge(last_bit, GOLDEN)
    assert failed(verdict) == [Gate.INVARIANT]
    assert not verdict.passed


def test_a_constant_answer_is_refused_even_if_it_is_sure() -> None:
    row = np.array([9, 0, 0, 0], np.float32)
    verdict = judge(Letters(lambda logits: np.tile(row, (len(logits), 1))), GOLDEN)
    assert failed(verdict) == [Gate.CONSTANT]
    assert not verdict.passed
    faint = Letters(lambda logits: row + np.tanh(logits) * np.float32(1e-3))
    assert failed(judge(faint, GOLDEN)) == [Gate.CONSTANT]


def test_doubt_that_is_only_length_is_a_warning() -> None:
    verdict = judge(table(6.0, lambda number: len(GOLDEN[number]) / 20), GOLDEN, TRUTH)
    assert failed(verdict) == [Gate.LENGTH]
    assert verdict.passed
    assert verdict.findings[-1].warning
    assert detail(verdict, Gate.LENGTH)["spearman"] > 0.99
    against = judge(table(3.0, lambda number: -len(GOLDEN[number]) / 20), GOLDEN, TRUTH)
    assert detail(against, Gate.LENGTH)["spearman"] < -0.99
    assert failed(against) == [Gate.LENGTH]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30))
def test_spearman_is_scipys(pairs: list[tuple[int, int]]) -> None:
    one, other = np.array(pairs, dtype=np.float64).T
    if len(set(one)) == 1 or len(set(other)) == 1:
        assert spearman(one, other) == 0.0
    else:
        assert spearman(one, other) == pytest.approx(stats.spearmanr(one, other).statistic)


def test_a_table_without_a_golden_answer_still_fits_its_files() -> None:
    files = table_files(LABELS)
    assert isinstance(files, Files)
    assert judge(build(files, 1), GOLDEN, previous=LABELS).passed  # logits of its bank
