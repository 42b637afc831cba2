"""The rows of a shard: each says how it got there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from buffers import draw, exact
from buffers.base import NEVER
from daemon.decode.near import by_text
from daemon.lanes.arms import ARMS
from daemon.learning.rules import ALL, Rules
from daemon.shards import shard
from daemon.shards.chances import chances_of
from daemon.shards.columns import plain_name
from daemon.shards.merge import Merged, Taken
from daemon.shards.pool import doubt
from scoring.types import GRID, MISSING


def table(
    merged: Merged,
    rules: Rules,
    scores: tuple[str, ...],
    *,
    even: Sequence[str] = ("audit", "random"),
) -> dict[str, list[Any]]:
    """The rows of a shard as columns, by (lane, position). `even`: arms that any row may enter."""
    rows = shard.empty_rows(scores)
    index = rules.index
    chances = {
        arm: _other(GRID, merged.rates.get(arm), merged.lasts.get(f"arm:{arm}")) for arm in even
    }
    for taken in merged.taken:
        values = _row(merged, taken, rules, index, chances, scores)
        for name, column in rows.items():
            column.append(values[name])
    return rows


def _union(
    merged: Merged, taken: Taken, rules: Rules, even: Mapping[str, float], group: str
) -> float | None:
    """Chance that any arm takes the row: 1 - prod(1 - p), over the arms that could.

    None where it is not known: of rows that the assembler moved to review, of rows that a late
    label changed and that the selection did not show, and, where texts are kept once, of all that
    it did not show (another record may speak for the text). Nor of any that it did not show where
    there is a second stage: who knows whether they would have reached it. Nor of any that was or
    could have been selected where that is no matter of chance.
    """
    chances = dict(even)
    for arm, chance in taken.arms.items():
        if chance is None:
            return None
        chances[arm] = chance
    if taken.moved or (merged.columns["changed"][taken.row] and "selected" not in taken.arms):
        return None
    if even and "selected" not in taken.arms and merged.columns["reason"][taken.row] == 0:
        weight = merged.columns["weight"][taken.row]
        if weight and (merged.stage is not None or by_text(rules.policy.identity)):
            return None
        if weight and not rules.by_chance:
            return None
        if weight:
            key = ALL if rules.cold else group
            chances["selected"] = _other(weight, merged.taus.get(key), merged.lasts.get(key))
    if even and "review" not in taken.arms and _suspect(merged, taken.row, rules):
        if by_text(rules.policy.identity):
            return None
        weight = doubt(merged.columns["plausibility"][taken.row])
        rate, last = merged.rates.get("review"), merged.lasts.get("arm:review")
        chances["review"] = _other(weight, rate, last)
    missed = 1.0
    for _, chance in sorted(chances.items()):
        missed *= 1.0 - chance
    return 1.0 - missed


def _row(
    merged: Merged,
    taken: Taken,
    rules: Rules,
    index: Mapping[str, int],
    even: Mapping[str, float],
    scores: tuple[str, ...],
) -> dict[str, Any]:
    columns, row = merged.columns, taken.row
    name = plain_name(columns, row, rules.policy.groups.by)
    group = name if rules.cold else rules.groups[index.get(name, 0)]
    return {
        **{name: columns[name][row] for name in _COPIED},
        "group": group,
        "multiplicity": taken.multiplicity,
        "weight": columns["weight"][row] / GRID,
        "log_rank": columns["log_rank"][row] / draw.RANK_UNIT,
        "tau": None if taken.tau == NEVER else _tau(taken.tau),
        "inclusion_probability": _union(merged, taken, rules, even, group),
        **{f"inclusion_{arm}": taken.arms.get(arm) for arm in ("selected", *ARMS)},
        "epoch": rules.epoch,
        "cold": rules.cold,
        "checkpoint": rules.edition.checkpoint,
        "plausibility": _real(columns["plausibility"][row]),
        "window": rules.window,
        "arms": sorted(taken.arms),
        **{f"score_{score}": _real(columns[f"score_{score}"][row]) for score in scores},
    }


_COPIED = (
    "id", "text", "locale", "label", "label_source", "intent", "confidence", "slots", "argmax",
    "lane", "position", "time_ms", "event_time_ms", "user", "signals",
)  # fmt: skip


def _other(weight: int, tau: int | None, last: int | None) -> float:
    """Chance of a row that an arm did not take, given all the others: it had to be smaller than
    the largest rank that was kept, not than the smallest turned away, which may be its own.
    """
    if tau is None:
        return 1.0  # nothing was turned away
    return 0.0 if last is None else float(chances_of([weight], [last])[0])


def _suspect(merged: Merged, row: int, rules: Rules) -> bool:
    """Refused for its label: it could have been taken for review."""
    below, plausibility = rules.terms.suspect_below, merged.columns["plausibility"][row]
    refused = not merged.columns["weight"][row] and not rules.cold
    return refused and below is not None and 0 <= plausibility < below


@lru_cache(maxsize=1024)
def _tau(log_tau: int) -> float:
    return float(exact.exp(np.array([log_tau / draw.RANK_UNIT]))[0])


def _real(step: int) -> float | None:
    return None if step == MISSING else step / GRID
