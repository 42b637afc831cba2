"""Forgetting events: how often a row was answered rightly and then wrongly again.

Shape:      history (m, n, k), oldest first, labels (n,) -> (n,) float32
Range:      [0, 1]: events / m. 0 = learnt and never forgotten; events are at most m / 2; 1 = never
            answered rightly, UNKNOWN_LABEL among them
Direction:  larger = harder = more valuable, up to the point where the label is wrong
Needs:      label, history
Cost:       checkpoints: m forward passes
Source:     Toneva et al. 2019 (arXiv 1812.05159), definition of forgetting events, where rows that
            were never learnt count as the most; as a score for assistants: Anand, Tan and
            Minakova 2023 (arXiv 2311.16298)
Traps:      - The paper counts at every presentation in training. Between m checkpoints most events
              go unseen, and most rows score 0: fine-tuned models converge within an epoch. Space
              the checkpoints closely over the first two epochs.
            - m + 1 values at most: many ties. The literature samples by it, it does not cut.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from scoring.scores.given import checkpoints, needed
from scoring.types import Floats, Outputs


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Forgetting has no options."""


class Forgetting:
    """Share of checkpoints at which the row had just been forgotten; 1 if never learnt."""

    name = "forgetting"
    high = 1.0
    needs = frozenset({"label", "history"})
    cost = "checkpoints"
    source = "Toneva et al. 2019 (arXiv 1812.05159); Anand et al. 2023 (arXiv 2311.16298)"

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, 1]. Raises ValueError without labels or history."""
        labels = needed(outputs.labels, self.name, "labels")
        history = checkpoints(outputs.history, self.name)
        answers = history.argmax(axis=2)  # (m, n); of equal classes the first, NaN before all
        right = answers == labels
        events = (right[:-1] & ~right[1:]).sum(axis=0, dtype=np.int64).astype(np.float32)
        events[~right.any(axis=0)] = len(right)
        best = np.take_along_axis(history, answers[:, :, None], axis=2)[:, :, 0]
        events[np.isnan(best).any(axis=0)] = np.nan  # a broken checkpoint has no answer
        share: Floats = events / np.float32(len(right))
        return share


def build(_options: Options) -> Forgetting:
    return Forgetting()
