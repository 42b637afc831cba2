"""A store on a disk: create is link(2) of an fsynced temporary file (law 6).

    write .tmp~/x, fsync -> link to the name (EEXIST: somebody was first) -> unlink, fsync folder

rename(2) would replace silently, and a check before it races; link refuses, on NFS too. Only efface
renames, under a lock, over what it has compared. No name can contain "~": what a crash leaves in
`.tmp~` is never listed or read. No link is followed below the root.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from daemon.ports import Missing, Retry, Store
from daemon.stores import NO_OBJECT, check_name, disk_errors, leftovers
from daemon.stores.walking import walk

_TEMPORARY, _LOCK = ".tmp~", leftovers.LOCK
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """`path`: folder of the store; made, for its owner alone, where it does not exist."""

    path: Annotated[str, Meta(min_length=1)]


def build(options: Options) -> Store:
    """The store in `options.path`. Raises Fatal or Retry where the folder cannot be made."""
    root = Path(options.path).absolute()
    with disk_errors():
        missing = [folder for folder in (root, *root.parents) if not folder.exists()]
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in missing:
            handle = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(handle)
            os.close(handle)
    store = LocalStore(root)
    with suppress(OSError, Retry):  # a store may be there to be read only
        store.sweep()
    return store


class LocalStore:
    """Objects are files of mode 0600 in folders of mode 0700, whatever the umask."""

    def __init__(self, root: Path) -> None:
        self._root = root
        # Folders known to be on the disk: another process may have died before its fsync.
        self._durable: set[tuple[str, ...]] = set()

    def create(self, name: str, data: bytes) -> bool:
        *folders, last = check_name(name)
        with disk_errors(), self._folder(tuple(folders), make=True) as folder:
            created = _mode(folder, last) == 0 and self._link(folder, last, data)
            if not stat.S_ISREG(_mode(folder, last)):
                raise OSError(errno.ENOTDIR, "not an object")
            # Also for who comes second: the first may be between its link and its fsync, and what
            # we build on its object must not outlive it.
            os.fsync(folder)
        return created

    def efface(self, name: str, before: bytes, stub: bytes) -> bool:
        *folders, last = check_name(name)
        self.get(name)  # before its folder is asked for
        with disk_errors(), self._folder(tuple(folders), make=False) as folder, self._alone():
            found = self.get(name)
            if found == before != stub:
                with self._temporary(stub) as path:
                    own = os.stat(last, dir_fd=folder, follow_symlinks=False)
                    leftovers.sweep(self._root / _TEMPORARY, os.stat(path).st_mtime, own)
                    os.rename(path, last, dst_dir_fd=folder)
            os.fsync(folder)
        return found in (before, stub)

    def sweep(self) -> None:
        """Remove what killed processes left. Raises OSError and Retry."""
        if leftovers.left(self._root / _TEMPORARY):
            with self._temporary(b"") as path:
                leftovers.sweep(self._root / _TEMPORARY, os.stat(path).st_mtime)

    def get(self, name: str) -> bytes:
        *folders, last = check_name(name)
        try:
            with (
                self._folder(tuple(folders), make=False) as folder,
                open(last, "rb", opener=partial(_open_entry, folder)) as file,
            ):
                if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    return file.read()
        except OSError as error:
            if error.errno not in NO_OBJECT:
                raise Retry(f"the store cannot read: {os.strerror(error.errno or 0)}") from error
        raise Missing(name)

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        return walk(self._root, "", prefix, after)

    def _link(self, folder: int, last: str, data: bytes) -> bool:
        """True: `data` has the name, durably but for the folder."""
        with self._temporary(data) as path, suppress(FileExistsError):
            os.link(path, last, dst_dir_fd=folder, follow_symlinks=False)
            return True
        return False

    @contextmanager
    def _temporary(self, data: bytes) -> Iterator[str]:
        """A file of these bytes, durable but for its name. A failed fsync may have lost its pages
        and say nothing the next time (fsyncgate, 2018): another attempt starts with a new one.
        """
        with self._folder((_TEMPORARY,), make=True):
            handle, path = tempfile.mkstemp(dir=self._root / _TEMPORARY)
            try:
                with open(handle, "wb", buffering=0) as file:
                    os.fchmod(file.fileno(), 0o600)
                    view = memoryview(data)
                    while view:
                        view = view[os.write(file.fileno(), view) :]
                    os.fsync(file.fileno())
                yield path
            finally:
                with suppress(OSError):  # it is invisible; the first error matters more
                    os.unlink(path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Of all processes that efface: a lock (flock(2), also over NFS) that a death lets go."""
        with (
            self._folder((_TEMPORARY,), make=True) as folder,
            open(_LOCK, "wb", opener=partial(_open_entry, folder)) as lock,
        ):
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _folder(self, path: tuple[str, ...], *, make: bool) -> Iterator[int]:
        """A descriptor of the folder, reached without following links; made where asked to."""
        try:
            handle = os.open(self._root, _FOLDER & ~os.O_NOFOLLOW)
        except FileNotFoundError:  # an unmounted volume must not look like an empty store
            raise Retry("the folder of the store is gone. Is its volume mounted?") from None
        try:
            for depth, part in enumerate(path, start=1):
                if make:
                    self._make(handle, part, path[:depth])
                above, handle = handle, os.open(part, _FOLDER, dir_fd=handle)
                os.close(above)
            yield handle
        finally:
            os.close(handle)

    def _make(self, above: int, part: str, path: tuple[str, ...]) -> None:
        with suppress(FileExistsError):
            os.mkdir(part, 0o700, dir_fd=above)
            os.chmod(part, 0o700, dir_fd=above)  # the umask had its say in mkdir
            self._durable.discard(path)
        if path not in self._durable:
            os.fsync(above)
            self._durable.add(path)


def _open_entry(folder: int, name: str, flags: int) -> int:
    return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)


def _mode(folder: int, name: str) -> int:
    """Mode bits of what has the name, links not followed; 0 where nothing has it."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return 0
