"""The quarantine in front of a policy: labels that the checkpoint doubts are not weighed at all.

With 10 % flips, quarantine and then weights left 0.4 % wrong labels where weights alone left 18 to
20 %: flips land in rare classes, which balancing favours, and at the top of hard scores.

The threshold is no option. It comes with the terms, because it must follow the noise rate that was
measured: a fixed share costs more on clean data than it ever saves.
"""

from __future__ import annotations

import numpy as np

from scoring.types import CODES, Policy, Reason, Scored, Terms, Weighed


class Quarantined:
    """A policy behind the quarantine; its verdict is a function of (text, label)."""

    reads_label = True  # the quarantine does, whatever the policy behind it

    def __init__(self, inner: Policy, name: str) -> None:
        self.name = name
        self.reads = inner.reads
        self.asks = inner.asks
        self.needs_label = inner.needs_label
        self.key_only = inner.key_only
        self._inner = inner

    def weigh(self, scored: Scored, terms: Terms) -> Weighed:
        """As the inner policy, but 0 with SUSPECT where 0 <= plausibility < suspect_below.

        Cold or not; None means no quarantine. Rows without a label, or with one that the
        checkpoint does not know, have no plausibility and are never suspect.
        """
        weighed = self._inner.weigh(scored, terms)
        if terms.suspect_below is None:
            return weighed
        suspect = (scored.plausibility >= 0) & (scored.plausibility < terms.suspect_below)
        reasons = np.where(suspect, np.uint8(CODES[Reason.SUSPECT]), weighed.reasons)
        return Weighed(np.where(suspect, np.int16(0), weighed.weights), reasons)


def behind(quarantine: bool, policy: Policy) -> Policy:
    """The policy, behind a quarantine if its option says so."""
    return Quarantined(policy, policy.name) if quarantine else policy
