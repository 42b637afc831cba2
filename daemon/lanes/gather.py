"""What one lane gathers of one window: reservoirs, counts and the ledger. Pure.

Everything here is a function of the set of records and the rules: not of batches or order, but
for the ledger, which lists the lane's records as the log orders them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from buffers import draw
from buffers.base import NEVER, Reservoir
from daemon.lanes.arms import ARMS, build_arm, build_pool
from daemon.lanes.candidate import Candidates, Prepared, append, join, refuse
from daemon.lanes.ledger import LedgerWriter
from daemon.lanes.part import row_types
from daemon.lanes.tally import Tally
from daemon.learning.calibration import Counts
from daemon.learning.rules import Rules
from scoring.types import CODES, GRID, Reason

TOGETHER = 4_096  # records that are offered at once: a call costs as much as hundreds of them
MOST_HELD = 1 << 20  # probabilities that wait in a lane for that: 4 MiB, however many classes


class Gathering:
    """The open window of an utterance lane."""

    def __init__(self, rules: Rules, scores: tuple[str, ...]) -> None:
        self.rules = rules
        self.scores = scores
        self.pool = build_pool(rules, rules.policy.pool)
        # what the policy refused, and a late label may bring back (law 8)
        self.waiting = build_pool(rules, rules.policy.pool)
        self.arms = {arm: build_arm(rules, arm) for arm in ARMS}
        self._ledger = LedgerWriter(scores)
        self._apart: list[Prepared] = []  # not offered yet
        self._records = self._held = 0  # in them: records, probabilities
        self._tally = Tally(rules, scores)
        self._index = rules.index

    def absorb(self, p: Prepared) -> None:
        """Take in the next records of the window. Short segments wait for one another."""
        self._apart.append(p)
        self._records += len(p.positions)
        self._held += p.scored.probs.size
        if self._records >= TOGETHER or self._held >= MOST_HELD:
            self._settle()

    @property
    def ledger(self) -> LedgerWriter:
        """Of all that was absorbed."""
        self._settle()
        return self._ledger

    def _settle(self) -> None:
        """Offer what waits."""
        if self._apart:
            p, self._apart = join(self._apart), []
            self._records = self._held = 0
            self._offer_all(p)

    def _offer_all(self, p: Prepared) -> None:
        names = self._group_names(p)
        groups = np.fromiter((self._index.get(n, 0) for n in names), np.int32, len(names))
        p = self._tell_apart(p, names, groups)
        known = self.rules.known.contains(p.keys[:, 0])
        p = refuse(p, known, Reason.ALREADY_EMITTED)
        self._offer(p, groups, known)
        self._tally.add(p, names)
        self._note(p, groups)

    def _group_names(self, p: Prepared) -> list[str]:
        """Per utterance, the first of the policy's sources that it has. Plain names."""
        columns: list[list[str | None]] = []
        for source in self.rules.policy.groups.by:
            if source == "label":
                columns.append([u.label for u in p.utterances])
            elif source == "hypothesis":
                columns.append([u.intent for u in p.utterances])
            else:
                classes = self.rules.edition.classes
                columns.append([classes[i] for i in p.scored.argmax.tolist()])
        first, *others = columns
        for column in others:
            first = [name or other for name, other in zip(first, column, strict=True)]
        return [name or "" for name in first]

    def _tell_apart(self, p: Prepared, names: list[str], groups: npt.NDArray[np.int32]) -> Prepared:
        """One text under two names that share `(other)` is two keys: their weights differ."""
        unnamed = np.flatnonzero(groups == 0).tolist() if not self.rules.cold else []
        if not unnamed:
            return p
        keys = p.keys.copy()
        for row in unnamed:
            keys[row, 1] ^= np.uint64(self.rules.mask(0, names[row]))
        return dataclasses.replace(p, keys=keys)

    def _offer(
        self, p: Prepared, groups: npt.NDArray[np.int32], known: npt.NDArray[np.bool_]
    ) -> None:
        key, epoch = self.rules.key, self.rules.epoch
        orders = p.positions[p.rows]
        everything = np.arange(len(p.rows))
        none = np.zeros(len(p.rows), np.int32)
        even = np.full(len(p.rows), GRID, np.int16)
        accepted = p.weighed.reasons == 0
        for reservoir, chosen, weights in (
            (self.pool, np.flatnonzero(accepted), p.weighed.weights),
            # one draw for both, so a row that comes back has the rank it would have had
            (self.waiting, np.flatnonzero(~(accepted | known)), even),
        ):
            if len(chosen):
                drawn = draw.draw(p.keys[chosen], "select", epoch, key)
                reservoir.offer_many(
                    groups[chosen],
                    draw.log_rank(drawn, weights[chosen]),
                    p.keys[chosen],
                    orders[chosen],
                    Candidates(p, chosen),
                )
        for arm in ("audit", "random"):
            # by utterance id, before quarantine, novelty and dedupe: an honest sample of traffic
            ranks = draw.log_rank(draw.draw(p.ids, arm, epoch, key), even)
            self.arms[arm].offer_many(none, ranks, p.ids, orders, Candidates(p, everything))
        suspect = np.flatnonzero(p.weighed.reasons == CODES[Reason.SUSPECT])
        if len(suspect):
            weights = np.maximum(1, GRID - p.scored.plausibility[suspect]).astype(np.int16)
            ranks = draw.log_rank(draw.draw(p.keys[suspect], "review", epoch, key), weights)
            # a key is (identity, group) here too, so labels of one text do not hide one another
            self.arms["review"].offer_many(
                groups[suspect], ranks, p.keys[suspect], orders[suspect], Candidates(p, suspect)
            )

    def _note(self, p: Prepared, groups: npt.NDArray[np.int32]) -> None:
        """Ledger rows of all n records: zeros where decode refused."""
        n = len(p.positions)

        def spread(values: Any, dtype: Any, empty: int = 0) -> npt.NDArray[Any]:
            if len(p.rows) == n:
                return np.asarray(values, dtype)
            column = np.full(n, empty, dtype)
            column[p.rows] = values
            return column

        reasons = spread(p.weighed.reasons, np.uint8)
        for refusal in p.refusals:
            reasons[refusal.index] = CODES[refusal.reason]
        self._ledger.add(
            {
                "position": p.positions,
                "reason": reasons,
                "key_hi": spread(p.keys[:, 0], np.uint64),
                "key_lo": spread(p.keys[:, 1], np.uint64),
                "id_hi": spread(p.ids[:, 0], np.uint64),
                "id_lo": spread(p.ids[:, 1], np.uint64),
                "group": spread(groups, np.int16),
                "label": spread(p.scored.labels, np.int32, -1),
                "weight": spread(p.weighed.weights, np.int16),
                "plausibility": spread(p.scored.plausibility, np.int16, -1),
                **{
                    f"score_{name}": spread(column, np.int16, -1)
                    for name, column in p.scored.scores.items()
                },
            }
        )

    def counts(self) -> Counts:
        """Plain integers of the window so far."""
        self._settle()
        return self._tally.counts()

    def taus(self) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
        """Smallest log-rank turned away: by group of pool and of waiting, and by arm."""
        self._settle()

        def by_group(reservoir: Reservoir) -> dict[str, int]:
            taus = zip(self.rules.groups, reservoir.thresholds().tolist(), strict=True)
            return {name: int(tau) for name, tau in taus if tau != NEVER}

        arms = {arm: int(box.thresholds().min(initial=NEVER)) for arm, box in self.arms.items()}
        known = {arm: tau for arm, tau in arms.items() if tau != NEVER}
        return by_group(self.pool), by_group(self.waiting), known

    def rows(self) -> dict[str, list[Any]]:
        """The part's rows: pool, waiting, then each arm, each in canonical order."""
        self._settle()
        columns: dict[str, list[Any]] = {n: [] for n in row_types("utterances", self.scores)}
        append(columns, "pool", self.pool.items(), self.rules)
        append(columns, "waiting", self.waiting.items(), self.rules)
        for arm in ARMS:
            append(columns, arm, self.arms[arm].items(), self.rules)
        return columns
