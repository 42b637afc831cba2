"""From parts to a shard: pure, flat, and the teacher of the next calibration (laws 5 to 8)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from buffers import draw, exact
from buffers.base import NEVER
from daemon import answers, calibration, shard, tables
from daemon.answers import Said
from daemon.calibration import Calibration, Half, Histogram
from daemon.engines import Engine
from daemon.gather import EPOCH
from daemon.merge import Merged, Taken, chances_of, merge
from daemon.monitors.noise import Z95
from daemon.part import Part
from daemon.pin import Pin
from daemon.pool import plain_name
from daemon.rules import Rules
from daemon.shard import PartRef, Shard, ShardManifest
from scoring.types import GRID, MISSING

COARSE = GRID // 64  # steps of the grid per bin of a histogram that is only looked at


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Everything that a shard is a function of."""

    pin: Pin
    rules: Rules
    engine: Engine
    parts: Sequence[tuple[str, Part]]  # of rostered lanes that cover the window, by lane
    labels: Sequence[tuple[str, Part]]  # label parts read for it
    said: Said
    audited: Mapping[int, Mapping[str, str | None]]  # window -> id -> label of its audit row
    before: Calibration


def assemble(inputs: Inputs) -> Shard:
    """The shard of a window. Equal inputs give equal digests, in any order of the parts."""
    rules, engine = inputs.rules, inputs.engine
    window = rules.window
    placed = sorted(inputs.parts, key=lambda pair: pair[1].manifest.lane)
    own = [part for _, part in placed if part.manifest.window == window and part.manifest.ledger]
    merged = merge(own, engine, rules, inputs.said.labels)
    labelled = answers.judge(inputs.said, inputs.audited, merged.relabelled)
    rows = table(merged, rules, engine.scores)
    selection, content = shard.digests(rows, window)
    counts = [part.manifest.counts for part in own]
    taught = calibration.fold(
        inputs.before,
        window,
        rules.edition.half or Half(rules.edition.checkpoint, {}, {}),
        counts,
        (labelled.answered, labelled.wrong),
        rules.policy.learning,
    )
    traffic = Counter[str]()
    reasons = Counter[str]()
    for count in counts:
        traffic.update(count.groups)
        reasons.update(count.reasons)
    histograms = _histograms(merged, own, engine.scores)
    manifest = ShardManifest(
        window=window,
        edition=rules.edition.number,
        checkpoint=rules.edition.checkpoint,
        policy=tables.digest(rules.policy),
        calibration_used=inputs.pin.calibration,
        roster=inputs.pin.roster,
        parts=_references(placed),
        labels=_references(inputs.labels),
        rows=len(rows["id"]),
        rows_object=f"{shard.prefix(window)}rows-{content[:32]}.parquet",
        rows_digest=content,
        selection_digest=selection,
        cold=rules.cold,
        suspect_below=rules.terms.suspect_below,
        counts={
            "records": sum(c.records for c in counts),
            "late": sum(c.late for c in counts),
            **dict(sorted(reasons.items())),
        },
        traffic=dict(sorted(traffic.items())),
        kept=dict(sorted(Counter(_kept(merged, rules)).items())),
        arms=dict(sorted(Counter(arm for t in merged.taken for arm in t.arms).items())),
        taus={**merged.taus, **{f"arm:{arm}": tau for arm, tau in merged.rates.items()}},
        contradictions=merged.contradictions,
        labelled=labelled,
        noise=calibration.noise_rate(taught.traffic, rules.policy.quarantine),
        histograms=histograms,
        lift=_lift(merged, engine.scores),
        calibration=taught,
    )
    return Shard(manifest, rows)


def _references(parts: Sequence[tuple[str, Part]]) -> tuple[PartRef, ...]:
    return tuple(shard.reference(name, part.manifest) for name, part in parts)


