"""Does a shard follow from what it names? Three grades, each says what it could check.

manifest  the rows are the ones that the manifest's digests say
ledger    the ledgers' decisions give the parts, and the parts give the shard: on any CPU
log       the log gives the ledgers: decode, model and all
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from buffers import draw
from daemon import tables
from daemon.derived import cascade
from daemon.derived.history import History
from daemon.derived.ranges import Ranges
from daemon.lanes import ledger
from daemon.lanes.arms import build_arm, build_pool
from daemon.lanes.erasures import Erasures
from daemon.lanes.gather import Gathering
from daemon.lanes.labels import Labels
from daemon.lanes.part import Part, PartManifest
from daemon.lanes.window import Segment
from daemon.learning.rules import Rules
from daemon.running.engines import Engine
from daemon.shards import assemble, shard
from daemon.shards.erasures import without_persons
from daemon.shards.shard import ShardManifest
from scoring.types import CODES, GRID, JUDGED, REASONS, Reason

GRADES = ("manifest", "ledger", "log")


@dataclass(frozen=True, slots=True)
class Finding:
    """One grade's answer. `detail` names the first difference and the likely cause."""

    grade: str
    identical: bool
    detail: str


def verify_manifest(history: History, manifest: ShardManifest) -> Finding:
    """The rows object is there, and says what the manifest says."""
    rows, _ = tables.decode(history.registry.store.get(manifest.rows_object))
    selection, content = shard.digests(rows, manifest.window)
    if content == manifest.rows_digest and selection == manifest.selection_digest:
        return Finding("manifest", True, f"{manifest.rows} rows")
    return Finding("manifest", False, "the rows object was changed after it was published")


def verify_ledger(history: History, manifest: ShardManifest) -> Finding:
    """Ledger -> part -> shard, by integers alone."""
    inputs = history.inputs(manifest)
    for ref, (_, part) in zip(manifest.parts, inputs.parts, strict=True):
        if part.manifest.digest != ref.digest:
            return Finding("ledger", False, f"part {ref.object} is not the one that was merged")
        if not part.manifest.ledger:
            continue
        columns = ledger.read(history.registry.store.get(part.manifest.ledger))
        if ledger.content_digest(columns) != part.manifest.ledger_digest:
            return Finding("ledger", False, f"ledger {part.manifest.ledger} was changed")
        fault = _replay_ledger(columns, part, inputs.rules)
        if fault:
            return Finding("ledger", False, fault)
    if fault := cascade.ledger_fault(manifest, inputs):
        return Finding("ledger", False, fault)
    made = assemble.assemble(inputs)
    if fault := _first_difference(history, manifest, made.rows):
        return Finding("ledger", False, fault)
    if made.manifest.calibration != manifest.calibration:
        return Finding("ledger", False, "the calibration that it teaches differs")
    gone = made.manifest.revision.removed
    erased = f", {gone} more selected and then removed, as erased" if gone else ""
    return Finding("ledger", True, f"{len(manifest.parts)} parts, {manifest.rows} rows{erased}")


def _replay_ledger(columns: ledger.Arrays, part: Part, rules: Rules) -> str:
    """Select again from the ledger's decisions; "" or the first arm that differs."""
    keys = np.stack([columns["key_hi"], columns["key_lo"]], axis=1)
    ids = np.stack([columns["id_hi"], columns["id_lo"]], axis=1)
    reasons, weights = columns["reason"], columns["weight"]
    groups, positions = columns["group"].astype(np.int32), columns["position"]
    judged = np.isin(reasons, [CODES[reason] for reason in JUDGED])
    decoded = np.flatnonzero((reasons == 0) | judged)  # the others were refused before scoring
    new = ~rules.known.contains(columns["key_hi"])
    doubt = np.maximum(1, GRID - columns["plausibility"]).astype(np.int16)
    even, one = np.full(len(reasons), GRID, np.int16), np.zeros(len(reasons), np.int32)
    offers: dict[str, tuple[Any, ...]] = {
        "pool": ("select", np.flatnonzero((reasons == 0) & new), keys, weights, groups),
        "waiting": ("select", np.flatnonzero(judged & new), keys, even, groups),
        "audit": ("audit", decoded, ids, even, one),
        "random": ("random", decoded, ids, even, one),
        "review": ("review", np.flatnonzero(reasons == CODES[Reason.SUSPECT]), keys, doubt, groups),
    }
    for arm, (purpose, rows, who, weight, group) in offers.items():
        pooled = purpose == "select"
        box = build_pool(rules, rules.policy.pool) if pooled else build_arm(rules, arm)
        ranks = draw.log_rank(draw.draw(who[rows], purpose, rules.epoch, rules.key), weight[rows])
        box.offer_many(group[rows], ranks, who[rows], positions[rows], rows.tolist())
        kept = box.items()
        expected = sorted(
            zip(kept.orders.tolist(), kept.log_ranks.tolist(), kept.multiplicity.tolist(),
                strict=True)
        )  # fmt: skip
        r = part.rows
        found = sorted(
            (r["position"][i], r["log_rank"][i], r["multiplicity"][i])
            for i, name in enumerate(r["arm"])
            if name == arm
        )
        if expected != found:
            different = sorted(set(expected) ^ set(found))
            return (
                f"{part.manifest.lane}, arm {arm}: the ledger selects other rows than the part "
                f"holds, first at position {different[0][0]}"
            )
    counted = {str(REASONS[c]): int(n) for c, n in enumerate(np.bincount(reasons)) if n}
    return "" if counted == part.manifest.counts.reasons else "refusals are counted otherwise"


