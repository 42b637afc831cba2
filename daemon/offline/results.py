"""Writes the files that a user named: whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from daemon.ports import EXIT_WRITE, Fatal


def spare(path: Path) -> Path:
    """Where `write` puts the file before it has its name: what a killed run may leave."""
    return path.with_name(f".{path.name}~")


def write(path: Path, data: bytes) -> None:
    """The file holds `data`, durably; what stood there is replaced. Raises Fatal."""
    unnamed = spare(path)
    try:
        with open(unnamed, "wb", opener=_private) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unnamed.replace(path)
    except OSError as error:
        raise Fatal(
            f"cannot write {path}: {error.strerror}",
            code=EXIT_WRITE,
            hint="name another place with --out",
        ) from None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
