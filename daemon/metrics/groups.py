"""Names of groups that a series may carry: few, of the checkpoint, and with enough records.

A name in a record may be an utterance in disguise, and there is no end of them: only classes that
were published with the checkpoint are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from daemon.learning.rules import OTHER
from daemon.metrics.catalogue import GROUPS, LEAST_MEMBERS


def shown(
    classes: Iterable[str], remembered: Mapping[str, int], records: Mapping[str, int]
) -> frozenset[str]:
    """The classes with series of their own.

    The most frequent ones by what is `remembered`, which moves slowly; not those with few
    `records` in this window, which could point at a person.
    """
    ordered = sorted(set(classes) - {OTHER}, key=lambda name: (-remembered.get(name, 0), name))
    return frozenset(n for n in ordered[:GROUPS] if records.get(n, 0) >= LEAST_MEMBERS)


def known(counts: Mapping[str, int], classes: Iterable[str]) -> dict[str, int]:
    """Counts by class; whatever is none is counted as `(other)`."""
    return {name: int(total) for name, total in folded(counts, frozenset(classes)).items()}


def folded(values: Mapping[str, float], names: frozenset[str]) -> dict[str, float]:
    """Values by these names, the others added up as `(other)`; it is there only if some are."""
    result: dict[str, float] = {}
    for name, value in values.items():
        kept = name if name in names else OTHER
        result[kept] = result.get(kept, 0.0) + value
    return result
