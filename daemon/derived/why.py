"""What became of an utterance: kept, evicted, refused, repeated or never seen (`sluice why`).

Scores, weight and group are those of the ledger, which was written before any late label came:
where one came, a fate says so, and of a row of the shard what it holds instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from buffers import draw
from daemon.decode.decoder import AnswerDecoder
from daemon.derived import cascade, unshown
from daemon.derived.history import History
from daemon.lanes import ledger
from daemon.lanes import part as parts
from daemon.learning.emitted import NEVER_EMITTED
from daemon.learning.rules import Rules
from daemon.ports import Missing
from daemon.registry import versions
from daemon.shards import answers
from daemon.shards.columns import Columns
from daemon.shards.shard import ShardManifest
from scoring.types import GRID, REASONS, Reason

BEFORE_LABEL = (
    "one came: what is told here is from before it, and it may have changed group, weight and rank"
)
BEFORE_LABEL_KEPT = "one came: group, weight and scores above are from before it"
REPEATS = "its label was doubted, and other records of its text say the same"


@dataclass(frozen=True, slots=True)
class Fate:
    """One record of the utterance, and what became of it."""

    lane: str
    window: int
    position: int
    verdict: str  # kept | review | repeated | evicted | refused | pending | erased
    detail: str
    facts: dict[str, object]


def why(history: History, name: str, key: bytes) -> list[Fate]:
    """Every record with this utterance id that a ledger still knows, in order of its window.

    An empty list: never seen, or refused before its id could be read, or the ledger expired.
    """
    high, low = (int(word) for word in draw.identity(key, "id", [name])[0])
    late = LateLabels(history, key, (high, low))
    fates = []
    for object_name in history.registry.store.list("ledgers/"):
        columns = ledger.read(history.registry.store.get(object_name))
        hits = np.flatnonzero((columns["id_hi"] == high) & (columns["id_lo"] == low))
        if not len(hits):
            continue
        _, topic, partition, rest = object_name.split("/")
        window = int(rest.split("-")[0])
        for row in hits.tolist():
            lane = f"{topic}/{int(partition)}"
            fates.append(_fate(history, late, columns, row, lane, window))
    return sorted(fates, key=lambda fate: (fate.window, fate.lane, fate.position))


class LateLabels:
    """Whether a label of this id came after its record, in time for a window's shard."""

    def __init__(self, history: History, key: bytes, identity: tuple[int, int]) -> None:
        self._history, self._key, self._identity = history, key, identity

    def came(self, manifest: ShardManifest, rules: Rules) -> bool:
        """Looks into the label parts that the shard was made of. Raises Missing."""
        registry, policy = self._history.registry, rules.policy
        said = answers.read(
            [registry.part(reference.object) for reference in manifest.labels],
            AnswerDecoder(policy.answer, policy.limits),
            self._key,
            audits_after=manifest.window,  # labels only
            until=manifest.window,
        )
        return self._identity in said.labels


