"""The rolling reservoir: the merge of many windows' parts, with forward decay (law 9).

Derived, never state: it can be made for any range of windows that still has its parts. Decay adds
a constant per window to log-ranks, so ranks need no rewriting and the merge stays exact (Cormode,
Shkapenyuk, Srivastava and Xu 2009, forward decay). With one draw per key in every window, a key's
smallest rank decides; its multiplicity is the sum over windows in which it stayed a candidate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from buffers import draw, exact
from daemon import tables
from daemon.derived.history import History
from daemon.derived.several import Several
from daemon.ports import EXIT_CONFIG, Fatal
from daemon.registry import effacing, versions
from daemon.shards import shard
from daemon.shards.pool import pooled

LN2_STEPS = int(float(exact.ln(np.array([2.0]))[0]) * draw.RANK_UNIT)


@dataclass(frozen=True, slots=True, eq=False)
class Rolled:
    """A rolling shard: rows as those of a shard, and what it was made of."""

    name: str
    windows: tuple[int, ...]
    rows: dict[str, list[Any]]
    kept: dict[str, int]
    selection_digest: str
    rows_digest: str


def decay_steps(age: int, half_life: int | None) -> int:
    """What a window `age` windows older than the newest adds to its log-ranks."""
    return age * LN2_STEPS // half_life if half_life else 0


def roll(history: History, newest: int) -> Rolled:
    """Merge the windows that the policy of `newest` keeps. Raises Fatal, Missing."""
    _, rules = history.rules(newest)
    settings = rules.policy.rolling
    if settings is None:
        raise _no_sample(newest)
    first = newest - settings.windows + 1
    windows = [w for w in history.windows() if first <= w <= newest]
    merged = Several(rules, settings.capacity_rows)
    manifests = {window: versions.newest(history.registry, window) for window in windows}
    # a label that one window turned away contradicts the candidates of all
    texts = {text for manifest in manifests.values() for text in history.texts(manifest)}
    for window, manifest in manifests.items():
        inputs = history.inputs(manifest, texts)
        if inputs.rules.epoch != rules.epoch or inputs.rules.second is not None:
            raise _no_sample(window)
        own = [part for _, part in inputs.parts if part.manifest.ledger]
        own.sort(key=lambda part: part.manifest.lane)
        pool = pooled(
            own, inputs.grading, inputs.rules, inputs.late, rivals=inputs.rivals
        )
        decay = decay_steps(newest - window, settings.half_life_windows)
        merged.add(pool, inputs.rules, decay, inputs.erasures)
    rows, kept = merged.table()
    selection, content = shard.digests(rows, newest)
    name = f"{shard.ROLLING_PREFIX}{newest:012d}-{content[:32]}.parquet"
    return Rolled(name, tuple(windows), rows, kept, selection, content)


def _no_sample(window: int) -> Fatal:
    message = f"window {window} cannot be rolled: its edition draws anew or has no `rolling`"
    return Fatal(message, code=EXIT_CONFIG, hint="roll windows of one stage and constant epoch")


def write(history: History, rolled: Rolled) -> None:
    """Make it an object, named by its content. Raises Retry where a row was erased meanwhile."""
    scores = shard.scores_of(rolled.rows)
    footer = {
        "windows": rolled.windows,
        "rows_digest": rolled.rows_digest,
        "selection_digest": rolled.selection_digest,
    }
    data = tables.encode(rolled.rows, shard.row_types(scores), tables.canonical(footer))
    history.registry.store.create(rolled.name, data)
    effacing.take_back(history.registry, rolled.name, rolled.rows, rolled.windows)
