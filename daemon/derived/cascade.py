"""The second stage of a shard, looked at again: does it follow, and how far did a row come?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import UnsetType

from buffers import draw
from buffers.base import NEVER
from daemon.derived.history import History
from daemon.lanes import ledger
from daemon.learning.rules import Rules
from daemon.running import cascading
from daemon.running.cascading import Work
from daemon.shards.assemble import Inputs
from daemon.shards.columns import Columns
from daemon.shards.seconds import CANDIDATE
from daemon.shards.shard import ShardManifest


def ledger_fault(manifest: ShardManifest, inputs: Inputs) -> str:
    """What is wrong with the scores that a shard names; "" where nothing is."""
    told = manifest.cascade
    if isinstance(told, UnsetType):
        return ""
    if inputs.held is None:
        return f"{told.object} is not there: what the second stage said of its candidates"
    if inputs.held.digest != told.digest:
        return f"{told.object} was changed"
    if set(inputs.held.places()) != set(Work.of(inputs).places()):
        return f"{told.object} holds scores of other rows than the candidates"
    return ""


def log_fault(history: History, manifest: ShardManifest) -> str:
    """Score the candidates again, from the parts; "" where the model says what it said."""
    told = manifest.cascade
    if isinstance(told, UnsetType):
        return ""
    inputs = history.inputs(manifest)
    if fault := ledger_fault(manifest, inputs):
        return fault
    work = Work.of(inputs)
    while work.go_on(*history.engines.second(inputs)):
        pass
    assert inputs.held is not None, "else there was a fault"
    for lane, position in work.unlike(inputs.held):
        return f"the second stage scores {lane}@{position} otherwise"
    return ""


def turned_away(
    history: History,
    manifest: ShardManifest,
    rules: Rules,
    record: tuple[ledger.Arrays, int],
    rows: Columns,
) -> tuple[str, str] | None:
    """Verdict and detail of an accepted record that a shard does not show; None without a cascade.

    `record`: a ledger and its row there, weighed as it was before late labels. `rows`: the shard's.
    """
    told = manifest.cascade
    if isinstance(told, UnsetType):
        return None
    columns, row = record
    key = np.array([[columns["key_hi"][row], columns["key_lo"][row]]], np.uint64)
    held = cascading.held(history.registry.store, manifest.window)
    place = _candidate(held.columns, key) if held else None
    shown = zip(rows["lane"], rows["position"], rows["arms"], strict=True)
    if place in {(lane, at) for lane, at, arms in shown if "selected" in arms}:
        return "repeated", "the same text and group was kept, shown by an earlier record"
    if place is not None:
        return "evicted", (
            "its text was a candidate, but in the second stage its rank was not below its group's "
            "threshold, its policy refused it, or another label of the text is likelier"
        )
    drawn = draw.draw(key, "select", rules.epoch, rules.key)
    rank = int(draw.log_rank(drawn, columns["weight"][row : row + 1])[0])
    tau = told.taus.get(rules.groups[int(columns["group"][row])], NEVER)
    if rank < tau:
        return "evicted", "a late label gave its text another group or rank, or put it aside"
    return "evicted", (
        f"no candidate of the second stage: its log-rank {rank / draw.RANK_UNIT:.4f} is not below "
        f"its group's threshold {tau / draw.RANK_UNIT:.4f} in the first"
    )


def _candidate(columns: Columns, key: npt.NDArray[np.uint64]) -> tuple[str, int] | None:
    """Lane and position of the record that stood for a key in the second stage."""
    wanted = (CANDIDATE, int(key[0, 0]), int(key[0, 1]))
    keys = zip(columns["arm"], columns["key_hi"], columns["key_lo"], strict=True)
    at = next((at for at, own in enumerate(keys) if own == wanted), None)
    return None if at is None else (columns["lane"][at], columns["position"][at])
