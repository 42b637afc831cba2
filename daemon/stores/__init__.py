"""Kinds of stores, one file each, and what they share: the rule for names and the self-test.

    create   put the bytes under a name that has none yet, or say that it has one
    efface   put a stub where somebody's data was, if it is still what was read: erasures alone
    nothing else overwrites, nothing deletes: the first object wins (law 6)

A name is never also a folder of names: with "a/b" there can be no object "a".
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from daemon.ports import EXIT_DEPENDENCY, EXIT_STATE, EXIT_WRITE, Fatal, Retry, Store

# S3 and GCS allow 1024 bytes of key, most file systems 255 of a component. The bucket's own
# prefix comes on top.
NAME_MAX, SEGMENT_MAX = 900, 255
_SEGMENT = re.compile(rf"(?!\.{{1,2}}\Z)[A-Za-z0-9._-]{{1,{SEGMENT_MAX}}}\Z")
_PROOF = "proof/create-once"
# A link stands for no object, because no create makes one.
NO_OBJECT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP})
_HINTS: Mapping[int, str] = {  # what no repetition heals
    errno.EROFS: "The file system is read-only: remount it, or mount a volume for the store",
    errno.EACCES: "Give the store's folder to the user that runs this (fsGroup in Kubernetes)",
    errno.EPERM: "The file system may have no hard links: use another volume or a bucket",
    errno.EXDEV: "Nothing may be mounted inside the store's folder",
    errno.EEXIST: "A file stands where the store's folder must be",
    errno.EFBIG: "Raise the limit on file sizes (ulimit -f), or use another file system",
}


def is_segment(text: str) -> bool:
    """True where `text` may stand between two "/" of a name."""
    return _SEGMENT.match(text) is not None


def check_name(name: str) -> tuple[str, ...]:
    """Segments of a well-formed name. Raises ValueError for any other (without repeating it)."""
    segments = tuple(name.split("/"))
    if len(name) > NAME_MAX or not all(map(is_segment, segments)):
        raise ValueError("not a name of an object: want [A-Za-z0-9._-]+ segments joined by '/'")
    return segments


def prove(store: Store) -> None:
    """Try, at start, that the store refuses a second create: all else rests on it (law 6).

    Leaves one small object. Raises Fatal where a second create succeeds, changes the bytes, or
    where the object is not found again by name or in a listing.
    """
    store.create(_PROOF, b"first")
    before = store.get(_PROOF)
    if store.create(_PROOF, b"second") or store.get(_PROOF) != before:
        raise Fatal(
            "the store let a second create of one name pass",
            code=EXIT_DEPENDENCY,
            hint="Use a store with put-if-absent (S3 If-None-Match, GCS generation 0, link(2))",
        )
    if _PROOF not in store.list("proof/"):
        raise Fatal(
            "the store does not list an object that it holds",
            code=EXIT_DEPENDENCY,
            hint="Its listings must show a write at once; check its consistency and permissions",
        )


@contextmanager
def disk_errors() -> Iterator[None]:
    """OSError of a disk as what the caller does: wait for space or a healing disk, or end."""
    try:
        yield
    except OSError as error:
        what = f"the store cannot write: {os.strerror(error.errno or 0)}"
        if error.errno is not None and error.errno in _HINTS:
            raise Fatal(what, code=EXIT_WRITE, hint=_HINTS[error.errno]) from error
        if error.errno in NO_OBJECT - {errno.ENOENT}:
            hint = "Remove the link or the file that stands where a folder of names must be"
            raise Fatal(what, code=EXIT_STATE, hint=hint) from error
        raise Retry(f"{what}. Free space (or inodes), check the volume") from error
