"""What the labels of a window say of each other: candidates' and rivals' (law 8)."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from daemon.learning.grading import Grading
from daemon.learning.rules import Rules
from daemon.shards import rivals as outside
from daemon.shards.agreement import ALONE, Agreement, Standing, agree, noise_of, standings
from daemon.shards.columns import Columns, scored_of
from daemon.shards.late import Late
from daemon.shards.relabel import rerank
from daemon.shards.rivals import Key, Rivals
from scoring.types import CODES, Reason

REFUSED = len(CODES)  # by the policy, in the lane; which of its reasons is for the ledger
DOUBTED = (REFUSED, CODES[Reason.SUSPECT])  # perhaps, and surely


class Heard(NamedTuple):
    """Whom repeats speak for."""

    agreement: Agreement  # of the labels of one text
    back: list[int]  # suspects whose label it believes
    others: list[Standing]  # rivals: those that the policy accepts, or now would


def heard(
    columns: Columns,
    candidates: Iterable[int],
    kept: AbstractSet[Key],
    rivals: Rivals,
    late: Late,
    grading: Grading,
    rules: Rules,
) -> Heard:
    """Hear all labels; suspects that repeats bring back are weighed and ranked: `columns` changes.

    Those are weighed as if their label were as plausible as one that is not doubted. `kept`: the
    keys of the candidates, as lanes named them.
    """
    columns["believed"] = list(columns["plausibility"])
    stands, limit = standings(columns, candidates, rules), rules.terms.suspect_below
    texts = {one.text: row for row, one in stands.items()}
    said = outside.standings(rivals, kept, columns, texts, late, grading, rules)
    if limit is None:
        return Heard(ALONE, [], ALONE.accepted(said, limit))
    agreement = agree(list(stands.values()), noise_of(rules)).counting(one for one, _ in said)
    waits = [row for row in stands if columns["reason"][row] in DOUBTED]
    doubted = [row for row in waits if agreement.clears(stands[row], limit)]
    for row in doubted:
        columns["believed"][row] = limit
    scored = scored_of(columns, doubted, rules.edition.classes, grading.names)
    weighed = grading.policy.weigh(scored, rules.terms)
    back = [row for row, reason in zip(doubted, weighed.reasons, strict=True) if reason == 0]
    for row, weight in zip(back, weighed.weights[weighed.reasons == 0].tolist(), strict=True):
        columns["reason"][row], columns["weight"][row] = 0, weight
        rerank(columns, row, rules)
    return Heard(agreement, back, agreement.accepted(said, limit))
