"""The manifest of a checkpoint: what it holds, file by file. Its sha256 names the checkpoint.

    BadCheckpoint    the one refusal of this package: a reason of a closed set, and what to do

A refusal quotes neither the content of a file nor a name that a stranger chose.
"""

from __future__ import annotations

import enum
import hashlib
import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from scoring.models.base import FormatKind

MANIFEST = "checkpoint.json"
MANIFEST_BYTES_MAX = 4 * 1024 * 1024  # 4096 labels of 128 characters, escaped, fit
LABELS_MAX = 4096
LABEL_CHARS_MAX = 128
TOKENS_MAX = 4096
# Controls, format characters (bidi overrides), surrogates, line and paragraph separators.
UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

Digest = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Name = Annotated[str, Meta(pattern=r"\A([A-Za-z0-9][A-Za-z0-9 ._-]{0,63})?\Z")]


class Fault(enum.StrEnum):
    """Why a checkpoint is refused. Closed; append only."""

    UNREADABLE = "unreadable"
    NOT_REGULAR = "not_regular"  # a link, a pipe, a device
    CHANGED = "changed_while_read"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    DUPLICATE_NAME = "duplicate_name"
    INCOMPLETE = "incomplete"
    AMBIGUOUS = "ambiguous"
    PICKLE = "pickle"
    ARCHIVE = "archive"
    BAD_WEIGHTS = "bad_weights"
    BAD_JSON = "bad_json"
    REMOTE_CODE = "remote_code"
    BAD_LABELS = "bad_labels"
    BAD_VOCABULARY = "bad_vocabulary"
    BAD_LENGTH = "bad_length"
    BAD_MANIFEST = "bad_manifest"
    MISMATCH = "mismatch"  # bytes are not those that the manifest or the name promises
    MISSING = "missing"
    UNSUPPORTED = "unsupported"


class BadCheckpoint(Exception):
    """A checkpoint that is refused before anything parses it: `hint` says what to do."""

    def __init__(self, reason: Fault, hint: str) -> None:
        super().__init__(f"{reason}: {hint}")
        self.reason = reason
        self.hint = hint
        self.__suppress_context__ = True  # a parser's own error would print what it read


class File(Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a checkpoint."""

    name: str
    sha256: Digest
    bytes: Annotated[int, Meta(ge=1)]


class Checkpoint(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One published NLU model version. Other labels, or the same in another order: another one."""

    version: Literal[1] = 1
    format: FormatKind
    name: Name = ""  # for people; decides nothing, orders nothing
    labels: tuple[str, ...]  # class i of the logits is labels[i]
    max_length: Annotated[int, Meta(ge=1, le=TOKENS_MAX)]  # tokens after which a text is cut
    files: tuple[File, ...]  # ascending by name
    created_from: Digest | None = None  # the checkpoint that this one was exported from


def describe(
    format: FormatKind,  # noqa: A002 - the field's own name
    blobs: Mapping[str, bytes],
    labels: tuple[str, ...],
    max_length: int,
    name: str = "",
    created_from: str | None = None,
) -> Checkpoint:
    """The manifest of these bytes. Raises BadCheckpoint for a name, length or label that is odd."""
    files = tuple(
        File(each, hashlib.sha256(blobs[each]).hexdigest(), len(blobs[each]))
        for each in sorted(blobs)
    )
    checkpoint = Checkpoint(
        format=format,
        name=name,
        labels=labels,
        max_length=max_length,
        files=files,
        created_from=created_from,
    )
    decode(encode(checkpoint))  # a Struct checks its constraints when decoded, not when built
    return checkpoint


def encode(checkpoint: Checkpoint) -> bytes:
    """The canonical bytes: fields in their order, no blanks, files by name."""
    try:
        return msgspec.json.encode(checkpoint, order="deterministic")
    except (UnicodeEncodeError, msgspec.MsgspecError):  # a lone surrogate
        raise BadCheckpoint(Fault.BAD_MANIFEST, "names and labels must be valid Unicode") from None


def digest(checkpoint: Checkpoint) -> str:
    """The name of the checkpoint, 64 hexadecimal digits; what a model calls its fingerprint."""
    return hashlib.sha256(encode(checkpoint)).hexdigest()


def is_digest(text: str) -> bool:
    """True where `text` may stand in an object name as a digest."""
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def decode(data: bytes) -> Checkpoint:
    """Strictly: unknown fields and any bytes that `encode` would not write are refused.

    The file names are whatever the manifest says: `layouts.check_files` compares them.
    """
    if len(data) > MANIFEST_BYTES_MAX:
        raise BadCheckpoint(Fault.TOO_LARGE, f"{MANIFEST} may have {MANIFEST_BYTES_MAX} bytes")
    try:
        checkpoint = msgspec.json.decode(data, type=Checkpoint)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        hint = "name, max_length or another field is outside its range; publish it again"
        raise BadCheckpoint(Fault.BAD_MANIFEST, hint) from None  # its message quotes the content
    if encode(checkpoint) != data:
        raise BadCheckpoint(Fault.BAD_MANIFEST, "its bytes are not canonical; publish it again")
    names = [file.name for file in checkpoint.files]
    if names != sorted(set(names)):
        raise BadCheckpoint(Fault.BAD_MANIFEST, "files must be unique and ascend by name")
    check_labels(checkpoint.labels)
    return checkpoint


def check_labels(labels: tuple[str, ...]) -> None:
    """2..4096 unique labels, each 1..128 printable characters. Raises BadCheckpoint."""
    if not 2 <= len(labels) <= LABELS_MAX:
        hint = f"{len(labels)} labels; a model that classifies has 2 to {LABELS_MAX}"
        raise BadCheckpoint(Fault.BAD_LABELS, hint)
    for index, label in enumerate(labels):
        if not 1 <= len(label) <= LABEL_CHARS_MAX or label != label.strip():
            hint = f"label {index} must have 1 to {LABEL_CHARS_MAX} characters, no outer blanks"
            raise BadCheckpoint(Fault.BAD_LABELS, hint)
        if any(unicodedata.category(character) in UNPRINTABLE for character in label):
            raise BadCheckpoint(Fault.BAD_LABELS, f"label {index} holds a control character")
    if len(set(labels)) != len(labels):
        hint = f"{len(labels) - len(set(labels))} labels repeat; classes need names of their own"
        raise BadCheckpoint(Fault.BAD_LABELS, hint)
