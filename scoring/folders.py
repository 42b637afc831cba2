"""Reading a user's folder without trusting it: no link, pipe or device is opened, no path walked.

The folder is opened once and its files through that handle, so nobody can swap it in between.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

from scoring.containers import CONVERT
from scoring.layouts import BYTES_MAX, FORMATS, check_size
from scoring.manifest import BadCheckpoint, Fault
from scoring.models.base import FormatKind

ENTRIES_MAX = 10_000
PICKLES = frozenset({".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pt2", ".pth"})
# What a trainer leaves beside safe weights; nobody opens these.
BY_PRODUCTS = ("training_args.bin", "optimizer.pt", "optimizer.bin", "scheduler.pt", "rng_state")
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe must not block us


def read_folder(path: Path) -> tuple[FormatKind, dict[str, bytes]]:
    """The files of the one format that is there. Raises BadCheckpoint."""
    with _opened(path) as folder:
        names = _names(folder)
        _refuse_pickles(names)
        kind = _format(names)
        folded = Counter(name.casefold() for name in names)
        for name in FORMATS[kind]:
            if folded[name] > 1:  # one file on a disk that ignores case
                hint = f"{name} is there twice, in different case; remove the other"
                raise BadCheckpoint(Fault.DUPLICATE_NAME, hint)
        return kind, {name: _read(folder, name) for name in FORMATS[kind]}


def ignored(path: Path) -> tuple[str, ...]:
    """Names that `read_folder` passes over, printable, ascending: for a note to the user."""
    with _opened(path) as folder:
        names = _names(folder)
        passed = set(names) - set(FORMATS[_format(names)])
        return tuple(ascii(name)[1:-1] for name in sorted(passed))


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise _unreadable("the folder", error) from None
    try:
        yield folder
    finally:
        os.close(folder)


def _names(folder: int) -> list[str]:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise _unreadable("the folder", error) from None
    if len(names) > ENTRIES_MAX:
        hint = f"{len(names)} entries; give the folder of one checkpoint"
        raise BadCheckpoint(Fault.TOO_LARGE, hint)
    return names


def _refuse_pickles(names: list[str]) -> None:
    for name in names:
        suffix = PurePath(name).suffix.casefold()
        if suffix in PICKLES and not name.startswith(BY_PRODUCTS):
            hint = f"a {suffix} file is a pickle, which runs code when it is loaded; {CONVERT}"
            raise BadCheckpoint(Fault.PICKLE, f"{hint}, and keep only these files")


def _format(names: list[str]) -> FormatKind:
    weights = {kind: next(n for n in FORMATS[kind] if _is_weights(n)) for kind in FORMATS}
    kinds = [kind for kind in FORMATS if weights[kind] in names]
    if len(kinds) > 1:
        hint = f"weights of {' and '.join(kinds)} in one folder; give each a folder of its own"
        raise BadCheckpoint(Fault.AMBIGUOUS, hint)
    if not kinds:
        hint = f"none of {', '.join(weights.values())} is in the folder"
        raise BadCheckpoint(Fault.INCOMPLETE, hint)
    missing = [name for name in FORMATS[kinds[0]] if name not in names]
    if missing:
        hint = f"format {kinds[0]} also needs {', '.join(missing)} beside {weights[kinds[0]]}"
        raise BadCheckpoint(Fault.INCOMPLETE, hint)
    return kinds[0]


def _is_weights(name: str) -> bool:
    return not name.endswith(".json")


def _read(folder: int, name: str) -> bytes:
    try:
        handle = os.open(name, _FLAGS, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP:  # what O_NOFOLLOW says of a symbolic link: open(2)
            hint = f"{name} is a link; copy the file itself (cp -L)"
            raise BadCheckpoint(Fault.NOT_REGULAR, hint) from None
        raise _unreadable(name, error) from None
    try:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            hint = f"{name} is no regular file; copy the file itself"
            raise BadCheckpoint(Fault.NOT_REGULAR, hint)
        check_size(name, before.st_size)
        with open(handle, "rb", closefd=False) as file:
            data = file.read(min(before.st_size, BYTES_MAX[name]) + 1)
        after = os.fstat(handle)
    except OSError as error:
        raise _unreadable(name, error) from None
    finally:
        os.close(handle)
    if len(data) != before.st_size or after.st_mtime_ns != before.st_mtime_ns:
        hint = f"{name} changed while it was read; wait until the trainer is done"
        raise BadCheckpoint(Fault.CHANGED, hint)
    return data


def _unreadable(what: str, error: OSError | ValueError) -> BadCheckpoint:
    code = errno.errorcode.get(getattr(error, "errno", 0) or 0, "invalid path")
    return BadCheckpoint(Fault.UNREADABLE, f"{what} cannot be read ({code}); check path and rights")
