"""Names of a store on a disk, in the order of all stores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from daemon.ports import Retry
from daemon.stores import is_segment


def walk(path: Path, above: str, prefix: str, after: str) -> Iterator[str]:
    """Names below `above` in bytewise order of whole names ("a-b" < "a.b" < "a/b")."""
    try:
        with os.scandir(path) as entries:
            found = sorted(above + name for name in map(_shown, entries) if name)
    except FileNotFoundError:
        if not above:
            raise Retry("the folder of the store is gone. Is its volume mounted?") from None
        return
    except OSError as error:
        raise Retry(f"the store cannot list: {os.strerror(error.errno or 0)}") from error
    for name in found:
        if name.endswith("/"):
            inside = name.startswith(prefix) or prefix.startswith(name)
            if inside and (name > after or after.startswith(name)):
                yield from walk(path / name[len(above) : -1], name, prefix, after)
        elif name.startswith(prefix) and name > after:
            yield name


def _shown(entry: os.DirEntry[str]) -> str:
    """The entry's name, a folder's with the "/" that all names in it go on with; "": not ours."""
    if not is_segment(entry.name):
        return ""
    if entry.is_dir(follow_symlinks=False):
        return entry.name + "/"
    return entry.name if entry.is_file(follow_symlinks=False) else ""
