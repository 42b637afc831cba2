"""Which labels of a text are believed between windows: as within one, by the repeats of all."""

from __future__ import annotations

from collections.abc import Sequence

from daemon.learning.rules import Rules
from daemon.shards.agreement import agree, contradictions, standing
from daemon.shards.columns import Columns

Source = tuple[Columns, Rules]  # of a window


def losers(kept: Sequence[tuple[Source, int, int]], noise: int) -> set[int]:
    """Places of rows, (source, row, records), whose text has a likelier label among them.

    `noise`: share of wrong labels, in steps of 1 / GRID; 0: unknown.
    """
    indices = {id(rules): rules.index for (_, rules), _, _ in kept}
    placed = []
    for at, ((columns, rules), row, records) in enumerate(kept):
        one = standing(columns, row, rules, indices[id(rules)])
        if one is not None:
            placed.append((at, one._replace(said=records)))
    return contradictions(placed, agree([one for _, one in placed], noise))
