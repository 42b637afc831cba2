"""One YAML file in, frozen typed structs out, or every fault of it at once.

The reader is stricter than YAML 1.1: only plain scalars, lists and mappings with unique text
keys, and the scalars of the YAML 1.2 core schema (`no` is text, `1e3` a number, 010 is refused).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from daemon.config import sanity
from daemon.config.faults import faults
from daemon.config.settings import (
    Config,
    ConfigError,
    Keys,
    Process,
    Stream,
    period_ms,
)
from daemon.policy import Policy

__all__ = ["Config", "ConfigError", "Keys", "Process", "Stream", "load", "load_policy", "parse"]

FILE_BYTES_MAX = 1 << 20
DEPTH_MAX = 16
# stands for a source that nobody opens
UNREAD: Mapping[str, Any] = {"kind": "replay", "options": {"path": "/"}}


class _Strict(yaml.SafeLoader):
    """Plain data only: no aliases (a few lines could mean gigabytes), tags, or repeated keys."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 -- as the base class has it

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None):  # of an alias, too
            raise _at(event.start_mark, "anchors and aliases are refused")
        if getattr(event, "tag", None):
            raise _at(event.start_mark, "tags (!) are refused")
        if self.depth == DEPTH_MAX:
            raise _at(event.start_mark, f"nested more than {DEPTH_MAX} deep")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise _at(key.start_mark, "a key must be text, put it in quotes")
            if key.value in seen:
                raise _at(key.start_mark, "this key was given before, one of the two would be lost")
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


# the core schema of YAML 1.2, section 10.3.2, less what nobody needs: .inf, .nan, octal, hex
for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|)$", ["~", "n", ""]),
    ("bool", r"^(?:true|false)$", list("tf")),
    ("int", r"^[-+]?(?:0|[1-9][0-9]{0,17})$", list("-+0123456789")),
    (
        "float",
        r"^[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]{0,17})(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,2})?$",
        list("-+.0123456789"),
    ),
):
    _Strict.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def load(path: Path) -> Config:
    """Read and check a configuration file. Raises ConfigError, also where it cannot be read."""
    return parse(_text(path))


def load_policy(path: Path) -> Policy:
    """The policy of a configuration, or of a file with `policy:` and nothing that it needs to
    run: no store and no source. Raises ConfigError as `load`."""
    raw = _plain(_text(path))
    if isinstance(raw, dict) and not raw.keys() & {"store", "source"}:
        raw = {**raw, "store": {"kind": "memory"}, "source": UNREAD}
    return _checked(raw).policy


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError((f"the configuration file cannot be read: {reason}",)) from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(("the configuration file is not UTF-8",)) from None


def parse(text: str) -> Config:
    """Check a whole configuration. Raises ConfigError with one line per fault."""
    return _checked(_plain(text))


def _checked(raw: Any) -> Config:
    raw = {} if raw is None else raw
    found = []
    if isinstance(raw, dict) and isinstance(raw.get("stream"), dict) and "period" in raw["stream"]:
        try:
            period = period_ms(raw["stream"]["period"])
        except ValueError as error:
            found.append(f"stream.period: {error}")
            period = 1_000
        raw = {**raw, "stream": {**raw["stream"], "period": period}}
    found += faults(raw, Config)
    if found:
        raise ConfigError(tuple(found))
    config = msgspec.convert(raw, Config)
    if senseless := tuple(sanity.faults(config)):
        raise ConfigError(senseless)
    return config


def _plain(text: str) -> Any:
    """The data of one YAML document."""
    if len(text) > FILE_BYTES_MAX:
        raise ConfigError(("the file is larger than 1 MiB, no configuration is",))
    try:
        loader = _Strict(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        # its own words, which quote single characters of the file at most
        parts = [" ".join(part.split()) for part in (error.context, error.problem) if part]
        raise _at(error.problem_mark or error.context_mark, ", ".join(parts)) from None
    except yaml.YAMLError:  # a control character, which no mark accompanies
        raise ConfigError(("the file holds characters that YAML does not allow",)) from None


def _at(mark: Any, problem: str) -> ConfigError:
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return ConfigError((where + problem,))
