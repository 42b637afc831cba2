"""Checkpoints in the registry: `checkpoints/<digest>/<file>`, the manifest last.

The name is the digest of the manifest, and the manifest holds the digest of every file, so a
reader knows all bytes to be those that were published before anything parses them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from scoring import layouts, manifest
from scoring.folders import ignored, read_folder
from scoring.manifest import MANIFEST, BadCheckpoint, Checkpoint, Fault, File
from scoring.models.base import Files

__all__ = [
    "BadCheckpoint",
    "Checkpoint",
    "Fault",
    "File",
    "as_files",
    "ignored",
    "list_checkpoints",
    "load",
    "put",
    "read_checkpoint",
    "read_directory",
]
PREFIX = "checkpoints/"


class Store(Protocol):
    """What is needed of a store: create-once objects by name (law 6)."""

    def create(self, name: str, data: bytes) -> bool: ...

    def get(self, name: str) -> bytes:
        """Raises KeyError where the name is missing."""

    def list(self, prefix: str, after: str = "") -> Iterator[str]: ...


def read_directory(
    path: Path,
    *,
    name: str = "",
    max_length: int | None = None,
    created_from: str | None = None,
) -> tuple[Checkpoint, dict[str, bytes]]:
    """A user's folder, read safely: its manifest and its files by name.

    `max_length`: tokens after which a text is cut; None takes the tokenizer's, else 128, never
    more than the weights have positions for. Raises BadCheckpoint; other files are passed over
    (`ignored` names them).
    """
    kind, blobs = read_folder(path)
    inspected = layouts.inspect(kind, blobs)
    length = inspected.max_length if max_length is None else max_length
    if inspected.labels is None:
        hint = f"format {kind} needs its labels; add the array `labels` to the npz"
        raise BadCheckpoint(Fault.BAD_LABELS, hint)
    checkpoint = manifest.describe(kind, blobs, inspected.labels, length, name, created_from)
    _check_promises(checkpoint, inspected)
    return checkpoint, blobs


def put(store: Store, checkpoint: Checkpoint, blobs: Mapping[str, bytes]) -> str:
    """Publish; returns the digest. Twice is once; a crash on the way leaves nothing readable.

    Raises BadCheckpoint if the blobs are not those of the manifest, or if another's bytes
    already stand under one of the names.
    """
    data = manifest.encode(checkpoint)
    digest = manifest.digest(checkpoint)
    _check(manifest.decode(data), blobs)
    for file in checkpoint.files:
        key = _key(digest, file.name)
        if not store.create(key, blobs[file.name]) and not _same(file, _get(store, key)):
            hint = f"other bytes stand at this checkpoint's {file.name}; remove that object"
            raise BadCheckpoint(Fault.MISMATCH, hint)
    key = _key(digest, MANIFEST)
    if not store.create(key, data) and _get(store, key) != data:
        hint = f"other bytes stand at this checkpoint's {MANIFEST}; remove that object"
        raise BadCheckpoint(Fault.MISMATCH, hint)
    return digest


def read_checkpoint(store: Store, digest: str) -> Checkpoint:
    """The manifest alone, verified against its name. Raises BadCheckpoint."""
    if not manifest.is_digest(digest):
        raise BadCheckpoint(Fault.MISMATCH, "a checkpoint is named by 64 hexadecimal digits")
    data = _get(store, _key(digest, MANIFEST))
    if hashlib.sha256(data).hexdigest() != digest:
        hint = f"{MANIFEST} is not the one that the name promises; publish the checkpoint again"
        raise BadCheckpoint(Fault.MISMATCH, hint)
    checkpoint = manifest.decode(data)
    layouts.check_files(checkpoint.format, checkpoint.files)
    return checkpoint


def load(store: Store, digest: str) -> Files:
    """A published checkpoint, every byte verified and inspected. Raises BadCheckpoint."""
    checkpoint = read_checkpoint(store, digest)
    blobs: dict[str, bytes] = {}
    for file in checkpoint.files:
        blobs[file.name] = _get(store, _key(digest, file.name))
        _check_bytes(file, blobs[file.name])  # a wrong file ends it before the next is fetched
    _check_promises(checkpoint, layouts.inspect(checkpoint.format, blobs))
    return Files(checkpoint.format, blobs, checkpoint.labels, checkpoint.max_length, digest)


def list_checkpoints(store: Store) -> Iterator[str]:
    """Digests of all whole checkpoints, ascending; half-published ones have no manifest yet."""
    for name in store.list(PREFIX):
        digest, _, rest = name.removeprefix(PREFIX).partition("/")
        if rest == MANIFEST and manifest.is_digest(digest):
            yield digest


def as_files(checkpoint: Checkpoint, blobs: Mapping[str, bytes]) -> Files:
    """A checkpoint that is not published yet, as an engine is built from it (for the gates)."""
    _check(checkpoint, blobs)
    digest = manifest.digest(checkpoint)
    return Files(checkpoint.format, blobs, checkpoint.labels, checkpoint.max_length, digest)


def _check(checkpoint: Checkpoint, blobs: Mapping[str, bytes]) -> None:
    layouts.check_files(checkpoint.format, checkpoint.files)
    if set(blobs) != {file.name for file in checkpoint.files}:
        raise BadCheckpoint(Fault.MISMATCH, "the files are not those of the manifest")
    for file in checkpoint.files:
        _check_bytes(file, blobs[file.name])
    _check_promises(checkpoint, layouts.inspect(checkpoint.format, blobs))


def _check_promises(checkpoint: Checkpoint, inspected: layouts.Inspected) -> None:
    if inspected.labels not in (None, checkpoint.labels):
        hint = "the manifest's labels are not those of the files, in their order; publish again"
        raise BadCheckpoint(Fault.BAD_LABELS, hint)
    if checkpoint.max_length > inspected.longest:
        hint = f"max_length {checkpoint.max_length}: the weights have {inspected.longest} positions"
        raise BadCheckpoint(Fault.BAD_LENGTH, hint)


def _check_bytes(file: File, data: bytes) -> None:
    if not _same(file, data):
        hint = f"{file.name} is not the file that was published; publish the checkpoint again"
        raise BadCheckpoint(Fault.MISMATCH, hint)


def _same(file: File, data: bytes) -> bool:
    return len(data) == file.bytes and hashlib.sha256(data).hexdigest() == file.sha256


def _get(store: Store, key: str) -> bytes:
    try:
        return store.get(key)
    except KeyError:  # every store's word for a missing name is one
        name = key.rpartition("/")[2]
        hint = f"{name} of this checkpoint is not in the store; publish it again"
        raise BadCheckpoint(Fault.MISSING, hint) from None


def _key(digest: str, name: str) -> str:
    return f"{PREFIX}{digest}/{name}"
