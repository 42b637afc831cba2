"""The configuration explains itself: all defaults as commented YAML, and a JSON schema.

Both are made from the structs alone, so neither can tell anything else than what is checked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from daemon.config.settings import PERIOD, Config, Stream, period_text
from daemon.policy import Kind
from scoring.kinds import names

EXAMPLE = Config(
    store=Kind("local", {"path": "/var/lib/sluice/store"}),
    source=Kind("replay", {"path": "/var/lib/sluice/recording"}),
)
PLAIN = re.compile(r"^[A-Za-z/][A-Za-z0-9_./-]*$")  # needs no quotes in YAML
FOLDERS: Mapping[str, str] = {  # of the kinds that a field chooses from
    "store": "daemon.stores",
    "source": "daemon.sources",
    "outlet": "daemon.outlets",
    "scores": "scoring.scores",
    "select": "scoring.policies",
    "reservoir": "buffers",
    "kind": "scoring.models",  # of policy.engine: other kinds stand on the line of their field
}
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def show() -> str:
    """YAML of every default, each with what it means and may be. Parses back to `EXAMPLE`."""
    return "\n".join(_struct_lines(EXAMPLE, 0)) + "\n"


def schema() -> dict[str, Any]:
    """JSON schema (2020-12) of the file, for editors and for the chart's values."""
    made = msgspec.json.schema(Config)
    stream = made["$defs"]["Stream"]["properties"]
    default = period_text(Stream().period_ms)
    stream["period"] = {  # the one field whose form in the file is not its form in the struct
        "description": stream["period"]["description"],
        "anyOf": [
            {"type": "string", "pattern": PERIOD.pattern},
            {"type": "integer", "minimum": 1},
        ],
        "default": default,
    }
    made["$defs"]["Config"]["properties"]["stream"]["default"]["period"] = default
    return {"$schema": DIALECT, "title": "Sluice", **made}


def _struct_lines(struct: Struct, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for line in (type(struct).__doc__ or "").strip().splitlines():
        yield f"{indent}# {line.strip()}".rstrip()
    after_block = False
    for field in msgspec.structs.fields(type(struct)):
        value = getattr(struct, field.name)
        if value is msgspec.UNSET:  # not there until somebody sets it
            yield f"{indent}# {field.encode_name}: {'; '.join(_notes(field.type))}"
            continue
        block = isinstance(value, Struct) and not isinstance(value, Kind)
        if block or after_block:
            yield ""
        after_block = block
        if block:
            yield f"{indent}{field.encode_name}:"
            yield from _struct_lines(value, depth + 1)
            continue
        text = period_text(value) if field.name == "period_ms" else flow(value)
        notes = list(_notes(field.type))
        if value is not None and type(None) in get_args(field.type):
            notes.append("or null")
        if folder := FOLDERS.get(field.encode_name):
            notes.append(f"kinds: {', '.join(names(folder))}")
        if field.required:
            notes.append("required")
        yield f"{indent}{field.encode_name}: {text}" + (f"  # {'; '.join(notes)}" if notes else "")


def flow(value: object) -> str:
    """A value on one line of YAML."""
    if isinstance(value, Kind):
        value = {"kind": value.kind, **({"options": value.options} if value.options else {})}
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    if isinstance(value, str) and PLAIN.match(value) and value not in {"true", "false", "null"}:
        return value
    return json.dumps(value)  # JSON's scalars are YAML's


def _notes(wanted: Any) -> Iterator[str]:
    """What a type says of the values it allows, in words."""
    origin, parts = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        metas = [part for part in parts[1:] if isinstance(part, Meta)]
        yield from (meta.description for meta in metas if meta.description)
        yield from (note for meta in metas if (note := _range(meta)))
        yield from _notes(parts[0])
    elif origin is Literal and len(parts) > 1:
        yield f"one of {', '.join(map(str, parts))}"
    elif origin in {Union, UnionType}:
        yield from (note for part in parts for note in _notes(part))
        if any(get_origin(part) is Literal for part in parts) and len(parts) > 1:
            yield "or other text"
    elif origin is tuple:
        yield from (f"each {note}" for note in _notes(parts[0]))


def _range(meta: Meta) -> str:
    if meta.ge is None:
        return ""
    return f"at least {meta.ge:.12g}" if meta.le is None else f"{meta.ge:.12g} to {meta.le:.12g}"
