"""Where a process begins: the genesis, and each lane at the end of its newest part."""

from __future__ import annotations

from daemon.config.settings import Stream
from daemon.lanes import genesis as geneses
from daemon.lanes.genesis import Genesis
from daemon.lanes.lane import Lane
from daemon.lanes.window import NO_TIME, window_of
from daemon.ports import EXIT_STATE, Clock, Fatal, LaneId, LaneInfo, Retry, Source
from daemon.registry.registry import Registry

WAIT_SECONDS = 0.2  # between looks for the first record of a topic that is still empty


def found(source: Source, registry: Registry, stream: Stream, clock: Clock) -> Genesis:
    """The genesis of the store: created from the source's lanes, unless it exists.

    The first window is that of the smallest time at the start offsets, awaited on the clock until
    one lane has a record. Raises Fatal where the
    store was begun with another stream.
    """
    infos = source.lanes()
    if registry.genesis is None:
        first = _first_time(source, infos, clock)
        genesis = geneses.make(
            infos,
            period_ms=stream.period_ms,
            grace=stream.grace,
            label_wait=stream.label_wait,
            lag=stream.lag,
            first_window=window_of(first, stream.period_ms),
        )
        registry.found(genesis)
    genesis_now = registry.genesis
    assert genesis_now is not None
    given = (stream.period_ms, stream.grace, stream.label_wait, stream.lag)
    fixed = (genesis_now.period_ms, genesis_now.grace, genesis_now.label_wait, genesis_now.lag)
    if given != fixed:
        raise Fatal(
            f"the store was begun with (period_ms, grace, label_wait, lag) = {fixed}, not {given}",
            code=EXIT_STATE,
            hint="these are fixed for ever: restore them, or use another store prefix",
        )
    geneses.check_source(genesis_now, infos)
    return genesis_now


def _first_time(source: Source, infos: tuple[LaneInfo, ...], clock: Clock) -> int:
    """The smallest time at the start offsets of the utterance lanes."""
    spoken = {info.lane for info in infos if info.kind == "utterances"}
    while True:
        try:
            known = source.first_times()
        except Retry:
            known = {}  # the source itself gives up when it was away for too long
        times = [known[lane] for lane in spoken if lane in known]
        if times:
            return min(times)
        if all(source.finished(lane) for lane in spoken):
            raise Fatal(
                "no utterance lane holds a record",
                code=EXIT_STATE,
                hint="an empty recording has no first window: check source.options.path",
            )
        clock.sleep(WAIT_SECONDS)


def stand(
    source: Source,
    registry: Registry,
    *,
    again: Lane | None = None,
    only: tuple[LaneId, ...] | None = None,
) -> dict[LaneId, Lane]:
    """Lanes at the end of their newest part, and the source sought there.

    All that the source serves, `only` some of them, or one that stands `again`.
    """
    progress, genesis = registry.progress, registry.genesis
    assert progress is not None and genesis is not None
    lanes = {}
    for info in source.lanes():
        if again is not None and info.lane != again.lane:
            continue
        if only is not None and info.lane not in only:
            continue
        lane = again or Lane(info.lane, info.kind, info.topic_id, period_ms=genesis.period_ms)
        newest = progress.newest.get(info.lane)
        lane.holes.clear()  # the source tells again what it meets
        if newest is not None:
            lane.resume(newest.end, newest.through + 1, newest.time_ms)
        else:
            entry = genesis.entry(info.lane)
            lowest = genesis.first_window
            if entry is None:
                lowest = max(lowest, progress.first_of(info.lane))
                progress.saw(info.lane)
            start = entry.start if entry else 0
            closings = source.closings(info.lane)
            if closings:  # a recorded run says where the lane began
                start, lowest = closings[0].start, closings[0].window
            lane.resume(start, lowest, NO_TIME)
        source.seek(info.lane, lane.position)
        lanes[info.lane] = lane
    return lanes
