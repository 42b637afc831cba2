"""Labels of a candidate's text that lanes turned away: no candidates, but they contradict (law 8).

Labels of one text are keys of different groups, so a pool may keep the one and turn the other away.
Unheard, a likelier label that lost its place would contradict nobody, and totals would count its
text under the next label as well. The ledgers know every record.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from buffers import draw
from daemon.decode.near import by_text
from daemon.lanes.ledger import Arrays
from daemon.lanes.part import Part
from daemon.learning.grading import Grading
from daemon.learning.rules import Rules
from daemon.shards import late as lateness
from daemon.shards.agreement import Standing, Text
from daemon.shards.columns import Columns
from daemon.shards.late import Id, Late
from daemon.shards.relabel import reweighed
from scoring.types import CODES, JUDGED, UNKNOWN_LABEL, Reason

LEDGER_COLUMNS = (
    "reason", "key_hi", "key_lo", "id_hi", "id_lo", "group", "label", "plausibility",
)  # fmt: skip
OFFERED = (0, *(CODES[reason] for reason in JUDGED if reason != Reason.ALREADY_EMITTED))

GROUP_BITS = 16  # of a ledger's groups

Key = tuple[bool, int, int, int]  # whether it waits, group, key high and low


class Rival(NamedTuple):
    """What the ledgers say of a key; its first record is shown, as in a pool."""

    reason: int  # code of scoring.types.REASONS
    label: int  # class index, NO_LABEL or UNKNOWN_LABEL
    plausibility: int
    identity: Id  # of the utterance id
    said: int  # records


Rivals = Mapping[Key, Rival]
NOBODY: Rivals = MappingProxyType({})


def texts(parts: Sequence[Part], rules: Rules, *, late: bool) -> set[int]:
    """High words of the keys of all candidates that could be contradicted.

    `late`: labels came late, so those without one count. What keeps records and not keys has none.
    """
    if not by_text(rules.policy.identity) or not rules.by_chance:
        return set()
    return {
        high
        for part in parts
        if part.manifest.window == rules.window
        for arm, high, label in zip(
            *(part.rows[name] for name in ("arm", "key_hi", "label")), strict=True
        )
        if arm in ("pool", "waiting") and (late or label is not None)
    }


def match(texts: Collection[int], ledgers: Iterable[Arrays]) -> Rivals:
    """All keys of some texts, which are given as high words of keys.

    `ledgers`: of a window, in order of lanes, with LEDGER_COLUMNS; without texts none is read.
    """
    if not texts:
        return NOBODY
    wanted, found = np.array(sorted(texts), np.uint64), dict[Key, Rival]()
    for columns in ledgers:
        high = columns["key_hi"]
        text = np.minimum(np.searchsorted(wanted, high), len(wanted) - 1)
        rows = np.flatnonzero((wanted[text] == high) & np.isin(columns["reason"], OFFERED))
        own = {name: column[rows] for name, column in columns.items()}
        # one integer for a key: popular texts are most of the traffic, and rows are slow to sort
        _, low = np.unique(own["key_lo"], return_inverse=True)
        codes = low * len(wanted) + text[rows]
        codes = (codes << GROUP_BITS | own["group"]) << 1 | (own["reason"] != 0)
        _, first, counts = np.unique(codes, return_index=True, return_counts=True)
        shown = [own[name][first].tolist() for name in LEDGER_COLUMNS]
        for *cells, count in zip(*shown, counts.tolist(), strict=True):
            reason, hi, lo, id_hi, id_lo, group, label, plausibility = cells
            key = reason != 0, group, hi, lo
            held = found.get(key) or Rival(reason, label, plausibility, (id_hi, id_lo), 0)
            found[key] = held._replace(said=held.said + count)
    return found


def standings(
    rivals: Rivals,
    candidates: AbstractSet[Key],
    columns: Columns,
    texts: Mapping[Text, int],
    late: Late,
    grading: Grading,
    rules: Rules,
) -> list[tuple[Standing, int]]:
    """How rivals stand, and the codes of their reasons; `candidates` speak for themselves.

    `texts`: a candidate of each. Under late labels only those stand that have one, which knows
    what the model said.
    """
    found, later, own = [], [], {text[0]: text for text in texts}
    for key, one in rivals.items():
        if rules.cold or key in candidates:  # in a cold window all labels of a text are one key
            continue
        text, ids = own.get(key[2]), late.by_key.get(key[1:])
        if text is not None and ids:
            later.append((text, texts[text], one, ids))
        elif not ids and (told := _told(key, one, text, rules)) is not None:
            found.append(told)
    return found + _told_late(later, columns, late, grading, rules)


def _told(key: Key, one: Rival, text: Text | None, rules: Rules) -> tuple[Standing, int] | None:
    """Under the label that came in the record. `text`: None where no candidate is of it."""
    _, group, high, low = key
    by_label, label = rules.policy.groups.by[0] == "label", None
    if one.label >= 0:
        label = draw.name_hash(rules.key, rules.edition.classes[one.label])
    elif one.label == UNKNOWN_LABEL and by_label and group:
        label = draw.name_hash(rules.key, rules.groups[group])
    elif one.label == UNKNOWN_LABEL and by_label and text:
        label = low ^ text[1]  # the mask of a name that has no group
    if label is None:
        return None
    if text is None and (group or by_label):
        text = high, low if group else low ^ label
    return text and (Standing(text, label, one.plausibility, one.said), one.reason)


def _told_late(
    later: Sequence[tuple[Text, int, Rival, Sequence[Id]]],
    columns: Columns,
    late: Late,
    grading: Grading,
    rules: Rules,
) -> list[tuple[Standing, int]]:
    """Under labels that came late, as candidates get them: texts with a candidate of each."""
    found, changed, classes = [], [], rules.edition.classes
    for text, row, one, ids in later:
        own = classes[one.label] if one.label >= 0 else None
        before = None if own is None or one.identity in ids else (own, "")
        (name, _), _, votes = lateness.settled(columns, row, ids, before, late, rules)
        if name == own:
            stands = Standing(text, draw.name_hash(rules.key, name), one.plausibility, one.said)
            found.append((stands, one.reason))
        else:
            changed.append((text, row, name, votes))
    if changed:
        rows, names = [row for _, row, _, _ in changed], [name for _, _, name, _ in changed]
        scored, _, weighed = reweighed(columns, rows, names, grading, rules)
        steps, reasons = scored.plausibility.tolist(), weighed.reasons.tolist()
        for (text, _, name, said), step, reason in zip(changed, steps, reasons, strict=True):
            found.append((Standing(text, draw.name_hash(rules.key, name), step, said), reason))
    return found
