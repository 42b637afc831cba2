"""Reading mapped fields out of JSON: a compiled reader, and a careful one that knows why not.

Both give the same leaves for the same bytes: each leaf has one msgspec type, with its limits, and
both readers use it. The fast one decodes the document in one call into structs made from the
dotted paths; whatever it does not like goes to the slow one, which walks field by field and finds
the reason or the leaves. (tests/unit/test_decode.py holds the two against each other.)

What JSON leaves open is closed like this: of duplicate keys the last wins; a leading UTF-8 byte
order mark is skipped; NaN and Infinity are not JSON; numbers and lone surrogates that cannot be
represented matter only in fields that are mapped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Raw, Struct

from daemon.decode.envelope import BOM, CEILING, MARK, mark_lone_surrogates, too_deep
from daemon.policy import Limits
from scoring.types import Reason

Leaves = tuple[Any, ...]  # one per field, None where absent, null or not mapped
_Tree = dict[str, "_Tree | int"]  # segment -> what lies below, or the index of a field
_Fast = tuple[Callable[[bytes], Struct], Callable[[Struct], Leaves]]

_WHOLE = msgspec.json.Decoder(Raw)  # parses everything, keeps nothing
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_NULL = b"null"


@dataclass(frozen=True, slots=True)
class Field:
    """A leaf: where it stands, what it may be (None included), the reason when it is not."""

    path: str | None  # None: not mapped
    type: Any
    bad: Reason
    must_be_true: bool = False  # only the first field may ask for it: it comes before all others


class Reader:
    """Reads leaves in the order of `fields`, of which two or more are mapped.

    The first field that fails gives the reason, so the order of the fields is the order in which
    reasons are named. Fields that share a path, or lie below one another, are only read slowly.
    """

    def __init__(self, fields: Sequence[Field], limits: Limits) -> None:
        self._value_bytes = limits.value_bytes
        self._depth = min(limits.depth, CEILING)
        self._decoders = tuple(msgspec.json.Decoder(field.type) for field in fields)
        self._paths = tuple(field.path.split(".") if field.path else None for field in fields)
        self._fields = tuple(fields)
        gate = fields[0]
        self._gate = gate.bad if gate.must_be_true and gate.path else None
        self._fast = _compile(fields)

    def read(self, value: bytes | None) -> Leaves | Reason:
        """The leaves of one record, or why there are none. Never raises, whatever the bytes."""
        if value is None:
            return Reason.EMPTY_VALUE
        if len(value) > self._value_bytes:
            return Reason.VALUE_TOO_LARGE
        if not value.isascii():
            try:
                value.decode()  # the parser does not look into fields that it skips
            except UnicodeDecodeError:
                return Reason.NOT_UTF8
        # fewer opening brackets than this in all cannot nest deeper
        if value.count(b"[") + value.count(b"{") > self._depth and too_deep(value, self._depth):
            return Reason.TOO_DEEP
        if self._fast is not None:
            decode, getter = self._fast
            try:
                leaves = getter(decode(value))
                return leaves if self._gate is None or leaves[0] is True else self._gate
            except (msgspec.MsgspecError, ValueError, RecursionError):
                pass
        return self.read_slowly(value)

    def read_slowly(self, value: bytes) -> Leaves | Reason:
        """The same for valid UTF-8 that is not too deep, field by field."""
        document = value.removeprefix(BOM)
        if not document or document.isspace():
            return Reason.EMPTY_VALUE
        try:
            if not _is_json(document):
                document = mark_lone_surrogates(document)
                if not _is_json(document):
                    return Reason.NOT_JSON
            root = _MEMBERS.decode(document)
        except msgspec.MsgspecError:
            return Reason.NOT_AN_OBJECT
        except RecursionError:
            return Reason.TOO_DEEP
        leaves: list[Any] = []
        for field, path, decoder in zip(self._fields, self._paths, self._decoders, strict=True):
            try:
                leaf = decoder.decode(_find(root, path)) if path else None
            except (msgspec.MsgspecError, ValueError, RecursionError):
                return field.bad
            if self._gate is not None and not leaves and leaf is not True:
                return self._gate
            leaves.append(leaf)
        return tuple(leaves)


def _is_json(document: bytes) -> bool:
    try:
        _WHOLE.decode(document)
    except msgspec.MsgspecError:
        return False
    return True


def _find(root: dict[str, Raw], path: list[str]) -> bytes:
    """The JSON of a leaf, `null` if it is absent. Raises MsgspecError if a parent is neither
    an object nor null, ValueError if the leaf held a lone surrogate."""
    members = root
    for segment in path[:-1]:
        parent = bytes(members.get(segment, _NULL))
        members = {} if parent == _NULL else _MEMBERS.decode(parent)
    leaf = bytes(members.get(path[-1], _NULL))
    if MARK in leaf:
        raise ValueError("lone surrogate")
    return leaf


def _compile(fields: Sequence[Field]) -> _Fast | None:
    """A decoder of documents and a getter of leaves, or None if two fields want the same bytes."""
    tree: _Tree = {}
    names: list[str] = []
    for index, field in enumerate(fields):
        if field.path is None:
            names.append("absent")
            continue
        *parents, last = field.path.split(".")
        here, steps = tree, []
        for segment in parents:
            below = here.setdefault(segment, {})
            if isinstance(below, int):
                return None
            steps.append(f"f{list(here).index(segment)}")
            here = below
        if last in here:
            return None
        here[last] = index
        names.append(".".join([*steps, f"f{list(here).index(last)}"]))
    return msgspec.json.Decoder(_struct(tree, fields)).decode, attrgetter(*names)


def _struct(tree: _Tree, fields: Sequence[Field]) -> type[Struct]:
    """A struct whose members f0, f1, ... are the segments of `tree`, all of them optional."""
    members: list[tuple[str, Any, Any]] = []
    for number, below in enumerate(tree.values()):
        if isinstance(below, int):
            members.append((f"f{number}", fields[below].type, None))
        else:
            nested = _struct(below, fields)
            members.append((f"f{number}", nested, nested()))
    return msgspec.defstruct(
        "Mapped",
        members,
        rename={f"f{number}": segment for number, segment in enumerate(tree)},
        namespace={"absent": None},
        frozen=True,
        gc=False,
    )
