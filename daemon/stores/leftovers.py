"""Temporary files that a killed process left in a store on a disk: bytes that no name shows.

A writer has its file for moments: until it is linked to its name, and then unlinked. So what is
older than an hour is nobody's. What has been linked to a name already is not needed any more,
whoever made it, and must not outlive an erasure of that object.
"""

from __future__ import annotations

import os
from pathlib import Path

LOCK = "lock"
SECONDS = 3600.0


def left(folder: Path) -> list[os.DirEntry[str]]:
    """Files in the folder of temporaries, but for the lock. Raises OSError."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if entry.name != LOCK]
    except FileNotFoundError:
        return []


def sweep(folder: Path, now: float, same: os.stat_result | None = None) -> None:
    """Remove what is an hour old by the clock of the disk, and every other link of `same`.

    Raises OSError.
    """
    for entry in left(folder):
        try:
            found = entry.stat(follow_symlinks=False)
            if now - found.st_mtime > SECONDS or (same and os.path.samestat(found, same)):
                os.unlink(entry.path)
        except FileNotFoundError:  # its writer was alive
            continue
