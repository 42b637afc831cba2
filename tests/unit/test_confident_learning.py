"""Confident learning as its authors' library computes it."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
from cleanlab.rank import get_label_quality_scores  # type: ignore[import-untyped]

from scoring.kinds import load
from scoring.types import Outputs, Score


@pytest.mark.parametrize(
    ("kind", "method"),
    [("self_confidence", "self_confidence"), ("normalised_margin", "normalized_margin")],
)
@pytest.mark.parametrize("k", [2, 5, 60])
def test_rankings_are_those_of_cleanlab(kind: str, method: str, k: int) -> None:
    r = np.random.default_rng(k)
    probs = r.dirichlet(np.full(k, 0.2), 3000).astype(np.float32)
    labels = np.where(r.random(3000) < 0.3, r.integers(0, k, 3000), probs.argmax(axis=1))
    labels[:k] = np.arange(k)  # the library wants each class once
    theirs = get_label_quality_scores(labels, probs, method=method)
    score = cast(Score, load("scoring.scores", kind, {}))
    ours = score(Outputs(probs, probs, labels=labels.astype(np.int32)))
    np.testing.assert_allclose(1 - ours, theirs, atol=2e-7)
