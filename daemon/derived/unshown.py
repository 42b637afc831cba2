"""Why a shard of one stage does not show an accepted record: by its rank, or by who stands for it.

Where two records are one text and group, the shard shows the first of them; what became of that
one became of the text.
"""

from __future__ import annotations

import numpy as np

from buffers import draw
from buffers.base import NEVER
from daemon.derived.history import History
from daemon.lanes import ledger
from daemon.learning.rules import Rules
from daemon.shards.columns import Columns
from daemon.shards.shard import ShardManifest


def turned_away(
    history: History,
    manifest: ShardManifest,
    rules: Rules,
    record: tuple[ledger.Arrays, int],
    rows: Columns,
) -> tuple[str, str, dict[str, object]]:
    """Verdict, detail and facts. `record`: a ledger and its row there. `rows`: the shard's."""
    if not rules.by_chance:
        return "evicted", "newer records took its place", {}
    columns, row = record
    group = rules.groups[int(columns["group"][row])]
    key = np.array([[columns["key_hi"][row], columns["key_lo"][row]]], np.uint64)
    drawn = draw.draw(key, "select", rules.epoch, rules.key)
    rank = int(draw.log_rank(drawn, columns["weight"][row : row + 1])[0])
    tau = manifest.taus.get(group, NEVER)
    facts: dict[str, object] = {"log_rank": rank / draw.RANK_UNIT}
    if rank < tau:
        high, low = key[0].tolist()
        return *_stands(history, manifest, (group, high, low), rows), facts
    facts["tau_log"] = tau / draw.RANK_UNIT
    detail = (
        f"its log-rank {rank / draw.RANK_UNIT:.4f} is not below its group's threshold "
        f"{tau / draw.RANK_UNIT:.4f}: the rows kept had smaller ones"
    )
    return "evicted", detail, facts


def _stands(
    history: History, manifest: ShardManifest, key: tuple[str, int, int], rows: Columns
) -> tuple[str, str]:
    """Verdict, and what became of the text and group. `key`: its group and identity."""
    arms, gone = _arms(history, manifest, key, rows, "pool")
    if "selected" in arms:
        return "repeated", "the same text and group was kept, shown by an earlier record"
    if "review" in arms:
        return "repeated", "it repeats a text that was put aside for review"
    if gone:
        return "repeated", "it repeats a text whose row was erased"
    if not manifest.labelled.late:  # nothing else takes an accepted row with such a rank away
        return "evicted", "another label of the same text is likelier"
    return "repeated", (
        "it repeats a text to which a late label gave another group or rank, or of which another "
        "label is likelier"
    )


def brought_back(
    history: History,
    manifest: ShardManifest,
    rules: Rules,
    record: tuple[ledger.Arrays, int],
    rows: Columns,
) -> bool:
    """Another record of a suspect's text and group was selected: repeats outweighed the doubt."""
    columns, row = record
    group = rules.groups[int(columns["group"][row])]
    key = group, int(columns["key_hi"][row]), int(columns["key_lo"][row])
    return "selected" in _arms(history, manifest, key, rows, "waiting")[0]


def _arms(
    history: History, manifest: ShardManifest, key: tuple[str, int, int], rows: Columns, kept: str
) -> tuple[set[str], bool]:
    """Arms that show the row which lanes kept under a key, and whether its text was erased."""
    places = zip(rows["lane"], rows["position"], strict=True)
    shown = dict(zip(places, rows["arms"], strict=True))
    arms, gone = set[str](), False
    for reference in manifest.parts:
        if reference.window != manifest.window:
            continue
        part = history.registry.part(reference.object)
        lane = f"{reference.topic}/{reference.partition}"
        keys = zip(*(part.rows[n] for n in ("arm", "group", "key_hi", "key_lo")), strict=True)
        for at, (arm, *own) in enumerate(keys):
            if arm == kept and tuple(own) == key:
                position = part.rows["position"][at]
                arms.update(shown.get((lane, position), ()))
                gone |= position in part.manifest.erased
    return arms, gone
