"""What a checkpoint must show before an edition may name it (law 4): `judge` on a golden batch.

    labels     as many as the logits are wide; none of the previous edition's is lost
    golden     enough different texts to judge by
    finite     every number of every output, also for odd texts
    invariant  a text's score does not depend on its neighbours
    constant   the answer depends on the text
    trained    the model is sure of something, and right where the truth is known
    length     warning only: its doubt is not just a measure of the text's length

The cold gate is Kirsch 2023 (arXiv:2303.14753) and Fayyaz et al. 2022 (arXiv:2211.05610): scores
of an untrained model select no better than chance. Details hold numbers, never a text or a label.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from scoring.correlation import spearman
from scoring.models.base import BadModel, NotInvariant
from scoring.models.selftest import self_test
from scoring.types import Model, Outputs

GOLDEN_TEXTS_MIN = 16
INVARIANT_TEXTS_MAX = 64  # each is run alone and in several batches
ENTROPY_MAX = 0.98  # mean entropy / ln K; a fresh head of a pretrained encoder stays above
LOSS_MAX = 0.7  # median cross entropy / ln K (Kirsch 2023 takes the mean of clean labels)
SPREAD_MIN = 0.01  # probability by which some class must move between texts
LENGTH_MAX = 0.8  # |Spearman| of entropy and length in characters
ODD_TEXTS = ("", " ", "?", "a" * 5000, "set a timer " * 500, "\N{ZERO WIDTH JOINER}" * 40)

Doubles = npt.NDArray[np.float64]


class Gate(enum.StrEnum):
    """Closed; the order is the order of the findings."""

    LABELS = "labels"
    GOLDEN = "golden"
    FINITE = "finite"
    INVARIANT = "invariant"
    CONSTANT = "constant"
    TRAINED = "trained"
    LENGTH = "length"


WARNINGS = frozenset({Gate.LENGTH})


class Finding(Struct, frozen=True):
    """What one gate saw. `detail` is `name=number` pairs."""

    gate: Gate
    passed: bool
    detail: str

    @property
    def warning(self) -> bool:
        """Not passed, but no reason to refuse."""
        return not self.passed and self.gate in WARNINGS


class Verdict(Struct, frozen=True):
    """Refused if any finding but a warning did not pass; the gates behind it were not tried."""

    passed: bool
    findings: tuple[Finding, ...]


def judge(
    model: Model,
    golden_texts: Sequence[str],
    expected_labels: Sequence[str | None] | None = None,
    previous: Sequence[str] | None = None,
    *,
    allow_missing_labels: bool = False,
    allow_new_labels: bool = True,
) -> Verdict:
    """Run all gates. `expected_labels`: the truth of each golden text, None where unknown.

    `previous`: labels of the edition before. Raises ValueError for columns of unequal length.
    """
    if expected_labels is not None and len(expected_labels) != len(golden_texts):
        raise ValueError("one expected label, or None, for each golden text")
    findings = [
        _labels(model.classes, previous or (), allow_missing_labels, allow_new_labels),
        _golden(golden_texts),
    ]
    outputs: Outputs | None = None
    if all(finding.passed for finding in findings):
        outputs = _run(model, (*golden_texts, *ODD_TEXTS))
        findings.append(_finite(outputs, len(model.classes), len(golden_texts) + len(ODD_TEXTS)))
    if outputs is not None and findings[-1].passed:
        findings.append(_invariant(model, golden_texts[:INVARIANT_TEXTS_MAX]))
        logs = _log_softmax(outputs.logits[: len(golden_texts)])
        findings.append(_constant(logs))
        findings.append(_trained(logs, model.classes, expected_labels))
        findings.append(_length(logs, golden_texts))
    passed = all(finding.passed or finding.warning for finding in findings)
    return Verdict(passed, tuple(findings))


def _labels(
    classes: Sequence[str], previous: Sequence[str], allow_missing: bool, allow_new: bool
) -> Finding:
    missing = len(set(previous) - set(classes))
    new = len(set(classes) - set(previous)) if previous else 0
    moved = sum(a != b for a, b in zip(classes, previous, strict=False))  # names decide: no fault
    passed = (allow_missing or not missing) and (allow_new or not new)
    detail = f"classes={len(classes)} missing={missing} new={new} moved={moved}"
    return Finding(Gate.LABELS, passed and len(set(classes)) == len(classes) >= 2, detail)


def _golden(texts: Sequence[str]) -> Finding:
    distinct = len(set(texts))
    detail = f"texts={len(texts)} distinct={distinct} needed={GOLDEN_TEXTS_MIN}"
    return Finding(Gate.GOLDEN, distinct >= GOLDEN_TEXTS_MIN, detail)


def _run(model: Model, texts: Sequence[str]) -> Outputs | None:
    try:
        return model.run(texts)
    except BadModel:  # its message may quote shapes of the file; the finding says enough
        return None


def _finite(outputs: Outputs | None, classes: int, rows: int) -> Finding:
    """Shapes (n, k), everything finite, probabilities that sum to 1."""
    if outputs is None:
        return Finding(Gate.FINITE, False, f"rows={rows} ran=0")
    arrays = [outputs.logits, outputs.probs, *(outputs.slot_probs or ())]
    if outputs.hidden is not None:
        arrays.append(outputs.hidden)
    odd = sum(int(np.count_nonzero(~np.isfinite(array))) for array in arrays)
    shapes = outputs.logits.shape == (rows, classes) == outputs.probs.shape
    detail = f"rows={rows} classes={classes} width={outputs.logits.shape[-1]} not_finite={odd}"
    if odd or not shapes:
        return Finding(Gate.FINITE, False, detail)
    off = float(np.abs(outputs.probs.sum(axis=1, dtype=np.float64) - 1).max())
    return Finding(Gate.FINITE, off < 1e-4, f"{detail} sum_off={off:.1e}")


def _invariant(model: Model, texts: Sequence[str]) -> Finding:
    try:
        self_test(model, texts)
    except NotInvariant:
        return Finding(Gate.INVARIANT, False, f"texts={len(texts)} equal=0")
    return Finding(Gate.INVARIANT, True, f"texts={len(texts)} equal=1")


def _constant(logs: Doubles) -> Finding:
    probs = np.exp(logs)
    spread = float((probs.max(axis=0) - probs.min(axis=0)).max())
    answers = len(np.unique(probs.argmax(axis=1)))
    return Finding(Gate.CONSTANT, spread >= SPREAD_MIN, f"spread={spread:.4f} answers={answers}")


def _trained(
    logs: Doubles, classes: Sequence[str], expected: Sequence[str | None] | None
) -> Finding:
    uniform = math.log(len(classes))
    entropy = float(_entropies(logs).mean()) / uniform
    passed, detail = entropy < ENTROPY_MAX, f"entropy={entropy:.4f}"
    known = {label: index for index, label in enumerate(classes)}
    given = [(row, label) for row, label in enumerate(expected or ()) if label is not None]
    rows = [row for row, label in given if label in known]
    if given:  # a truth that the checkpoint has no class for says nothing of its training
        columns = [known[label] for _, label in given if label in known]
        # the median: a share of live labels is wrong, and a sure model pays dearly for each
        loss = float(np.median(-logs[rows, columns])) / uniform if rows else math.inf
        passed = passed and loss < LOSS_MAX
        detail += f" loss={loss:.4f} labelled={len(rows)} unknown={len(given) - len(rows)}"
    return Finding(Gate.TRAINED, passed, detail)


def _length(logs: Doubles, texts: Sequence[str]) -> Finding:
    rho = spearman(_entropies(logs), np.array([len(text) for text in texts], dtype=np.float64))
    return Finding(Gate.LENGTH, abs(rho) <= LENGTH_MAX, f"spearman={rho:.4f}")


def _log_softmax(logits: npt.NDArray[np.float32]) -> Doubles:
    """(n, k) float64 log probabilities: from logits, so that a loss is never ln 0."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _entropies(logs: Doubles) -> Doubles:
    return np.asarray(-(np.exp(logs) * logs).sum(axis=1))
