"""The folder is the registry: `kind: entropy` is the file `entropy.py` of its package.

A kind is a module with a function `build(options, *context)` and, unless it has no options, a
frozen struct `Options`. Nothing is registered anywhere else: a new kind is one new file. Modules
without `build` are helpers of their folder and no kinds.

    UnknownKind  no such file; names the nearest one
    BadOptions   the options do not fit the file's struct; names the path
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

_PLACE = re.compile(r"^(?P<why>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_FIELD = re.compile(r"unknown field `(?P<field>.*)`")


class UnknownKind(ValueError):
    """No such kind. `nearest` is the right name closest to it, or None; `available` has all."""

    def __init__(self, kind: str, nearest: str | None, available: tuple[str, ...]) -> None:
        hint = f"did you mean {nearest!r}? " if nearest else ""
        super().__init__(f"unknown kind {kind!r}: {hint}available: {', '.join(available)}")
        self.kind, self.nearest, self.available = kind, nearest, available


class BadOptions(ValueError):
    """The options of a kind are wrong at `path` (dotted, from `options`)."""

    def __init__(self, kind: str, path: str, why: str) -> None:
        super().__init__(f"{kind}: {path}: {why}")
        self.kind, self.path, self.why = kind, path, why


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a kind without an `Options` struct of its own takes."""


def names(package: str) -> tuple[str, ...]:
    """Every kind of a package, sorted.

    The files are read, not imported: the menu must not need torch, nor any other library that
    only one kind of the folder needs. Raises ModuleNotFoundError if there is no such package.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"no package {package!r}", name=package)
    folders = [Path(place) for place in spec.submodule_search_locations]
    files = {file for folder in folders for file in folder.glob("*.py")}
    return tuple(sorted({file.stem for file in files if _builds(file)}))


@lru_cache(maxsize=64)
def module(package: str, kind: str) -> ModuleType:
    """The file of a kind whose `build` takes no options. Raises UnknownKind, ImportError."""
    available = names(package)
    if kind not in available:
        raise UnknownKind(kind, _nearest(kind, available), available)
    return importlib.import_module(f"{package}.{kind}")


def load(package: str, kind: str, options: Mapping[str, Any], *context: object) -> object:
    """Build one kind: `<package>.<kind>.build(Options, *context)`.

    Raises UnknownKind, BadOptions, and ImportError where the kind needs a library that is not
    installed. What `build` itself raises passes through.
    """
    file = module(package, kind)
    shape: type[msgspec.Struct] = getattr(file, "Options", NoOptions)
    try:
        decoded = msgspec.convert(dict(options), shape)
    except msgspec.ValidationError as error:
        raise _bad_options(kind, shape, str(error)) from None
    built: object = file.build(decoded, *context)
    return built


def _builds(file: Path) -> bool:
    """Whether the file defines `build` at its top level."""
    body = ast.parse(file.read_bytes(), filename=str(file)).body
    return any(isinstance(node, ast.FunctionDef) and node.name == "build" for node in body)


def _nearest(word: str, right: Iterable[str]) -> str | None:
    found = difflib.get_close_matches(word.lower(), list(right), n=1, cutoff=0.5)
    return found[0] if found else None


def _bad_options(kind: str, shape: type[msgspec.Struct], message: str) -> BadOptions:
    """Split msgspec's "why - at `$.a.b`" and name the nearest field where one is unknown."""
    place = _PLACE.match(message)
    assert place is not None  # the pattern matches every string
    why, inside = place["why"], place["path"]
    unknown = _FIELD.search(why)
    if unknown and not inside:
        fields = [field.name for field in msgspec.structs.fields(shape)]
        near = _nearest(unknown["field"], fields)
        right = f"did you mean {near!r}?" if near else f"fields: {', '.join(fields) or 'none'}"
        return BadOptions(kind, f"options.{unknown['field']}", f"unknown field, {right}")
    return BadOptions(kind, f"options.{inside}" if inside else "options", why)
