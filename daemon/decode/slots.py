"""Slots of an utterance: checked, then carried as one canonical string.

Two shapes are understood: an object `{"city": "Bonn"}`, or a list of `{"name", "value"}` with an
optional span `start`, `end` in code points of the text as received (not bytes, not UTF-16 units).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from daemon.policy import Limits

# msgspec writes integers of 64 bits only; larger ones are refused where they are read
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Scalar = str | Int64 | float | bool | None

_ENCODER = msgspec.json.Encoder(order="deterministic")  # sorts the keys of objects


def slots_type(limits: Limits) -> Any:
    """What msgspec is told to expect of slots. Names are as long as labels at most.

    Members of a listed slot stand in alphabetical order, as they are written; others are dropped.
    """
    few = Meta(max_length=limits.slots)
    name = Annotated[str, Meta(min_length=1, max_length=limits.label_chars)]
    slot = msgspec.defstruct(
        "Slot",
        [
            ("end", Annotated[int, Meta(ge=1)] | None, None),
            ("name", name),
            ("start", Annotated[int, Meta(ge=0)] | None, None),
            ("value", Scalar, None),
        ],
        kw_only=True,
        omit_defaults=True,
        gc=False,
    )
    named: Any = dict[name, Scalar]
    listed: Any = list[slot]  # type: ignore[valid-type]
    return Annotated[named, few] | Annotated[listed, few] | None


def canonical_slots(slots: Any, text_chars: int) -> str | None:
    """JSON with sorted keys, lists in the order received, or None if a span is bad.

    `slots`: a value of `slots_type`. Bad is a span that is half given, empty, outside
    [0, text_chars], or that overlaps another one.
    """
    if isinstance(slots, list) and slots and not _spans_fit(slots, text_chars):
        return None
    return _ENCODER.encode(slots).decode()


def _spans_fit(slots: list[Any], text_chars: int) -> bool:
    spans: list[tuple[int, int]] = []
    for slot in slots:
        if slot.start is not None and slot.end is not None:
            if not slot.start < slot.end <= text_chars:
                return False
            spans.append((slot.start, slot.end))
        elif slot.start is not None or slot.end is not None:
            return False
    spans.sort()
    return all(before[1] <= after[0] for before, after in pairwise(spans))