def _kept(merged: Merged, rules: Rules) -> list[str]:
    """The group of each selected row; in cold windows the plain name, nothing was grouped."""
    by = rules.policy.groups.by
    return [
        plain_name(merged.columns, t.row, by) if rules.cold else merged.columns["group"][t.row]
        for t in merged.taken
        if "selected" in t.arms
    ]


def table(merged: Merged, rules: Rules, scores: tuple[str, ...]) -> dict[str, list[Any]]:
    """The rows of a shard as columns, by (lane, position)."""
    rows = shard.empty_rows(scores)
    index = rules.index
    # every utterance could have been taken by these two
    even = {arm: _even(merged.rates.get(arm, NEVER)) for arm in ("audit", "random")}
    for taken in merged.taken:
        values = _row(merged, taken, rules, index, even, scores)
        for name, column in rows.items():
            column.append(values[name])
    return rows


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
    missed = 1.0
    for _, chance in sorted({**even, **taken.arms}.items()):
        missed *= 1.0 - chance
    return {
        **{name: columns[name][row] for name in _COPIED},
        "group": name if rules.cold else rules.groups[index.get(name, 0)],
        "multiplicity": taken.multiplicity,
        "weight": columns["weight"][row] / GRID,
        "log_rank": columns["log_rank"][row] / draw.RANK_UNIT,
        "tau": None if taken.tau == NEVER else _tau(taken.tau),
        "inclusion_probability": 1.0 - missed,
        **{f"inclusion_{arm}": taken.arms.get(arm) for arm in _ARMS},
        "epoch": EPOCH,
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
_ARMS = ("selected", "audit", "random", "review")


def _even(tau: int) -> float:
    return float(chances_of([GRID], [tau])[0])


@lru_cache(maxsize=1024)
def _tau(log_tau: int) -> float:
    return float(exact.exp(np.array([log_tau / draw.RANK_UNIT]))[0])


def _real(step: int) -> float | None:
    return None if step == MISSING else step / GRID


def _histograms(
    merged: Merged, parts: Sequence[Part], scores: tuple[str, ...]
) -> dict[str, dict[str, Histogram]]:
    """Per score: of the traffic, and of each arm's rows; bins of COARSE steps."""
    out: dict[str, dict[str, Histogram]] = {}
    for score in scores:
        traffic = calibration.add(p.manifest.counts.histograms.get(score, {}) for p in parts)
        by_arm: dict[str, Histogram] = {"traffic": _coarse(traffic)}
        for arm in _ARMS:
            steps = Counter(_steps(merged, score, arm))
            by_arm[arm] = _coarse(dict(sorted(steps.items())))
        out[score] = by_arm
    return out


def _steps(merged: Merged, score: str, arm: str) -> list[int]:
    column = merged.columns[f"score_{score}"]
    return [column[t.row] for t in merged.taken if arm in t.arms and column[t.row] != MISSING]


def _coarse(histogram: Histogram) -> Histogram:
    return calibration.add({step // COARSE: count} for step, count in histogram.items())


def _lift(merged: Merged, scores: tuple[str, ...]) -> dict[str, tuple[float, float, float]]:
    """Per score: mean over the selection minus mean over the random arm, with a 95 % interval.

    Welch's interval with normal quantile; sums are of integers, so they have no order.
    """
    out = {}
    for score in scores:
        ours, theirs = _steps(merged, score, "selected"), _steps(merged, score, "random")
        if len(ours) < 2 or len(theirs) < 2:
            continue
        (m1, v1), (m2, v2) = _moments(ours), _moments(theirs)
        half = Z95 * math.sqrt(v1 / len(ours) + v2 / len(theirs))
        out[score] = (m1 - m2, m1 - m2 - half, m1 - m2 + half)
    return out


def _moments(steps: Sequence[int]) -> tuple[float, float]:
    """Mean and sample variance, in score units."""
    n, total, squares = len(steps), sum(steps), sum(s * s for s in steps)
    variance = (n * squares - total * total) / (n * (n - 1))
    return total / n / GRID, variance / (GRID * GRID)

