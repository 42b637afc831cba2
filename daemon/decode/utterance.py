"""What decoding makes of a record: an utterance, or the answer of a label lane.

Neither shows its text, id or label when printed: a traceback or a log line may hold a repr.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct

LabelSource = Literal["annotated", "weak", "none"]


class Utterance(Struct, frozen=True, gc=False):
    """A decoded record. Strings are valid Unicode without lone surrogates."""

    id: str
    text: str  # as received, never trimmed
    key_text: str  # normalised, perhaps folded: read by the model and kept once in text modes
    locale: str | None = None
    intent: str | None = None  # of the hypothesis, as production answered
    confidence: float | None = None  # in [0, 1]
    slots: str | None = None  # canonical JSON: shards carry it, nothing reads it
    label: str | None = None
    label_source: LabelSource = "none"
    user: str | None = None  # hex of a keyed hash; the raw value is never kept
    event_time_ms: int | None = None  # as the producer claims; informative
    signals: str | None = None  # canonical JSON of the mapped numbers and booleans
    tags: tuple[str, ...] | None = None  # annotated, of each word of the text; only scores read it

    def __repr__(self) -> str:
        return f"Utterance(id: {len(self.id)} chars, text: {len(self.text)} chars)"

    __str__ = __repr__

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # msgspec gives every struct one with all fields; rich tracebacks would print it
        return [("text_chars", len(self.text))]


class Answer(Struct, frozen=True, gc=False):
    """A late label or an audit answer. `shard` is the window whose shard it answers."""

    id: str
    label: str
    label_source: LabelSource
    shard: int | None = None

    def __repr__(self) -> str:
        return f"Answer(id: {len(self.id)} chars, label: {len(self.label)} chars)"

    __str__ = __repr__

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("label_chars", len(self.label))]


def pseudonym(key: bytes) -> Callable[[str], str]:
    """A function from a raw user id to 32 hex digits: keyed BLAKE2s (RFC 7693), 128 bits.

    Without the key nobody can test a guessed id against a shard; an erasure request is hashed
    with the same key. Raises ValueError on an empty key, which would be no key at all.
    """
    if not key:
        raise ValueError("the key is empty, so users could be guessed. Set the deployment's key")
    derived = hashlib.blake2s(key, person=b"user key").digest()  # a key of any length to 32 bytes
    keyed = hashlib.blake2s(key=derived, digest_size=16, person=b"user")

    def of(user: str) -> str:
        state = keyed.copy()  # keying costs a block; once is enough
        state.update(user.encode("utf-8", "surrogatepass"))
        return state.hexdigest()

    return of
