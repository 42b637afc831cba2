"""What one lane gathers of one window: reservoirs, counts and the ledger. Pure.

Everything here is a function of the set of records and the rules: not of batches or order, but
for the ledger, which lists the lane's records as the log orders them.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from buffers import draw, uniform
from buffers.base import NEVER, Ids, Int64s, Kept, Reservoir
from daemon.calibration import Counts
from daemon.ledger import LedgerWriter
from daemon.part import row_types
from daemon.rules import Rules
from daemon.utterance import Utterance
from scoring import scorer
from scoring.types import CODES, GRID, REASONS, Reason, Refusal, Scored, Weighed

EPOCH = 0  # constant: draws of a text are the same in every window (low churn, rolling sets)
ARMS = ("audit", "random", "review")
STEPS = 8 * GRID + 1  # int16 scores fit
NAMES_PER_GROUP = 4  # names counted per part, in units of the group limit


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A segment after decode, score and weigh: n records, m of them utterances."""

    positions: Int64s  # (n,)
    times_ms: Int64s  # (n,)
    utterances: list[Utterance]  # m
    rows: Int64s  # (m,) index of each utterance among the n
    refusals: list[Refusal]  # n - m
    keys: Ids  # (m, 2) what is kept once
    ids: Ids  # (m, 2) identity of the utterance id
    scored: Scored
    weighed: Weighed
    late: int


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A record that may stay, with what the part's row needs of it."""

    utterance: Utterance
    position: int
    time_ms: int
    key: tuple[int, int]
    id: tuple[int, int]
    weight: int
    scores: tuple[int, ...]
    plausibility: int
    argmax: int
    probs: npt.NDArray[np.float32]  # (k,)


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Rows `select` of a prepared segment as a lazy sequence: built only for what may stay."""

    prepared: Prepared
    select: Int64s

    def __len__(self) -> int:
        return len(self.select)

    def __getitem__(self, i: int) -> Candidate:
        p, row = self.prepared, int(self.select[i])
        at = int(p.rows[row])
        return Candidate(
            p.utterances[row],
            int(p.positions[at]),
            int(p.times_ms[at]),
            (int(p.keys[row, 0]), int(p.keys[row, 1])),
            (int(p.ids[row, 0]), int(p.ids[row, 1])),
            int(p.weighed.weights[row]),
            tuple(int(column[row]) for column in p.scored.scores.values()),
            int(p.scored.plausibility[row]),
            int(p.scored.argmax[row]),
            p.scored.probs[row].copy(),  # a view would keep the whole batch alive
        )


def arm_rows(rules: Rules) -> dict[str, int]:
    """Capacity of each arm beside the selection."""
    arms = rules.policy.arms
    return {
        "audit": arms.audit_rows,
        "random": arms.random_rows or rules.policy.capacity_rows,
        "review": arms.review_rows,
    }


def build_arm(rules: Rules, arm: str) -> Reservoir:
    """Smallest ranks of the arm; audit and random know no groups."""
    return uniform.build(arm_rows(rules)[arm], rules.quotas)


class Gathering:
    """The open window of an utterance lane."""

    def __init__(self, rules: Rules, pool: Reservoir, scores: tuple[str, ...]) -> None:
        self.rules = rules
        self.scores = scores
        self.pool = pool
        self.arms = {arm: build_arm(rules, arm) for arm in ARMS}
        self.ledger = LedgerWriter(scores)
        self.late = 0
        self._reasons = np.zeros(len(REASONS), np.int64)
        self._histograms = {name: np.zeros(STEPS, np.int64) for name in scores}
        self._plausibility = np.zeros(STEPS, np.int64)
        self._names: Counter[str] = Counter()
        self._index = rules.index

    def absorb(self, p: Prepared) -> None:
        """Take in the next records of the window."""
        self.late += p.late
        names = self._group_names(p)
        groups = np.fromiter((self._index.get(n, 0) for n in names), np.int32, len(names))
        p = self._tell_apart(p, names, groups)
        self._offer(p, groups)
        self._count(p, names)
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
        if len(columns) == 1:
            return [name or "" for name in columns[0]]
        return [next((n for n in names if n), "") for names in zip(*columns, strict=True)]

    def _tell_apart(
        self, p: Prepared, names: list[str], groups: npt.NDArray[np.int32]
    ) -> Prepared:
        """One text under two names that share `(other)` is two keys: their weights differ."""
        unnamed = np.flatnonzero(groups == 0).tolist() if not self.rules.cold else []
        if not unnamed:
            return p
        keys = p.keys.copy()
        for row in unnamed:
            keys[row, 1] ^= np.uint64(self.rules.mask(0, names[row]))
        return dataclasses.replace(p, keys=keys)

    def _offer(self, p: Prepared, groups: npt.NDArray[np.int32]) -> None:
        key = self.rules.key
        orders = p.positions[p.rows]
        accepted = np.flatnonzero(p.weighed.reasons == 0)
        ranks = draw.log_rank(
            draw.draw(p.keys[accepted], "select", EPOCH, key), p.weighed.weights[accepted]
        )
        self.pool.offer_many(
            groups[accepted],
            ranks,
            p.keys[accepted],
            orders[accepted],
            Candidates(p, accepted),
        )
        everything = np.arange(len(p.rows))
        none = np.zeros(len(p.rows), np.int32)
        even = np.full(len(p.rows), GRID, np.int16)
        for arm in ("audit", "random"):
            # by utterance id, before quarantine and dedupe: an honest sample of the traffic
            ranks = draw.log_rank(draw.draw(p.ids, arm, EPOCH, key), even)
            self.arms[arm].offer_many(none, ranks, p.ids, orders, Candidates(p, everything))
        suspect = np.flatnonzero(p.weighed.reasons == CODES[Reason.SUSPECT])
        if len(suspect):
            weights = np.maximum(1, GRID - p.scored.plausibility[suspect]).astype(np.int16)
            ranks = draw.log_rank(draw.draw(p.keys[suspect], "review", EPOCH, key), weights)
            # a key is (identity, group) here too, so labels of one text do not hide one another
            self.arms["review"].offer_many(
                groups[suspect], ranks, p.keys[suspect], orders[suspect], Candidates(p, suspect)
            )

    def _count(self, p: Prepared, names: list[str]) -> None:
        self._reasons += np.bincount(p.weighed.reasons, minlength=len(REASONS))
        for refusal in p.refusals:
            self._reasons[CODES[refusal.reason]] += 1
        for name, column in p.scored.scores.items():
            self._histograms[name] += np.bincount(column[column >= 0], minlength=STEPS)
        judged = p.scored.plausibility[p.scored.plausibility >= 0]
        self._plausibility += np.bincount(judged, minlength=STEPS)
        accepted = (p.weighed.reasons == 0).tolist()
        self._names.update(n for n, ok in zip(names, accepted, strict=True) if ok)
        bound = NAMES_PER_GROUP * self.rules.policy.groups.limit
        if len(self._names) > 2 * bound:
            self._names = Counter(self._bounded(bound))

    def _bounded(self, bound: int) -> dict[str, int]:
        """The names with the smallest hashes: a hostile stream of names cannot grow a part."""
        key = self.rules.key
        keep = sorted(self._names, key=lambda n: (draw.name_hash(key, n), n))[:bound]
        return {name: self._names[name] for name in sorted(keep)}

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
        self.ledger.add(
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

        def sparse(dense: Int64s) -> dict[int, int]:
            return {int(step): int(dense[step]) for step in np.flatnonzero(dense)}

        reasons = {str(REASONS[i]): int(c) for i, c in enumerate(self._reasons) if c}
        return Counts(
            records=self.ledger.rows,
            late=self.late,
            reasons=reasons,
            groups=self._bounded(NAMES_PER_GROUP * self.rules.policy.groups.limit),
            histograms={name: sparse(dense) for name, dense in self._histograms.items()},
            plausibility=sparse(self._plausibility),
        )

    def taus(self) -> tuple[dict[str, int], dict[str, int]]:
        """Smallest log-rank turned away: by group of the pool, and by arm."""
        pool = {
            name: int(tau)
            for name, tau in zip(self.rules.groups, self.pool.thresholds().tolist(), strict=True)
            if tau != NEVER
        }
        arms = {arm: int(box.thresholds().min(initial=NEVER)) for arm, box in self.arms.items()}
        return pool, {arm: tau for arm, tau in arms.items() if tau != NEVER}

    def rows(self) -> dict[str, list[Any]]:
        """The part's rows: the pool, then each arm, each in canonical order."""
        columns: dict[str, list[Any]] = {n: [] for n in row_types("utterances", self.scores)}
        append(columns, "pool", self.pool.items(), self.rules)
        for arm in ARMS:
            append(columns, arm, self.arms[arm].items(), self.rules)
        return columns


def append(columns: dict[str, list[Any]], arm: str, kept: Kept, rules: Rules) -> None:
    """Add the kept rows of one arm to the columns of a part."""
    classes, by_id = rules.edition.classes, arm in ("audit", "random")
    items: list[Candidate] = kept.items
    if not items:
        return
    top_index, top_share = scorer.top_probabilities(np.stack([c.probs for c in items]))
    for i, c in enumerate(items):
        u, key = c.utterance, c.id if by_id else c.key
        values = (
            arm, *key, *c.id, rules.groups[int(kept.groups[i])] if not by_id else "",
            int(kept.log_ranks[i]), c.weight, int(kept.multiplicity[i]), c.position, c.time_ms,
            u.id, u.text, u.locale, u.intent, u.confidence, u.slots, u.label, u.label_source,
            u.user, u.event_time_ms, u.signals, classes[c.argmax], c.plausibility,
            top_index[i].tobytes(), top_share[i].tobytes(), *c.scores,
        )  # fmt: skip
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
