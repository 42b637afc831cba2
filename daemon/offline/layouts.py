"""Which rows of a file stand in which window, and which of them teach."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from daemon.config.settings import Stream
from daemon.offline import publishing, recorded
from daemon.offline.dataset import DataSet, Row
from daemon.offline.recorded import LANE_ROWS, TOPIC, Placed
from daemon.policy import Policy
from daemon.ports import EXIT_CONFIG, EXIT_STATE, Closing, Fatal, LaneId
from daemon.recording.writer import Topic


class Layout(NamedTuple):
    """A recording to be written. `lesson`: rows of the first window, not more than can teach."""

    topics: tuple[Topic, ...]
    placed: Callable[[], Iterable[Placed]]
    sizes: Mapping[int, int]  # window -> its rows, ascending
    closings: Mapping[LaneId, Sequence[Closing]] | None
    lesson: Sequence[Row]


def topic(rows: DataSet, lanes: int) -> tuple[Topic, ...]:
    """The one topic: its id is the content of the file."""
    return (Topic(TOPIC, rows.digest[:32], "utterances", lanes),)


def counted(rows: DataSet, windows: int, stream: Stream) -> Layout:
    """Equal shares of the file; one is cut into lanes."""
    first, period, total = stream.lag, stream.period_ms, rows.count
    if windows == 1:
        place = partial(recorded.together, rows, first, period)
        lanes = -(-total // LANE_ROWS)
        closings, sizes = recorded.cuts(place(), first), {first: total}
        return Layout(
            topic(rows, lanes), place, sizes, closings, publishing.first_rows(rows, total)
        )
    if windows > total:
        raise Fatal(
            f"{windows} windows of {total} rows",
            code=EXIT_CONFIG,
            hint="some would be empty: ask for fewer windows",
        )
    place = partial(recorded.in_shares, rows, windows, first, period)
    sizes = recorded.sizes(place(), period)
    taught = publishing.first_rows(rows, sizes[first])
    return Layout(topic(rows, 1), place, sizes, None, taught)


def timed(rows: DataSet, policy: Policy, stream: Stream) -> Layout:
    """Periods of the time that rows state."""
    path = policy.record.event_time
    if path is None:
        raise Fatal(
            "windows of a period want times, and policy.record.event_time says of none",
            code=EXIT_CONFIG,
            hint="--map event_time=FIELD names milliseconds since 1970; --windows N needs no times",
        )
    _ = rows.count  # an empty file says so
    placed = recorded.by_time(rows, path, lambda _: LaneId(TOPIC, 0), {})
    sizes = recorded.sizes(placed, stream.period_ms)
    first = min(sizes)
    if first < stream.lag:
        raise Fatal(
            f"the times at {path} begin before window {stream.lag} since 1970",
            code=EXIT_STATE,
            hint="they are milliseconds since 1970, not seconds",
        )
    own = [Row(p.position, p.value) for p in placed[: sizes[first]]]
    taught = publishing.evenly(own, publishing.LESSON_ROWS)
    return Layout(topic(rows, 1), lambda: placed, sizes, None, taught)
