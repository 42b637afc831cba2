"""The edges of the daemon as protocols, and the value types that cross them.

Errors are named by what the caller does:

    Refusal (scoring.types)  a value: count it, dead-letter it, go on
    Retry                    again, bounded: the world may heal
    Fatal                    exit with its code; the message ends with a hint
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]

EXIT_OK, EXIT_CONFIG, EXIT_DEPENDENCY, EXIT_BUG, EXIT_WRITE, EXIT_STATE = 0, 64, 69, 70, 73, 78


class Retry(Exception):
    """The caller may do the same thing again later (a store that times out, say)."""


class Fatal(Exception):
    """The process must end: `code` is one of the EXIT_ values, `hint` says what to do."""

    def __init__(self, message: str, *, code: int, hint: str = "") -> None:
        super().__init__(f"{message}. {hint}" if hint else message)
        self.code = code


class CannotRun(Fatal):
    """An edition that this image or machine cannot run: its lanes wait for another replica."""


class Missing(KeyError):
    """`Store.get` of a name that does not exist."""


class LaneId(NamedTuple):
    """One partition of one topic, named the same in rows, digests and object names."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


class LaneInfo(NamedTuple):
    """What a source knows of a lane before reading it. `kind`: utterances, labels or erasures."""

    lane: LaneId
    kind: str
    topic_id: str
    start: int  # first position


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Consecutive records of one lane. Columns of length n; positions ascend, gaps allowed."""

    lane: LaneId
    positions: Int64s
    times_ms: Int64s  # append times as recorded; not monotone
    values: list[bytes | None]


class Hole(NamedTuple):
    """Positions [first, end) of a lane whose records nobody can read any more."""

    lane: LaneId
    first: int
    end: int
    cause: str  # "retention": deleted before they were read | "corrupt": wrong checksum


@dataclass(frozen=True, slots=True, eq=False)
class Polled:
    """One answer of a source. A batch of a lane in `lost` never follows in the same answer.

    `holes` lie before the batches of their lane. `positions`: where lanes stand after this answer,
    for those that stand beyond their last record (a log also holds what is no record: markers of
    transactions, what was aborted or compacted).
    """

    batches: tuple[Batch, ...]
    gained: tuple[LaneId, ...] = ()
    lost: tuple[LaneId, ...] = ()
    holes: tuple[Hole, ...] = ()
    positions: Mapping[LaneId, int] = field(default_factory=dict)


class Closing(NamedTuple):
    """How a recorded run cut a lane: records in [start, end) belonged to `window`.

    The part covers windows `window..through`; `time_ms` is the lane time that it states.
    """

    window: int
    through: int
    start: int
    end: int
    time_ms: int
    closed_by: str  # "record" | "evidence" | "end" | "operator"


class Source(Protocol):
    """Where records come from. Called from the loop's thread only.

    Nothing is ours until a poll says that it is gained, and a gained lane is sought before its
    first record. Usual mistake: to deliver records of a paused lane that were fetched before the
    pause (they must be held, not lost).
    """

    @property
    def trouble(self) -> str:
        """What keeps records from coming, in a line without secrets; "" where nothing does."""

    def lanes(self) -> tuple[LaneInfo, ...]:
        """Every lane of the stream, ours or not, as last seen."""

    def first_times(self) -> dict[LaneId, int]:
        """Append time in ms of the first record of each lane that has one. Raises Retry."""

    def poll(self, limit: int) -> Polled:
        """Up to `limit` records in all; never blocks long. Raises Retry or Fatal."""

    def seek(self, lane: LaneId, position: int) -> None: ...
    def pause(self, lane: LaneId) -> None: ...
    def resume(self, lane: LaneId) -> None: ...

    def end(self, lane: LaneId) -> int | None:
        """The end offset, fetched now: None while it cannot be known (open transaction)."""

    def finished(self, lane: LaneId) -> bool:
        """True when no record can ever follow the end (a recorded lane that is complete)."""

    def closings(self, lane: LaneId) -> tuple[Closing, ...] | None:
        """The cuts to obey, or None where the run must find its own."""

    def commit(self, positions: dict[LaneId, int]) -> None:
        """Advisory: lag and autoscaling read it, resume never does."""

    def close(self) -> None: ...


class Store(Protocol):
    """Create-once objects by name ("parts/t/00000/000000000012.parquet"): law 6.

    Names match [A-Za-z0-9._-]+ segments joined by "/", none of them "." or ".."; others raise
    ValueError. A reader sees a whole object or none.
    """

    def create(self, name: str, data: bytes) -> bool:
        """True: created and durable. False: the name exists already (and was left as it is)."""

    def get(self, name: str) -> bytes:
        """Raises Missing."""

    def efface(self, name: str, before: bytes, stub: bytes) -> bool:
        """Replace `before`: for erasures alone (law 8). True: `name` holds `stub`, durably.

        False: it holds neither, and was left as it is. Raises Missing: it never creates.
        """

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        """Whole names that start with `prefix` and sort after `after`, ascending (bytewise)."""


class Message(NamedTuple):
    """For consumers beside us, who drop what repeats a key: everything is sent at least once."""

    key: bytes
    headers: tuple[tuple[str, bytes], ...]
    value: bytes | None


class Outlet(Protocol):
    """Where messages go. After a Retry nothing is remembered: its lane is read again."""

    def send(self, message: Message) -> None:
        """Kept in memory, up to a bound; beyond it as `flush`."""

    def flush(self) -> None:
        """All is durable. The first call says whether it could be. Bounded; raises Retry, Fatal."""

    def close(self) -> None: ...


class Clock(Protocol):
    """For waiting and for metrics; it never decides anything (law 3)."""

    def monotonic(self) -> float: ...
    def now(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...
