"""Which labels of a text are believed between windows: as within one, by the repeats of all."""

from __future__ import annotations

from collections.abc import Sequence

from daemon.learning.rules import Rules
from daemon.shards.agreement import Standing, agree, contradictions, noise_of, standing
from daemon.shards.columns import Columns

Source = tuple[Columns, Rules]  # of a window


def losers(
    kept: Sequence[tuple[Source, int, int]], others: Sequence[Standing], newest: Rules
) -> set[int]:
    """Places of rows, (source, row, times given), whose text has a likelier label: among them, or
    among those of `others`."""
    indices = {id(rules): rules.index for (_, rules), _, _ in kept}
    placed = []
    for at, ((columns, rules), row, given) in enumerate(kept):
        one = standing(columns, row, rules, indices[id(rules)])
        if one is not None:
            placed.append((at, one._replace(said=given)))
    agreement = agree([one for _, one in placed], noise_of(newest)).counting(others)
    return contradictions(placed, agreement, others)
