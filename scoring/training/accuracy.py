"""How often the answers of a head or a model are right: over rows, and as the mean over intents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scoring.types import Floats


class Accuracy(NamedTuple):
    """Shares of right answers in [0, 1]: over rows, and the mean over intents."""

    plain: float
    macro: float


def indices(labels: Sequence[str], classes: Sequence[str]) -> npt.NDArray[np.int64]:
    """(n,) place of each label in `classes`, -1 where it has none."""
    places = {name: place for place, name in enumerate(classes)}
    return np.array([places.get(label, -1) for label in labels], dtype=np.int64)


def shares(right: Floats, labels: Sequence[str]) -> Accuracy:
    """Of (n,) answers, 1 where right, n >= 1; macro over the labels that occur."""
    _, group = np.unique(np.array(labels), return_inverse=True)
    by_label = np.bincount(group, weights=right) / np.bincount(group)
    return Accuracy(float(right.mean()), float(by_label.mean()))
