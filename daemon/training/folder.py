"""The folder of one training: its settings, what the next epoch reads, and its checkpoints.

Everything appears whole or not at all, so a killed training goes on from its last epoch.
"""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from daemon.ports import EXIT_CONFIG, EXIT_STATE, EXIT_WRITE, Fatal

SETTINGS, STATE, RESULT, ROWS = "training.json", "state.npz", "result.json", "rows.csv"
CHECKPOINTS = "checkpoints"


class Folder:
    """Raises Fatal: EXIT_CONFIG for the folder of something else, EXIT_WRITE for a full disk."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def begin(self, settings: bytes) -> None:
        """Make the folder, or find in it the same training. Another one there is refused."""
        there = self.place / SETTINGS
        if there.is_file():
            if there.read_bytes() != settings:
                raise Fatal(
                    f"{self.place} holds another training",
                    code=EXIT_CONFIG,
                    hint="the same data and options go on with it; else name a new folder: --out",
                )
            return
        if self.place.exists() and not self._empty():
            raise Fatal(
                f"{self.place} holds something that is no training",
                code=EXIT_CONFIG,
                hint="name a new folder with --out",
            )
        self.write(SETTINGS, settings)

    def _empty(self) -> bool:
        """A folder that holds nothing, or what a run left that was killed before it had begun."""
        started = self._partial(SETTINGS)
        return self.place.is_dir() and all(there == started for there in self.place.iterdir())

    def _partial(self, name: str) -> Path:
        return self.place / f".{name}.partial"

    def state(self) -> dict[str, npt.NDArray[Any]] | None:
        """What `keep` wrote last; None before the first epoch."""
        path = self.place / STATE
        if not path.is_file():
            return None
        try:
            # by its bytes: a damaged archive would leave the file open
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
                return dict(arrays)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            hint = f"remove it, and {CHECKPOINTS}/ beside it: the training begins again"
            raise Fatal(f"{path} is damaged", code=EXIT_STATE, hint=hint) from None

    def keep(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Replace the state by that after another epoch."""
        data = io.BytesIO()
        np.savez(data, **dict[str, Any](state))
        self.write(STATE, data.getvalue())

    def write(self, name: str, data: bytes) -> None:
        """One file, whole: a reader sees the old one or the new one."""
        partial = self._partial(name)
        try:
            self.place.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.place / name)
        except OSError as error:
            raise _unwritable(self.place, error) from None

    def checkpoint(self, epoch: int, files: Mapping[str, bytes]) -> Path:
        """`checkpoints/epoch-NNN` with these files; `sluice publish --watch` sees it whole."""
        target = self.place / CHECKPOINTS / f"epoch-{epoch:03}"
        partial = target.with_name(f".{target.name}.partial")
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            for name, data in files.items():
                (partial / name).write_bytes(data)
            shutil.rmtree(target, ignore_errors=True)  # of a run that was killed after it
            partial.rename(target)
        except OSError as error:
            raise _unwritable(self.place, error) from None
        return target

    def checkpoints(self) -> list[Path]:
        """Oldest first."""
        found = (self.place / CHECKPOINTS).glob("epoch-*")
        return sorted(found, key=lambda place: (len(place.name), place.name))  # 999 before 1000


def _unwritable(place: Path, error: OSError) -> Fatal:
    hint = "free space, or name another folder with --out; the same command goes on"
    return Fatal(f"cannot write {place}: {error.strerror}", code=EXIT_WRITE, hint=hint)
