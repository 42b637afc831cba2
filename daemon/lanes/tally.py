"""Counts of a window: integers that add up in any order (law 7)."""

from __future__ import annotations

from collections import Counter

import numpy as np

from buffers import draw
from buffers.base import Int64s
from daemon.lanes.candidate import Prepared
from daemon.learning.calibration import Counts
from daemon.learning.rules import Rules
from scoring.types import CODES, GRID, REASONS, Reason

STEPS = 8 * GRID + 1  # int16 scores fit
TRAFFIC = (CODES[Reason.ACCEPTED], CODES[Reason.ALREADY_EMITTED])
NAMES_PER_GROUP = 4  # names counted per part, in units of the group limit


class Tally:
    """What a lane counts of its open window."""

    def __init__(self, rules: Rules, scores: tuple[str, ...]) -> None:
        self._rules = rules
        self._records = self._late = 0
        self._reasons = np.zeros(len(REASONS), np.int64)
        self._histograms = {name: np.zeros(STEPS, np.int64) for name in scores}
        self._plausibility = np.zeros(STEPS, np.int64)
        self._names: Counter[str] = Counter()

    def add(self, p: Prepared, names: list[str]) -> None:
        """Count a prepared segment; `names` are the plain group names of its utterances."""
        self._records += len(p.positions)
        self._late += p.late
        self._reasons += np.bincount(p.weighed.reasons, minlength=len(REASONS))
        for refusal in p.refusals:
            self._reasons[CODES[refusal.reason]] += 1
        for name, column in p.scored.scores.items():
            self._histograms[name] += np.bincount(column[column >= 0], minlength=STEPS)
        judged = p.scored.plausibility[p.scored.plausibility >= 0]
        self._plausibility += np.bincount(judged, minlength=STEPS)
        # what is known is traffic all the same: shares are of what is said, not of what is new
        accepted = np.isin(p.weighed.reasons, TRAFFIC).tolist()
        self._names.update(n for n, ok in zip(names, accepted, strict=True) if ok)
        bound = NAMES_PER_GROUP * self._rules.policy.groups.limit
        if len(self._names) > 2 * bound:
            self._names = Counter(self._bounded(bound))

    def _bounded(self, bound: int) -> dict[str, int]:
        """The names with the smallest hashes: a hostile stream of names cannot grow a part."""
        key = self._rules.key
        keep = sorted(self._names, key=lambda n: (draw.name_hash(key, n), n))[:bound]
        return {name: self._names[name] for name in sorted(keep)}

    def counts(self) -> Counts:
        """Plain integers of the window so far."""

        def sparse(dense: Int64s) -> dict[int, int]:
            return {int(step): int(dense[step]) for step in np.flatnonzero(dense)}

        reasons = {str(REASONS[i]): int(c) for i, c in enumerate(self._reasons) if c}
        return Counts(
            records=self._records,
            late=self._late,
            reasons=reasons,
            groups=self._bounded(NAMES_PER_GROUP * self._rules.policy.groups.limit),
            histograms={name: sparse(dense) for name, dense in self._histograms.items()},
            plausibility=sparse(self._plausibility),
        )
