"""All that is wrong with a value under a struct, each as one line for the person who wrote it.

msgspec stops at the first fault and speaks of types; this walks on and speaks of keys. Values of
the file are never repeated, except numbers: a secret may have been pasted into the wrong place.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Struct, UnsetType

from daemon.policy import Kind

NOUNS: Mapping[str, str] = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "null": "null",
    "array": "a list",
    "object": "a mapping",
}
BOUND = re.compile(r"^Expected `.*?` (>=|<=|>|<) (\S+?)( - at .*)?$")
LENGTH = re.compile(r"^Expected `\w+` of length (>=|<=) (\d+)")
PATTERN = re.compile(r"^Expected `str` matching regex '(.*?)'( - at .*)?$")
TYPES = re.compile(r"^Expected `([\w |]+)`, got")
BOUNDS: Mapping[str, str] = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}


def nearest(name: str, names: Iterable[str]) -> str:
    """`; did you mean X?`, or nothing where no name is near."""
    close = difflib.get_close_matches(name.lower(), list(names), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def faults(value: object, wanted: Any, path: str = "") -> Iterator[str]:
    """Every fault of plain data (from YAML) under a type: structs, tuples and dicts are walked."""
    kind = _bare(wanted)
    if value is not None and (below := _optional(kind)) is not None:
        kind = below
    origin = get_origin(kind)
    if isinstance(kind, type) and issubclass(kind, Struct):
        yield from _struct_faults(value, kind, path)
    elif origin is tuple and isinstance(value, list):
        for i, item in enumerate(value):
            yield from faults(item, get_args(kind)[0], f"{path}[{i}]")
    elif origin is dict and isinstance(value, dict):
        for key, item in value.items():
            yield from faults(item, get_args(kind)[1], f"{path}.{_shown(key)}")
    else:
        try:
            msgspec.convert(value, wanted)
        except msgspec.ValidationError as error:
            yield f"{path}: {_reword(str(error), value, wanted)}"


def _struct_faults(value: object, kind: type[Struct], path: str) -> Iterator[str]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    if not isinstance(value, dict):
        hint = "; leave the key out to get its defaults" if path else ""
        hint = "; write {kind: NAME}" if kind is Kind else hint
        found = "nothing" if value is None else _found(value)
        yield f"{path or 'the file'}: expected a mapping, found {found}{hint}"
        return
    prefix = f"{path}." if path else ""
    for key in value:
        if key not in fields:
            near = nearest(key, fields)
            yield f"{prefix}{_shown(key)}: unknown key, it would change nothing{near}"
    for name, field in fields.items():
        if name in value:
            yield from faults(value[name], field.type, prefix + name)
        elif field.required:
            yield f"{prefix}{name}: is missing and has no default"


def _shown(key: str) -> str:
    """A key on one line, whatever it is."""
    return key[:64] if key.isprintable() else "(unprintable)"


def _bare(wanted: Any) -> Any:
    return get_args(wanted)[0] if get_origin(wanted) is Annotated else wanted


def _optional(kind: Any) -> type[Struct] | None:
    """The struct of `Struct | None`, or of one that may be left out."""
    parts = [part for part in get_args(kind) if part not in {type(None), UnsetType}]
    union = get_origin(kind) in {Union, UnionType}
    below = parts[0] if union and len(parts) == 1 else None
    return below if isinstance(below, type) and issubclass(below, Struct) else None


def _choices(wanted: Any) -> list[str | int]:
    """What a type lets one choose from, nothing where it is no closed choice."""
    kind = _bare(wanted)
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    if get_origin(kind) in {Union, UnionType}:
        return [name for part in get_args(kind) for name in _choices(part)]
    return []


def _found(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:.12g}" if isinstance(value, float) or abs(value) > 10**12 else str(value)
    if isinstance(value, str):
        return "text"
    return "a mapping" if isinstance(value, dict) else "a list"


def _reword(message: str, value: object, wanted: Any) -> str:
    """What a validation message says, in the words of somebody who writes YAML."""
    choices = _choices(wanted)
    if choices and (message.startswith("Invalid enum value") or isinstance(value, bool | int)):
        known = [str(choice) for choice in choices]
        what = f"expected one of {', '.join(known)}" if known[1:] else f"can only be {known[0]}"
        if isinstance(value, str):
            return what + nearest(value, known)
        quoted = _hint(value, "str") if isinstance(choices[0], str) else ""
        return f"{what}, found {_found(value)}{quoted}"
    if match := BOUND.match(message):
        return f"must be {BOUNDS[match[1]]} {match[2].removesuffix('.0')}, found {_found(value)}"
    if match := LENGTH.match(message):
        return f"must be {BOUNDS[match[1]]} {match[2]} characters long"
    if match := TYPES.match(message):
        names = match[1].split(" | ")
        nouns = " or ".join(NOUNS.get(name, name) for name in names)
        return f"expected {nouns}, found {_found(value)}{_hint(value, names[0])}"
    if match := PATTERN.match(message):
        pattern = match[1].replace("\\\\", "\\")  # msgspec shows a literal
        return f"must match the pattern {pattern}"
    return f"does not fit, found {_found(value)}"


def _hint(value: object, name: str) -> str:
    """How to write what was probably meant, where one can tell."""
    if name == "str" and isinstance(value, bool | int | float):
        return "; put it in quotes"
    if name in {"int", "float"} and isinstance(value, str) and value[:1].isdigit():
        return "; write digits, without quotes, leading zeros or underscores"
    if name == "int" and isinstance(value, float) and value.is_integer():
        return "; write it as a whole number"
    if name == "bool" and isinstance(value, str) and value.lower() in {"yes", "no", "on", "off"}:
        return "; write true or false"
    if name == "array":
        return "; put it in [brackets]"
    return ""
