"""Weak labels: of a record without a label, the hypothesis that nobody objected to.

What production answered with confidence, and what was followed by no sign of a defect (the user did
not barge in, rephrase or stop it), is taken for true: Sabbineni, Anand and Minakova 2023 (arXiv
2311.16302), "weak signal labeled" data. Their gain over random rows was 2 to 7 % of errors.

Trap: a score that compares the label with the checkpoint says nothing where a model of the same
family made the label. Then it is nearly a function of the confidence, and the confidence was above
the bound already; nor does the quarantine doubt what the checkpoint itself would have said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct


class Weak(Struct, frozen=True, forbid_unknown_fields=True):
    """Labels for records without one: what a sure model answered, if no signal objects."""

    confidence: Annotated[
        Annotated[float, Meta(ge=0.0, le=1.0)] | None,
        Meta(description="of the hypothesis, at least; null: no labels are made"),
    ] = None
    vetoes: Annotated[
        tuple[str, ...],
        Meta(description="names in record.signals of defects; true, or a number but 0, objects"),
    ] = ()
    model_family: Annotated[
        str | None,
        Meta(description="beginning of the names of its checkpoints; null: nobody says"),
    ] = None


Qualifies = Callable[[float | None, Sequence[Any]], bool]


def rule(weak: Weak, signals: Sequence[str]) -> Qualifies | None:
    """Whether a hypothesis of this confidence, beside these values of `signals`, is a label.

    None where no labels are made. Raises ValueError for a veto that is none of the signals.
    """
    least = weak.confidence
    if least is None:
        return None
    if unknown := set(weak.vetoes) - set(signals):
        raise ValueError(f"{len(unknown)} of policy.weak.vetoes are not in policy.record.signals")
    places = tuple(signals.index(name) for name in weak.vetoes)

    def qualifies(confidence: float | None, said: Sequence[Any]) -> bool:
        return confidence is not None and confidence >= least and not any(said[p] for p in places)

    return qualifies
