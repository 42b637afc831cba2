"""Every score that there is, with what it needs, what it costs and where it comes from."""

from __future__ import annotations

from typing import NamedTuple, cast

from scoring.kinds import load, module, names
from scoring.types import Score

PACKAGE = "scoring.scores"


class Entry(NamedTuple):
    """One score as it is with its default options."""

    name: str
    needs: tuple[str, ...]  # sorted; what supplies them: scoring.scorer.SUPPLIERS
    cost: str  # "forward" | "checkpoints" | "backward"
    source: str  # paper, equation
    high: float  # it lies in [0, high]
    control: bool  # a null control: selecting by it must not beat chance
    summary: str  # first line of the file


def catalogue() -> tuple[Entry, ...]:
    """All scores, cheapest first, then by name. Imports their files, which need numpy only."""
    order = ("forward", "checkpoints", "backward")
    return tuple(sorted(map(_entry, names(PACKAGE)), key=lambda e: (order.index(e.cost), e.name)))


def _entry(kind: str) -> Entry:
    score = cast(Score, load(PACKAGE, kind, {}))
    document = (module(PACKAGE, kind).__doc__ or "").strip()
    summary = document.split("\n\n", maxsplit=1)[0].replace("\n", " ")
    needs, control = tuple(sorted(score.needs)), "\nDirection:  none" in document
    return Entry(kind, needs, score.cost, score.source, score.high, control, summary)
