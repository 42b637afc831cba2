"""Reads recordings (see writer.py): what they hold, and each lane forward from anywhere.

Whatever is wrong with one is Fatal with EXIT_STATE and names the file, never its content.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from daemon.ports import Closing, LaneId, LaneInfo
from daemon.recording.lanefile import Columns, FileReader, JsonLines, refuse
from daemon.recording.lanetable import ParquetRows
from daemon.recording.topics import look
from daemon.recording.writer import CLOSINGS, FORMATS, RECORDING, REGISTRY, Manifest, Topic

_NUMBERED = re.compile(rf"([0-9]+)\.({'|'.join(map(re.escape, FORMATS))})")
_CLOSED_BY = frozenset({"record", "evidence", "end", "operator"})
_JSON_MAX = 256 << 20  # bytes of recording.json and closings.json
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """An opened recording. `closings`: of every lane where the run's cuts are to be obeyed."""

    folder: Path
    lanes: dict[LaneId, LaneInfo]
    open_topics: frozenset[str]
    closings: dict[LaneId, tuple[Closing, ...]] | None

    @property
    def registry(self) -> Path | None:
        """Folder with the genesis, editions and pins of the run; a local store's root."""
        path = self.folder / REGISTRY
        return path if path.is_dir() else None

    def complete(self, lane: LaneId) -> bool:
        """True once nothing can be appended. Looked at before a read, it holds for that read."""
        if lane.topic not in self.open_topics:
            return True
        stem = f"{lane.partition:05d}"
        names = [stem, *(f"{stem}.{form}" for form in FORMATS)]
        return any((self.folder / lane.topic / f"{name}.end").exists() for name in names)

    def files(self, lane: LaneId) -> tuple[Path, ...]:
        """The lane's files in order; those of an open lane as of now. Fatal for holes."""
        stem = self.folder / lane.topic / f"{lane.partition:05d}"
        single = [path for form in FORMATS if (path := Path(f"{stem}.{form}")).is_file()]
        if stem.is_dir() and not single:
            return _numbered(stem)
        if len(single) > 1 or (single and stem.is_dir()):
            refuse(stem, "exists in more than one format")
        if not single and lane.topic not in self.open_topics:
            refuse(stem, "is missing in every format")
        return tuple(single)


def open_recording(folder: Path) -> Recording:
    """What the folder says it holds. Lane files are looked at when they are read."""
    path = folder / RECORDING
    look(path, _decode(path, dict[str, object]))
    topics = _decode(path, Manifest).topics
    if max(Counter(topic.topic for topic in topics).values()) > 1:
        refuse(path, "names a topic twice")
    if any(topic.starts and len(topic.starts) != topic.partitions for topic in topics):
        refuse(path, "needs a start for each partition, or none")
    opened = frozenset(topic.topic for topic in topics if not topic.complete)
    lanes = {info.lane: info for topic in topics for info in _infos(topic)}
    closings = _closings(folder / CLOSINGS, lanes)
    if closings is not None:
        if opened:
            refuse(folder / CLOSINGS, "cannot cut lanes that are still open")
        for lane, cuts in closings.items():
            if cuts:
                lanes[lane] = lanes[lane]._replace(start=cuts[0].start)
    return Recording(folder, lanes, opened, closings)


class LaneReader:
    """One lane across its files, forward from where it was sought. Holds no more than a piece."""

    def __init__(self, recording: Recording, lane: LaneId, block_bytes: int) -> None:
        self.ended = False  # nothing follows what was read
        self._recording, self._lane, self._block = recording, lane, block_bytes
        self._file: FileReader | None = None
        self._begins = [0]  # position at the begin of each file that was reached so far
        self._at, self._target = -1, 0

    def seek(self, position: int) -> None:
        """Go on with the first record at or after the position: read again what is before it."""
        self.close()
        known = sum(begin <= position for begin in self._begins)
        self._at, self._target = max(known, 1) - 2, position
        self.ended = False

    @property
    def position(self) -> int:
        """One past the last record read or passed over."""
        return self._file.position if self._file is not None else self._begins[self._at + 1]

    def read(self) -> Columns | None:
        """The next records; None: there are none now, and none ever if `ended`."""
        while True:
            columns = None if self._file is None else self._file.read(final=False)
            if columns is None:
                # First what may still come, then one more look: nothing falls between the two.
                complete = self._recording.complete(self._lane)
                files = self._recording.files(self._lane)
                last = self._at + 1 >= len(files)
                if self._file is not None:
                    columns = self._file.read(final=complete or not last)
                if columns is None and last:
                    self.ended = complete
                    return None
                if columns is None:
                    self._open(files[self._at + 1])
                    continue
            first = int(np.searchsorted(columns.positions, self._target))
            if first == 0:
                return columns
            if first < len(columns.positions):
                positions, times, values = columns
                return Columns(positions[first:], times[first:], values[first:])

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, path: Path) -> None:
        begin = self.position
        self.close()
        self._at += 1
        self._begins[self._at :] = [begin]
        if path.suffix == ".parquet":
            self._file = ParquetRows(path, begin, self._target)
        else:
            self._file = JsonLines(path, begin, self._block)


def _infos(topic: Topic) -> list[LaneInfo]:
    starts = topic.starts or (0,) * topic.partitions
    return [
        LaneInfo(LaneId(topic.topic, number), topic.kind, topic.topic_id, start)
        for number, start in enumerate(starts)
    ]


def _numbered(folder: Path) -> tuple[Path, ...]:
    found: dict[int, Path] = {}
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue  # a file on its way
        match = _NUMBERED.fullmatch(path.name)
        if match is None or int(match[1]) in found:
            refuse(folder, "holds a file that is not numbered, or two of one number")
        found[int(match[1])] = path
    numbers = sorted(found)
    if numbers and numbers[-1] - numbers[0] + 1 != len(numbers):
        refuse(folder, "lacks a file between two numbers")
    return tuple(found[number] for number in numbers)


def _decode(path: Path, kind: type[T]) -> T:
    try:
        if path.stat().st_size > _JSON_MAX:
            refuse(path, "is too large")
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        refuse(path, "is missing")
    except (OSError, msgspec.MsgspecError, RecursionError):
        refuse(path, "is not what it should be")


def _closings(
    path: Path, lanes: dict[LaneId, LaneInfo]
) -> dict[LaneId, tuple[Closing, ...]] | None:
    if not path.exists():
        return None
    names = {str(lane): lane for lane in lanes}
    found = _decode(path, dict[str, tuple[Closing, ...]])
    if not found.keys() <= names.keys():
        refuse(path, "names a lane that is not recorded")
    for cuts in found.values():
        for cut in cuts:
            if cut.through < cut.window or cut.end < cut.start or cut.closed_by not in _CLOSED_BY:
                refuse(path, "has a cut that cannot be")
        for one, two in pairwise(cuts):
            if two.start != one.end or two.window != one.through + 1:
                refuse(path, "has cuts that do not follow each other")
    return {lane: found.get(name, ()) for name, lane in names.items()}
