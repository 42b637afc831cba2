"""The second stage of a selection, as a policy asks for it: scores that only candidates are worth.

A score of several checkpoints, or of a backward pass, costs many times the forward pass that every
utterance gets anyway. So the first stage keeps candidates by what that pass says, and the second
weighs these alone.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, UnsetType

from daemon.learning.kind import Kind


class Cascade(Struct, frozen=True, forbid_unknown_fields=True):
    """A number, and never a share of time: what is selected must not depend on the machine."""

    candidates: Annotated[
        int, Meta(ge=1, description="of a window, all lanes together, that are scored again")
    ]
    scores: tuple[Kind, ...]  # computed of candidates and of the audit arm
    select: Kind  # weighs them, and any of `policy.scores`


Second = Annotated[
    Cascade | UnsetType,
    Meta(
        description="{candidates: M, scores: [..], select: ..}: a second stage, of scores that "
        "several runs of the model make, of the M best of a window alone; left out: one stage"
    ),
]


def candidates(cascade: Second) -> int:
    """How many reach the second stage; 0 where there is none."""
    return 0 if isinstance(cascade, UnsetType) else cascade.candidates