def _first_difference(history: History, manifest: ShardManifest, rows: dict[str, Any]) -> str:
    selection, content = shard.digests(rows, manifest.window)
    if (selection, content) == (manifest.selection_digest, manifest.rows_digest):
        return ""
    there, _ = tables.decode(history.registry.store.get(manifest.rows_object))
    ours = set(zip(rows["lane"], rows["position"], strict=True))
    theirs = set(zip(there["lane"], there["position"], strict=True))
    if ours != theirs:
        lane, position = min(ours ^ theirs)
        side = "missing from" if (lane, position) in ours else "not derivable for"
        return f"row {lane}@{position} is {side} the shard: another selection"
    for i, (lane, position) in enumerate(zip(rows["lane"], rows["position"], strict=True)):
        for name, column in rows.items():
            if column[i] != there[name][i]:
                return f"row {lane}@{position} differs in column {name}"
    return "the same rows in another order"


def verify_log(history: History, manifest: ShardManifest, read: Ranges) -> Finding:
    """Decode, score and select again from the log, lane by lane; label lanes record by record."""
    _, rules = history.rules(manifest.window)
    engine = history.engines.of(rules.edition)
    for ref in (*manifest.parts, *manifest.labels):
        part = history.registry.part(ref.object)
        if part.manifest.kind == "labels":
            same = _relabel(read, part.manifest, Labels()) == part.rows
        elif part.manifest.kind == "erasures":
            gathered = Erasures(history.engines.erasures)
            same = _relabel(read, part.manifest, gathered) == part.rows
        elif part.manifest.ledger:
            rows, digest = _regather(read, part.manifest, engine, rules)
            bare = without_persons(rows, frozenset(part.manifest.erased))
            same = digest == part.manifest.ledger_digest and bare == part.rows
        else:
            continue
        if same:
            continue
        cause = "the log no longer holds the same records, or the engine broke its law"
        if part.manifest.engine and engine.model.engine != part.manifest.engine:
            cause = f"scored by {part.manifest.engine}, here by {engine.model.engine}"
        return Finding("log", False, f"{part.manifest.lane} window {manifest.window}: {cause}")
    if fault := cascade.log_fault(history, manifest):
        return Finding("log", False, fault)
    lanes = sum(bool(ref.engine) for ref in manifest.parts)
    return Finding("log", True, f"{lanes} lanes re-scored, {len(manifest.labels)} label parts read")


def _regather(
    read: Ranges, manifest: PartManifest, engine: Engine, rules: Rules
) -> tuple[dict[str, list[Any]], str]:
    """The rows of a part and its ledger's digest, from the records in its range."""
    gathering = Gathering(rules, engine.grading.names)
    for batch in read(manifest.lane, manifest.start, manifest.end):
        segment = Segment(manifest.window, 0, len(batch.values), 0, 0, 0)
        gathering.absorb(engine.prepare(rules, batch, segment))
    return gathering.rows(), gathering.ledger.finish()[1]


def _relabel(read: Ranges, manifest: PartManifest, labels: Labels) -> dict[str, list[Any]]:
    """The rows of a part of labels or erasures, from the records in its range."""
    for batch in read(manifest.lane, manifest.start, manifest.end):
        labels.absorb(batch, Segment(manifest.window, 0, len(batch.values), 0, 0, 0))
    return labels.rows
