"""The fields that a mapping can name: their types, their limits, and the reason when they are bad.

The order of the rows is the order of precedence among reasons and of the leaves that come back.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, UnsetType

from daemon.decode.leaves import Field
from daemon.decode.slots import Int64, slots_type
from daemon.policy import LabelMap, Limits, RecordMap
from scoring.types import Reason

LAST_MS = 253_402_300_799_999  # the end of year 9999
NAME_BITS = 256  # of an integer id: enough for any hash, and str() of it cannot raise

Source = Literal["annotated", "weak"]
Signal = Int64 | float | bool | None


def record_fields(mapping: RecordMap, limits: Limits) -> tuple[Field, ...]:
    """Eleven fields, one per signal by name, and tags if mapped. Consent is first: decoder.py."""
    name, label = name_type(limits), _label(limits)
    locale = Annotated[str, Meta(max_length=limits.locale_chars)] | None
    confidence = Annotated[float, Meta(ge=0.0, le=1.0)] | None
    time_ms = Annotated[int, Meta(ge=0, le=LAST_MS)] | None
    tag = Annotated[str, Meta(min_length=1, max_length=limits.label_chars)]
    tags = Annotated[tuple[tag, ...], Meta(max_length=limits.text_chars)] | None
    tagged = () if isinstance(mapping.tags, UnsetType) else (mapping.tags,)
    return (
        Field(mapping.consent, bool | None, Reason.NO_CONSENT, must_be_true=True),
        Field(mapping.id, name, Reason.BAD_ID),
        Field(mapping.text, str | None, Reason.BAD_TEXT),
        Field(mapping.locale, locale, Reason.BAD_LOCALE),
        Field(mapping.intent, label, Reason.BAD_HYPOTHESIS),
        Field(mapping.confidence, confidence, Reason.BAD_HYPOTHESIS),
        Field(mapping.slots, slots_type(limits), Reason.BAD_SLOTS),
        Field(mapping.label, label, Reason.BAD_LABEL),
        Field(_source_path(mapping), Source | None, Reason.BAD_LABEL),
        Field(mapping.user, name, Reason.BAD_ID),
        Field(mapping.event_time, time_ms, Reason.BAD_EVENT_TIME),
        *(Field(path, Signal, Reason.BAD_SIGNAL) for _, path in sorted(mapping.signals.items())),
        *(Field(path, tags, Reason.BAD_SLOTS) for path in tagged),
    )


def answer_fields(mapping: LabelMap, limits: Limits) -> tuple[Field, ...]:
    """Id, label, who says so, and the window of the shard that an audit answer belongs to."""
    window = Annotated[int, Meta(ge=0, le=LAST_MS)] | None
    return (
        Field(mapping.id, name_type(limits), Reason.BAD_ID),
        Field(mapping.label, _label(limits), Reason.BAD_LABEL),
        Field(_source_path(mapping), Source | None, Reason.BAD_LABEL),
        Field(mapping.shard, window, Reason.BAD_LABEL),
    )


def fixed_source(mapping: RecordMap | LabelMap) -> Source | None:
    """The label source that the mapping states for all records; None: each record says it."""
    sources: dict[str, Source] = {"annotated": "annotated", "weak": "weak"}
    return sources.get(mapping.label_source)


def as_name(value: str | int, limits: Limits) -> str | None:
    """An id as a string: an integer by its decimal digits; None if it has too many."""
    if isinstance(value, str):
        return value
    digits = str(value) if value.bit_length() <= NAME_BITS else ""
    return digits if 0 < len(digits) <= limits.id_chars else None


def name_type(limits: Limits) -> Any:
    """Of an id or a user."""
    return Annotated[str, Meta(min_length=1, max_length=limits.id_chars)] | int | None


def _label(limits: Limits) -> Any:
    return Annotated[str, Meta(min_length=1, max_length=limits.label_chars)] | None


def _source_path(mapping: RecordMap | LabelMap) -> str | None:
    return None if fixed_source(mapping) else mapping.label_source


def signals_struct(names: list[str]) -> type[msgspec.Struct] | None:
    """What encodes signals, sorted by name, without those that a record does not have."""
    if not names:
        return None
    return msgspec.defstruct(
        "Signals",
        [(f"s{number}", Signal, None) for number in range(len(names))],
        rename={f"s{number}": name for number, name in enumerate(names)},
        omit_defaults=True,
        gc=False,
    )
