"""Keeps what a log gives out: lane after lane into a new recording."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, cast

from daemon.ports import EXIT_CONFIG, EXIT_STATE, Batch, Closing, Fatal, LaneId, LaneInfo
from daemon.recording.writer import REGISTRY, Format, RecordingWriter, Topic

NAME_MAX = 200  # of a topic: it becomes a folder


def topics_of(infos: Iterable[LaneInfo], starts: Mapping[LaneId, int]) -> tuple[Topic, ...]:
    """Topics of lanes, in their order. Partitions between known ones are empty. Raises Fatal."""
    grouped: dict[str, dict[int, LaneInfo]] = {}
    for info in infos:
        grouped.setdefault(info.lane.topic, {})[info.lane.partition] = info
    made = []
    for name, partitions in grouped.items():
        if name == REGISTRY or len(name) > NAME_MAX:
            raise Fatal(
                f"a recording cannot hold a topic of this name ({len(name)} characters)",
                code=EXIT_CONFIG,
                hint=f"at most {NAME_MAX}, and not {REGISTRY}",
            )
        some, count = next(iter(partitions.values())), max(partitions) + 1
        begins = tuple(starts.get(LaneId(name, number), 0) for number in range(count))
        kind = cast(Literal["utterances", "labels", "erasures"], some.kind)
        made.append(Topic(name, some.topic_id, kind, count, starts=begins if any(begins) else ()))
    return tuple(made)


class Keeping:
    """`records`: kept so far. Without `complete` the folder is no recording."""

    def __init__(self, folder: Path, topics: Sequence[Topic], form: Format) -> None:
        self._writer = RecordingWriter(folder, topics)
        self._form = form
        self._over = False
        self.records = 0

    def keep(self, lane: LaneId, batches: Iterable[Batch], tell: Callable[[int], None]) -> None:
        """All of a lane. `tell` hears how many positions were passed. Raises Fatal, OSError."""
        out = self._writer.lane(lane, self._form)
        at: int | None = None
        for batch in batches:
            try:
                out.append(batch.positions.tolist(), batch.times_ms.tolist(), batch.values)
            except ValueError as error:
                raise Fatal(
                    f"lane {lane}: {error}", code=EXIT_STATE, hint="no replay could read it"
                ) from None
            self.records += len(batch.values)
            last = int(batch.positions[-1]) + 1
            tell(last - (int(batch.positions[0]) if at is None else at))
            at = last

    def complete(self, closings: Mapping[LaneId, Sequence[Closing]] | None) -> None:
        self._over = True
        self._writer.close(closings)

    def close(self) -> None:
        """Of what is open."""
        if not self._over:
            self._writer.__exit__(Fatal, None, None)
