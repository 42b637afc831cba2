"""What `sluice config check` sees at the paths that a configuration names, on this machine.

A file is often checked elsewhere than where it runs. So what is only missing here, or closed to
this user, is noted; what is there and could be used by nobody is a fault.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from daemon.config import keyfile
from daemon.config.sanity import folders
from daemon.config.settings import Config, ConfigError
from daemon.ports import EXIT_CONFIG, EXIT_STATE, EXIT_WRITE

FIRST: Mapping[str, str] = {"replay": "recording.json"}  # kind of source -> what opens its folder


class Seen(NamedTuple):
    """One line, `path.to.key: what is there, what it would cause`."""

    line: str
    fault: bool


def look(config: Config, environment: Mapping[str, str]) -> Iterator[Seen]:
    """Lines for every path; none where all is well. Nothing is written."""
    for key, folder in folders(config.store, "store"):
        yield from _written(key, Path(folder))
    for key, folder in folders(config.source, "source"):
        yield from _read(key, Path(folder), FIRST.get(config.source.kind, ""))
    for key, path in _files(config.source.options, "source.options"):
        yield from _file(key, Path(path))
    yield from _key(config, environment)


def _files(options: Mapping[str, object], key: str) -> Iterator[tuple[str, str]]:
    """What options name as `..._file`, at any depth: secrets and certificates."""
    for name, value in options.items():
        if isinstance(value, dict):
            yield from _files(value, f"{key}.{name}")
        elif name.endswith("_file") and isinstance(value, str):
            yield f"{key}.{name}", value


def _file(key: str, path: Path) -> Iterator[Seen]:
    """Never repeats the path: a secret may have been put in its place."""
    if not os.path.exists(path):
        yield Seen(f"{key}: is not there: {_ends(EXIT_CONFIG)}", False)
    elif not os.path.isfile(path):
        yield Seen(f"{key}: is no regular file", True)
    elif not _may(path, os.R_OK):
        yield Seen(f"{key}: cannot be read by this user: {_ends(EXIT_CONFIG)}", False)


def _written(key: str, folder: Path) -> Iterator[Seen]:
    there = next(path for path in (folder, *folder.parents) if os.path.exists(path))
    if not os.path.isdir(there):
        yield Seen(f"{key}: {_name(there)} is no folder, no store can be made in its place", True)
    elif not _may(there, os.R_OK | os.W_OK | os.X_OK):
        verb = "write" if there == folder else f"make {_name(folder)} in"
        yield Seen(f"{key}: this user cannot {verb} {_name(there)}: {_ends(EXIT_WRITE)}", False)
    elif there != folder:
        yield Seen(f"{key}: {_name(folder)} is not there yet, it will be made", False)


def _read(key: str, folder: Path, first: str) -> Iterator[Seen]:
    name = _name(folder)
    if not os.path.exists(folder):
        yield Seen(f"{key}: {name} is not there: {_ends(EXIT_STATE)}", False)
    elif not os.path.isdir(folder):
        yield Seen(f"{key}: {name} is no folder, so nothing can be read from it", True)
    elif not _may(folder, os.R_OK | os.X_OK):
        yield Seen(f"{key}: this user cannot read {name}: {_ends(EXIT_STATE)}", False)
    elif first and not _may(folder / first, os.R_OK):
        yield Seen(f"{key}: {name} holds no {first} to be read: {_ends(EXIT_STATE)}", False)


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=True)


def _name(path: Path) -> str:
    """On one line, whatever it is."""
    return str(path) if str(path).isprintable() else "it"


def _key(config: Config, environment: Mapping[str, str]) -> Iterator[Seen]:
    try:
        path = keyfile.find(config.keys, environment)
    except ConfigError as error:
        yield Seen(f"{error}: {_ends(EXIT_CONFIG)}", False)
        return
    try:
        keyfile.read(path)
    except ConfigError as error:  # it names the path only where that cannot be the secret
        yield Seen(f"{error}: {_ends(EXIT_CONFIG)}", _may(path, os.R_OK))


def _ends(code: int) -> str:
    return f"here, `sluice run` would end with {code}"
