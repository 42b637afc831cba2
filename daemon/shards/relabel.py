"""What a late label changes in a row: scores, plausibility, weight, group, key and rank (law 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from buffers import draw
from daemon.learning.grading import Grading
from daemon.learning.rules import Rules
from daemon.shards import late as lateness
from daemon.shards.columns import Columns, ids_of, plain_name
from daemon.shards.late import Resolved
from scoring import scorer
from scoring.supplies import shares
from scoring.types import Scored, Weighed


def relabel(columns: Columns, resolved: Resolved, grading: Grading, rules: Rules) -> None:
    """Give rows their late labels.

    Scores that need the label, plausibility, weight, group and rank follow, from the stored top
    probabilities: one code path with labels that came in the record.
    """
    by, index = rules.policy.groups.by, rules.index
    # a label that says what the record said changes nothing: recalled scores could by a step
    rows = [r for r, (label, _) in resolved.labels.items() if label != columns["label"][r]]
    before = [plain_name(columns, row, by) for row in rows]
    for row, (label, source) in resolved.labels.items():
        columns["label"][row], columns["label_source"][row] = label, source
    if not rows:
        return
    labels = [columns["label"][row] for row in rows]
    scored, kept, weighed = reweighed(columns, rows, labels, grading, rules)
    for i, row in enumerate(rows):
        for name, column in kept.items():
            columns[name][row] = column[i]
        columns["plausibility"][row] = int(scored.plausibility[i])
        columns["reason"][row] = int(weighed.reasons[i])
        columns["weight"][row] = int(weighed.weights[i])
        columns["changed"][row], columns["said"][row] = True, resolved.votes[row]
        _regroup(columns, row, before[i], rules, index, by)


def reweighed(
    columns: Columns, rows: Sequence[int], labels: Sequence[str], grading: Grading, rules: Rules
) -> tuple[Scored, dict[str, list[int]], Weighed]:
    """What texts of rows are worth under other labels: graded, all score columns, and weighed."""
    outputs = lateness.recalled(columns, rows, labels, rules)
    prior, trails = shares(rules.terms.classes), rules.edition.supplies.trail_bits
    outputs = replace(outputs, prior=prior, trails=trails)
    scored = scorer.grade(outputs, grading.recallable)
    kept = {f"score_{s}": [columns[f"score_{s}"][r] for r in rows] for s in grading.names}
    for name, values in scored.scores.items():
        kept[f"score_{name}"] = values.tolist()
    return scored, kept, grading.policy.weigh(grading.regraded(scored, kept), rules.terms)


def _regroup(
    columns: Columns,
    row: int,
    before: str,
    rules: Rules,
    index: dict[str, int],
    by: Sequence[str],
) -> None:
    """The key follows the group: (identity, group) is what is kept once."""
    name = plain_name(columns, row, by)
    group = 0 if rules.cold else index.get(name, 0)
    by_id = columns["arm"][row] in ("audit", "random")
    if not by_id:
        old = index.get(columns["group"][row], 0)
        columns["key_lo"][row] ^= rules.mask(old, before) ^ rules.mask(group, name)
        columns["group"][row] = rules.groups[group]
        # review rows keep the rank that their arm gave them
        if columns["weight"][row] and columns["arm"][row] != "review":
            rerank(columns, row, rules)


def rerank(columns: Columns, row: int, rules: Rules) -> None:
    """The rank follows the key and the weight."""
    key = ids_of(columns, [row], "key_hi", "key_lo")
    drawn = draw.draw(key, "select", rules.epoch, rules.key)
    weight = np.array([columns["weight"][row]], np.int16)
    columns["log_rank"][row] = int(draw.log_rank(drawn, weight)[0])
