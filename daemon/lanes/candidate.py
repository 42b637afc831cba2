"""Records after decode, score and weigh, and those among them that may stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from buffers.base import Ids, Int64s, Kept
from daemon.decode.utterance import Utterance
from daemon.learning.rules import Rules
from scoring import scorer
from scoring.types import CODES, Reason, Refusal, Scored, Weighed


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


def join(segments: Sequence[Prepared]) -> Prepared:
    """Consecutive segments of one window as one."""
    if len(segments) == 1:
        return segments[0]
    starts = accumulate((len(p.positions) for p in segments), initial=0)
    placed = list(zip(segments, starts, strict=False))
    scored, weighed = [p.scored for p in segments], [p.weighed for p in segments]
    return Prepared(
        np.concatenate([p.positions for p in segments]),
        np.concatenate([p.times_ms for p in segments]),
        [utterance for p in segments for utterance in p.utterances],
        np.concatenate([p.rows + start for p, start in placed]),
        [Refusal(r.index + start, r.reason) for p, start in placed for r in p.refusals],
        np.concatenate([p.keys for p in segments]),
        np.concatenate([p.ids for p in segments]),
        Scored(
            np.concatenate([s.argmax for s in scored]),
            np.concatenate([s.labels for s in scored]),
            {name: np.concatenate([s.scores[name] for s in scored]) for name in scored[0].scores},
            np.concatenate([s.plausibility for s in scored]),
            np.concatenate([s.probs for s in scored]),
        ),
        Weighed(
            np.concatenate([w.weights for w in weighed]),
            np.concatenate([w.reasons for w in weighed]),
        ),
        sum(p.late for p in segments),
    )


def refuse(p: Prepared, chosen: npt.NDArray[np.bool_], reason: Reason) -> Prepared:
    """Accepted records among the chosen (m,) become refusals; those of the policy stay its own."""
    chosen = chosen & (p.weighed.reasons == 0)
    if not chosen.any():
        return p
    reasons = np.where(chosen, np.uint8(CODES[reason]), p.weighed.reasons)
    weights = np.where(chosen, np.int16(0), p.weighed.weights)
    return replace(p, weighed=Weighed(weights, reasons))


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
