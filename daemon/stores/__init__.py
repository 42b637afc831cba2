"""Kinds of stores, one file each, and what they share: the rule for names and the self-test.

    create   put the bytes under a name that has none yet, or say that it has one
    nothing overwrites, nothing deletes: the first object wins (law 6)

A name is never also a folder of names: with "a/b" there can be no object "a".
"""

from __future__ import annotations

import re

from daemon.ports import EXIT_DEPENDENCY, Fatal, Store

# S3 and GCS allow 1024 bytes of key, most file systems 255 of a component. The bucket's own
# prefix comes on top.
NAME_MAX, SEGMENT_MAX = 900, 255
_SEGMENT = re.compile(rf"(?!\.{{1,2}}\Z)[A-Za-z0-9._-]{{1,{SEGMENT_MAX}}}\Z")
_PROOF = "proof/create-once"


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
