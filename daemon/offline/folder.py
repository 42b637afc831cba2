"""The folder of a selection: all that decided it, so that the other commands can look at it.

sluice.yaml   its configuration: `sluice report last -c FOLDER/sluice.yaml`
key           the secret of its draws
recording/    the rows as records
store/        edition, pins, parts, shards
asked.json    what was asked for: a run that was stopped goes on only with the same
kept.txt      ids of the selected rows, one a line, in the order of the file
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from daemon import tables
from daemon.config.settings import Stream, period_text
from daemon.offline import results
from daemon.policy import Policy
from daemon.ports import EXIT_CONFIG, EXIT_WRITE, Fatal
from daemon.recording.writer import RECORDING


@dataclass(frozen=True, slots=True)
class Folder:
    """Where everything of a selection lies."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "sluice.yaml"

    @property
    def key(self) -> Path:
        return self.path / "key"

    @property
    def recording(self) -> Path:
        return self.path / "recording"

    @property
    def store(self) -> Path:
        return self.path / "store"

    @property
    def asked(self) -> Path:
        return self.path / "asked.json"

    @property
    def kept(self) -> Path:
        return self.path / "kept.txt"

    @property
    def recorded(self) -> bool:
        """The rows are all there."""
        return (self.recording / RECORDING).exists()

    def claim(self, asked: Any) -> None:
        """Make the folder, or find that it was made for the same. Raises Fatal."""
        data = tables.canonical(asked)
        if self.asked.exists():
            if self.asked.read_bytes() != data:
                raise Fatal(
                    f"{self.path} holds the selection of something else",
                    code=EXIT_CONFIG,
                    hint="name another folder with --out, or ask for the same again",
                )
        else:
            if self.path.exists() and not self._empty():
                hint = "name a new folder with --out"
                raise Fatal(f"{self.path} is not empty", code=EXIT_CONFIG, hint=hint)
            try:
                self.path.mkdir(0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise Fatal(f"cannot make {self.path}: {error.strerror}", code=EXIT_WRITE) from None
            results.write(self.asked, data)
        if not self.recorded:  # a recording that was not finished is none
            shutil.rmtree(self.recording, ignore_errors=True)

    def _empty(self) -> bool:
        """A folder that holds nothing, or what a run left that was killed before it had claimed."""
        started = results.spare(self.asked)
        return self.path.is_dir() and all(there == started for there in self.path.iterdir())

    def configure(self, policy: Policy, stream: Stream, key: Path, threads: int) -> None:
        """Write the configuration. JSON is YAML."""
        root = self.path.absolute()
        fixed = {
            "period": period_text(stream.period_ms),
            "grace": stream.grace,
            "label_wait": stream.label_wait,
            "lag": stream.lag,
        }
        parts = {
            "store": {"kind": "local", "options": {"path": f"{root / 'store'}"}},
            "source": {"kind": "replay", "options": {"path": f"{root / 'recording'}"}},
            "keys": {"file": f"{key.absolute()}"},
            "stream": fixed,
            "process": {"threads": threads},
            "policy": policy,
        }
        lines = [f"{name}: {msgspec.json.encode(value).decode()}" for name, value in parts.items()]
        text = "# made by `sluice select`: the other commands read it with -c\n"
        results.write(self.config, (text + "\n".join(lines) + "\n").encode())
