"""An outlet that appends JSON lines to a file, for who ships files or wants to look.

A line is {"key": K, "headers": [[NAME, H], ...], "value": V}. K, H and V are text, or
{"base64": "..."} of bytes that are no UTF-8; V may be null. A process that dies while it writes
leaves half a line at most, and the next one begins a new line: readers pass over what is no JSON.
The file may be rotated by a rename: what is flushed after it goes to a new file.
"""

from __future__ import annotations

import base64
import errno
import os
import stat
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from daemon.ports import EXIT_WRITE, Fatal, Message, Outlet, Retry

# what no repetition heals
_NEVER = (errno.EROFS, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP)


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """`path`: of the file; its folder exists. `buffer_bytes`: held until a flush."""

    path: Annotated[str, Meta(min_length=1, max_length=4096)]
    buffer_bytes: Annotated[int, Meta(ge=1, le=1 << 30)] = 1 << 22


def build(options: Options) -> Outlet:
    """The outlet to `options.path`. Nothing is opened before the first flush."""
    return FileOutlet(options)


class FileOutlet:
    """Lines that were sent since the last flush, and the file that they go to."""

    def __init__(self, options: Options) -> None:
        self._path, self._most = Path(options.path), options.buffer_bytes
        self._lines: list[bytes] = []
        self._bytes = 0
        self._file = -1  # descriptor

    def send(self, message: Message) -> None:
        line = _line(message)
        if self._lines and self._bytes + len(line) > self._most:
            self.flush()
        self._lines.append(line)
        self._bytes += len(line)

    def flush(self) -> None:
        lines = b"".join(self._lines)
        self._forget()
        try:
            if self._rotated():
                self._reopen()
            if lines:
                self._append(lines)
        except OSError as error:
            self._shut()
            what = f"the file of an outlet cannot be written: {os.strerror(error.errno or 0)}"
            if error.errno in _NEVER:
                hint = "outlet.options.path must lie in a folder that this user may write to"
                raise Fatal(what, code=EXIT_WRITE, hint=hint) from None
            raise Retry(what) from None

    def close(self) -> None:
        self._forget()
        self._shut()

    def _forget(self) -> None:
        self._lines.clear()
        self._bytes = 0

    def _shut(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _rotated(self) -> bool:
        """True: the path names another file than the one that is open, or none."""
        if self._file < 0:
            return True
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(self._file))
        except FileNotFoundError:
            return True

    def _reopen(self) -> None:
        self._shut()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        self._file = os.open(self._path, flags, 0o600)
        status = os.fstat(self._file)
        if not stat.S_ISREG(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, "no regular file")
        size = status.st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            self._append(b"\n")  # somebody died in the middle of a line
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _append(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        # after an error nobody knows what is on the disk: the file is opened anew (fsyncgate)
        os.fsync(self._file)


def _line(message: Message) -> bytes:
    headers = [(name, _text(value)) for name, value in message.headers]
    value = None if message.value is None else _text(message.value)
    return msgspec.json.encode(
        {"key": _text(message.key), "headers": headers, "value": value}
    ) + b"\n"  # fmt: skip


def _text(data: bytes) -> str | dict[str, str]:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}
