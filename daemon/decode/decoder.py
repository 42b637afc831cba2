"""Bytes to utterances and answers: pure, total, and silent about what the bytes said.

A record becomes an Utterance (or an Answer), or a Refusal with one reason of the closed list;
never an exception, whatever the bytes. What a record says does not depend on its neighbours.
Of several defects one is named: first what the bytes are, then consent (of a record without it
nothing else is learnt, not even what else is wrong with it), then fields of the wrong type in the
order of daemon/decode/fields.py, then fields that are missing or say what they must not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import msgspec
import numpy as np
from msgspec import UnsetType

from daemon.decode.fields import answer_fields, as_name, fixed_source, record_fields, signals_struct
from daemon.decode.leaves import Leaves, Reader
from daemon.decode.near import Fold, unfolded
from daemon.decode.normalise import Normaliser
from daemon.decode.slots import canonical_slots
from daemon.decode.utterance import Answer, LabelSource, Utterance, pseudonym
from daemon.decode.weak import Weak, rule
from daemon.policy import LabelMap, Limits, RecordMap
from daemon.ports import Int64s
from scoring.types import Reason, Refusal

# a language tag by its look (BCP 47, or with underscores as in POSIX); routing knows the models
_LOCALE = re.compile(r"[A-Za-z]{1,8}([-_][A-Za-z0-9]{1,8})*")
_ENCODER = msgspec.json.Encoder()
_NEVER = Weak()
T = TypeVar("T", Utterance, Answer)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What became of a batch: `rows[i]` is the index in the batch of `utterances[i]`."""

    utterances: list[Utterance]
    rows: Int64s  # ascending
    refusals: list[Refusal]  # ascending


@dataclass(frozen=True, slots=True, eq=False)
class DecodedAnswers:
    """The same for a label lane."""

    answers: list[Answer]
    rows: Int64s
    refusals: list[Refusal]


class Decoder:
    """Decodes the records of utterance lanes as the policy's mapping says.

    `key` makes pseudonyms of users; it is needed only if `mapping.user` is set (ValueError).
    `weak` makes labels for records that have none; its vetoes are mapped signals (ValueError).
    """

    def __init__(
        self,
        mapping: RecordMap,
        limits: Limits,
        key: bytes,
        normalise: Normaliser,
        weak: Weak = _NEVER,
        fold: Fold | None = None,
    ) -> None:
        self._limits = limits
        self._normalise, self._fold = normalise, fold or unfolded
        self._pseudonym = pseudonym(key) if mapping.user else None
        self._fixed_source = fixed_source(mapping)
        self._signals = signals_struct(sorted(mapping.signals))
        untagged = isinstance(mapping.tags, UnsetType)
        self._built = self._build if untagged else self._build_tagged
        self._qualifies = rule(weak, sorted(mapping.signals))
        self._is_locale = lru_cache(maxsize=256)(_LOCALE.fullmatch)  # a stream has few locales
        self._reader = Reader(record_fields(mapping, limits), limits)

    def decode(self, values: Sequence[bytes | None]) -> Decoded:
        """n record values to at most n utterances; every value is accounted for once."""
        return Decoded(*_settle(values, self._reader, self._built))

    def _build(self, leaves: Leaves) -> Utterance | Reason:
        _consent, name, text, locale, intent, confidence, slots, label, source, user, time_ms = (
            leaves[:11] if self._signals else leaves
        )
        if name.__class__ is not str:
            name = _named(name, self._limits)
            if isinstance(name, Reason):
                return name
        key_text = self._key_text(text)
        if isinstance(key_text, Reason):
            return key_text
        if locale is not None and not self._is_locale(locale):
            return Reason.BAD_LOCALE
        key_text = self._fold(key_text, locale)
        if slots is not None:
            slots = canonical_slots(slots, len(text))
            if slots is None:
                return Reason.BAD_SLOTS
        label_source: LabelSource = "none"
        if label is not None:
            label_source = self._fixed_source or source or "weak"  # unsaid: nothing is claimed
        elif intent is not None and self._qualifies and self._qualifies(confidence, leaves[11:]):
            label, label_source = intent, "weak"
        if user is not None:
            user = self._hidden(user)
            if user is None:
                return Reason.BAD_ID
        signals = None
        if self._signals:
            signals = _ENCODER.encode(self._signals(*leaves[11:])).decode()
        return Utterance(
            name, text, key_text, locale, intent, confidence, slots, label, label_source, user,
            time_ms, None if signals == "{}" else signals,
        )  # fmt: skip

    def _build_tagged(self, leaves: Leaves) -> Utterance | Reason:
        """With the last leaf: a tag for each word."""
        *others, tags = leaves
        built = self._build(tuple(others))
        if isinstance(built, Reason) or tags is None:
            return built
        fit = len(tags) == len(built.text.split())
        return msgspec.structs.replace(built, tags=tags) if fit else Reason.BAD_SLOTS

    def _hidden(self, user: str | int) -> str | None:
        name = as_name(user, self._limits)
        return self._pseudonym(name) if name and self._pseudonym else None

    def _key_text(self, text: str | None) -> str | Reason:
        if text is None:
            return Reason.NO_TEXT
        if len(text) > self._limits.text_chars:
            return Reason.TEXT_TOO_LONG
        if "\0" in text:
            return Reason.BAD_TEXT
        key_text = self._normalise(text)
        if not key_text:
            return Reason.EMPTY_TEXT
        if len(key_text) > self._limits.text_chars:  # one ligature may unfold to 18 letters
            return Reason.TEXT_TOO_LONG
        return key_text


class AnswerDecoder:
    """Decodes the records of label lanes. The label itself is not judged: a class that a
    checkpoint does not know may still be true."""

    def __init__(self, mapping: LabelMap, limits: Limits) -> None:
        self._limits = limits
        self._fixed_source = fixed_source(mapping)
        self._reader = Reader(answer_fields(mapping, limits), limits)

    def decode(self, values: Sequence[bytes | None]) -> DecodedAnswers:
        """n record values to at most n answers; every value is accounted for once."""
        return DecodedAnswers(*_settle(values, self._reader, self._build))

    def _build(self, leaves: Leaves) -> Answer | Reason:
        name, label, source, shard = leaves
        name = _named(name, self._limits)
        if isinstance(name, Reason):
            return name
        if label is None:
            return Reason.NO_LABEL
        return Answer(name, label, self._fixed_source or source or "weak", shard)


def _named(value: str | int | None, limits: Limits) -> str | Reason:
    if value is None:
        return Reason.NO_ID
    return as_name(value, limits) or Reason.BAD_ID


def _settle(
    values: Sequence[bytes | None],
    reader: Reader,
    build: Callable[[Leaves], T | Reason],
) -> tuple[list[T], Int64s, list[Refusal]]:
    """What was built, the index in the batch of each, and the refusals: every value is in one."""
    built: list[T] = []
    rows: list[int] = []
    refusals: list[Refusal] = []
    for index, value in enumerate(values):
        leaves = reader.read(value)
        found = build(leaves) if isinstance(leaves, tuple) else leaves
        if isinstance(found, Reason):
            refusals.append(Refusal(index, found))
        else:
            built.append(found)
            rows.append(index)
    return built, np.array(rows, dtype=np.int64), refusals