def _fate(
    history: History,
    late: LateLabels,
    columns: ledger.Arrays,
    row: int,
    lane: str,
    window: int,
) -> Fate:
    position, reason = int(columns["position"][row]), REASONS[int(columns["reason"][row])]
    _, rules = history.rules(window)
    weight = int(columns["weight"][row])
    facts: dict[str, object] = {
        "group": rules.groups[int(columns["group"][row])],
        "weight": weight / GRID,
        **{n[len("score_") :]: int(c[row]) / GRID for n, c in columns.items()
           if n.startswith("score_") and c[row] >= 0},
    }  # fmt: skip
    if rules.cold:
        facts["cold"] = rules.cold
    facts |= _emitted_in(history, columns, row, rules)
    try:
        manifest, rows = versions.newest_rows(history.registry, window)
    except Missing:
        return Fate(lane, window, position, "pending", "its window has no shard yet", facts)
    if (step := _erased(history, manifest, lane, position)) is not None:
        detail = f"its text is gone; shard {step} was made when that was asked for"
        return Fate(lane, window, position, "erased", detail, facts)
    place = {(n, p): i for i, (n, p) in enumerate(zip(rows["lane"], rows["position"], strict=True))}
    at = place.get((lane, position))
    # a label speaks for its text, whichever of its records it was given to
    changed = at is not None and rows["weight"][at] != facts["weight"]
    back = at is not None and reason == Reason.SUSPECT and _same(columns, row, rows, at)
    if (changed and not back) or late.came(manifest, rules):
        facts["late_label"] = BEFORE_LABEL if at is None else BEFORE_LABEL_KEPT
        if at is not None:
            facts |= {f"{n}_in_shard": rows[n][at] for n in ("group", "weight")}
    if at is not None:
        verdict, detail, more = _in_shard(rows, at, str(reason), back=back)
        return Fate(lane, window, position, verdict, detail, facts | more)
    record = columns, row
    heard = reason == Reason.SUSPECT and manifest.agreed.back
    if heard and unshown.brought_back(history, manifest, rules, record, rows):
        detail = f"the same text and group was kept, shown by an earlier record; {REPEATS}"
        return Fate(lane, window, position, "repeated", detail, facts)
    if reason not in (Reason.ACCEPTED, Reason.ALREADY_EMITTED):
        return Fate(lane, window, position, "refused", str(reason), facts)
    if (earlier := facts.get("already_emitted_in")) is not None:
        return Fate(lane, window, position, "refused", f"already emitted in shard {earlier}", facts)
    verdict, detail, more = _unshown(history, manifest, rules, record, rows)
    return Fate(lane, window, position, verdict, detail, facts | more)


def _unshown(
    history: History,
    manifest: ShardManifest,
    rules: Rules,
    record: tuple[ledger.Arrays, int],
    rows: Columns,
) -> tuple[str, str, dict[str, object]]:
    """Verdict, detail and facts of an accepted record that is not in the shard."""
    staged = cascade.turned_away(history, manifest, rules, record, rows)
    return (*staged, {}) if staged else unshown.turned_away(history, manifest, rules, record, rows)


def _emitted_in(
    history: History, columns: ledger.Arrays, row: int, rules: Rules
) -> dict[str, object]:
    """The earlier shard that holds the text (or the id), if the window knew of it."""
    key = columns["key_hi"][row : row + 1]
    found = max(int(known.windows(key)[0]) for known in (rules.known, history.known(rules)))
    return {} if found == NEVER_EMITTED else {"already_emitted_in": found}


def _erased(history: History, manifest: ShardManifest, lane: str, position: int) -> int | None:
    """The shard that was made when its erasure had come; None where its part still has it, or
    never had its text: a record that no lane kept has nothing to lose.
    """
    for ref in manifest.parts:
        if (f"{ref.topic}/{ref.partition}", ref.window) == (lane, manifest.window):
            part = parts.read_manifest(history.registry.store.get(ref.object), ref.object)
            return part.erased.get(position)
    return None


def _in_shard(
    rows: Columns, at: int, reason: str, *, back: bool
) -> tuple[str, str, dict[str, object]]:
    """Verdict, detail and facts of a record whose row the shard shows."""
    arms, chance = rows["arms"][at], rows["inclusion_probability"][at]
    facts: dict[str, object] = {} if chance is None else {"inclusion_probability": chance}
    facts["multiplicity"] = rows["multiplicity"][at]
    if "selected" in arms:
        return "kept", f"by {', '.join(arms)}" + (f"; {REPEATS}" if back else ""), facts
    if "review" in arms:
        return "review", _review(reason), facts
    return "kept", f"by {', '.join(arms)} only", facts


def _same(columns: ledger.Arrays, row: int, rows: Columns, at: int) -> bool:
    """No late label has changed what the record's own label is worth."""
    return bool(rows["plausibility"][at] == int(columns["plausibility"][row]) / GRID)


def _review(reason: str) -> str:
    if reason == "suspect":
        return "its label is less plausible than the threshold of its window"
    return "another label of the same text is likelier, or a late label made it suspect"
