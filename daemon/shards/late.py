"""Labels that came after their record: which candidates they speak for, and what they change.

A candidate row stands for every record of its key, so a label counts whichever of them it was
given to: the ledgers tell whose record an id was. Of labels that disagree about one text, the
most plausible under the pinned checkpoint is taken, as among labels that came in time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from buffers import draw
from daemon.lanes.ledger import Arrays
from daemon.learning.rules import Rules
from daemon.shards.columns import Columns
from scoring import scorer
from scoring.types import UNKNOWN_LABEL, Outputs

Id = tuple[int, int]
Given = tuple[str, str]  # label, source
Whose = tuple[int, int, int]  # group, key high, key low
LEDGER_COLUMNS = ("key_hi", "key_lo", "id_hi", "id_lo", "group")


@dataclass(frozen=True, slots=True, eq=False)
class Late:
    """Late labels of one window's records."""

    by_id: Mapping[Id, Given]  # of ids that the window's ledgers know
    by_key: Mapping[Whose, tuple[Id, ...]]  # whose records they are

    @staticmethod
    def none() -> Late:
        return Late({}, {})


def match(labels: Mapping[Id, Given], ledgers: Iterable[Arrays]) -> Late:
    """Find the records that labels speak of. Ledgers need LEDGER_COLUMNS; without labels none is
    read."""
    if not labels:
        return Late.none()
    wanted = np.array([high for high, _ in labels], np.uint64)
    by_id: dict[Id, Given] = {}
    by_key: dict[Whose, dict[Id, None]] = {}
    for columns in ledgers:
        for row in np.flatnonzero(np.isin(columns["id_hi"], wanted)).tolist():
            identity = (int(columns["id_hi"][row]), int(columns["id_lo"][row]))
            if identity not in labels or identity == (0, 0):  # zeros: decode refused the record
                continue
            by_id[identity] = labels[identity]
            high, low = int(columns["key_hi"][row]), int(columns["key_lo"][row])
            by_key.setdefault((int(columns["group"][row]), high, low), {})[identity] = None
    return Late(by_id, {whose: tuple(sorted(ids)) for whose, ids in by_key.items()})


@dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """Which rows get which label."""

    labels: dict[int, Given]  # by row
    heard: dict[int, tuple[Id, ...]]  # by row: the late labels that spoke for it
    lost: dict[int, int]  # by row: other labels of the same text, less plausible
    votes: dict[int, int]  # by row: late labels that say the label it gets


def resolve(columns: Columns, late: Late, rules: Rules) -> Resolved:
    """One label for every row that late labels speak of: by id in the arms that draw by id."""
    index = rules.index
    out = Resolved({}, {}, {}, {})
    if not late.by_id:
        return out
    for row, arm in enumerate(columns["arm"]):
        identity = (columns["id_hi"][row], columns["id_lo"][row])
        if arm in ("audit", "random"):
            ids: tuple[Id, ...] = (identity,) if identity in late.by_id else ()
        else:
            group = index.get(columns["group"][row], 0)
            ids = late.by_key.get((group, columns["key_hi"][row], columns["key_lo"][row]), ())
        if not ids:
            continue
        own = columns["label"][row]
        before = None if own is None or identity in ids else (own, columns["label_source"][row])
        taken = settled(columns, row, ids, before, late, rules)
        out.labels[row], out.lost[row], out.votes[row] = taken
        out.heard[row] = ids
    return out


def settled(
    columns: Columns, row: int, ids: Sequence[Id], own: Given | None, late: Late, rules: Rules
) -> tuple[Given, int, int]:
    """Of late labels, and one that came in a record: which is taken, how many are not, and how
    many late ones say what it says. `row`: of the text that they speak of."""
    # an annotator's word goes before a weak signal's where both say the same
    given = dict(sorted({late.by_id[i] for i in ids}, reverse=True))
    if own is not None:
        given.setdefault(*own)
    names = sorted(given)
    best = names[0] if len(names) == 1 else _most_plausible(columns, row, names, rules)
    votes = sum(late.by_id[i][0] == best for i in ids)
    return (best, given[best]), len(names) - 1, votes


def _most_plausible(columns: Columns, row: int, names: Sequence[str], rules: Rules) -> str:
    graded = scorer.grade(recalled(columns, [row] * len(names), names, rules), ())
    standing = sorted(
        (-step, draw.name_hash(rules.key, name), name)
        for step, name in zip(graded.plausibility.tolist(), names, strict=True)
    )
    return standing[0][2]


def recalled(columns: Columns, rows: Sequence[int], labels: Sequence[str], rules: Rules) -> Outputs:
    """The model's outputs of kept rows, with these labels, from their stored probabilities."""
    classes = {name: i for i, name in enumerate(rules.edition.classes)}
    tops = [
        np.stack([np.frombuffer(columns[name][row], np.uint16) for row in rows])
        for name in ("top_index", "top_share")
    ]
    known = np.array([classes.get(label, UNKNOWN_LABEL) for label in labels], np.int32)
    return scorer.recall(tops[0], tops[1], len(classes), known)
