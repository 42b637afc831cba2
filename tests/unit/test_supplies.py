"""Scores and what feeds them: the scorer takes each where it is supplied, else says what lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pytest

from scoring.catalogue import Entry, catalogue
from scoring.grade import BadOutputs, take
from scoring.kinds import load
from scoring.scorer import FIELDS, SUPPLIERS, Scorer, Unsupplied
from scoring.types import GRID, MISSING, Outputs, Score
from tests.outputs import some_outputs

WANTING = [(entry, need) for entry in catalogue() for need in entry.needs if need != "label"]
LABEL_FREE = [entry for entry in catalogue() if "label" not in entry.needs]


def build(name: str) -> Score:
    return cast(Score, load("scoring.scores", name, {}))


@dataclass
class Recorded:
    """A model with one recorded answer per text "0", "1" ...; the empty text is answered as "0"."""

    outputs: Outputs
    classes: tuple[str, ...] = ("on", "off", "timer", "weather")
    fingerprint: str = "recorded"
    engine: str = "recorded"

    def run(self, texts: Sequence[str]) -> Outputs:
        return take(self.outputs, np.array([int(text or "0") for text in texts], np.intp))

    def close(self) -> None:
        """Nothing to close."""


def without(outputs: Outputs, need: str) -> Outputs:
    nothing: dict[str, Any] = {FIELDS.get(need, need): None}
    return replace(outputs, **nothing)


def model() -> Recorded:
    return Recorded(replace(some_outputs(5, 8, 4), labels=None))


def test_all_scores_of_a_model_that_supplies_everything() -> None:
    scores = [build(entry.name) for entry in catalogue()]
    labels = ["on", None, "off", "new", "timer", None, "weather", "on"]
    texts = [str(row) for row in range(8)]
    scored = Scorer(model(), scores).score(texts, labels)
    for score in scores:
        column = scored.scores[score.name]
        if "label" in score.needs:
            assert (column == MISSING).tolist() == [label is None for label in labels]
        else:
            assert (column >= 0).all()
        assert column.max() <= round(score.high * GRID)
        alone = [
            Scorer(model(), [score]).score([t], [y]) for t, y in zip(texts, labels, strict=True)
        ]
        assert [one.scores[score.name][0] for one in alone] == column.tolist()


@pytest.mark.parametrize(("entry", "need"), WANTING, ids=lambda v: getattr(v, "name", v))
def test_a_model_that_does_not_supply_it_is_refused_by_name(entry: Entry, need: str) -> None:
    poor = model()
    Scorer(poor, [build(entry.name)])
    poor.outputs = without(poor.outputs, need)
    with pytest.raises(Unsupplied, match=f"{entry.name}.*{need}") as caught:
        Scorer(poor, [build(entry.name)])
    assert SUPPLIERS[need] in str(caught.value)


@pytest.mark.parametrize(
    "name", ["grand", "grand_layer", "aum", "rho_loss", "vog", "tracin", "joint_grand"]
)
def test_what_is_not_a_number_ends_in_a_refusal(name: str) -> None:
    broken = model()
    outputs = broken.outputs
    assert outputs.hidden is not None
    assert outputs.history is not None
    assert outputs.reference is not None
    assert outputs.gradients is not None
    assert outputs.layer_gradient is not None
    assert outputs.hidden_history is not None
    spoilt = replace(
        outputs,
        hidden=outputs.hidden * np.float32(np.nan),
        history=outputs.history * np.float32(np.nan),
        reference=outputs.reference * np.float32(np.nan),
        gradients=tuple(np.full((5, 2, 3), np.nan, np.float32) for _ in outputs.gradients),
        layer_gradient=outputs.layer_gradient * np.float32(np.nan),
        hidden_history=outputs.hidden_history * np.float32(np.nan),
    )
    broken.outputs = spoilt
    with pytest.raises(BadOutputs, match=f"score '{name}' left its range"):
        Scorer(broken, [build(name)])


def test_scores_without_a_label_ask_for_none() -> None:
    names = {entry.name for entry in LABEL_FREE}
    assert names == {"entropy", "margin", "least_confidence", "input_norm", "length", "shuffled"}
