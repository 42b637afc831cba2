"""The operator's part: a dead lane is passed over, and nothing is lost (law 5)."""

from __future__ import annotations

from daemon.lanes.lane import Lane
from daemon.lanes.part import PartManifest
from daemon.lanes.window import NO_TIME, window_of
from daemon.ports import EXIT_STATE, Fatal, LaneId
from daemon.registry.registry import Registry


def skip(registry: Registry, lane: LaneId, window: int) -> PartManifest:
    """Create the lane's part up to `window`, empty: end = start, its records come as `late`.

    The first object wins, as always: raises Fatal where the owner's part is already there, where
    the lane is unknown, or where the window is covered.
    """
    genesis = registry.genesis
    progress = registry.start() if genesis else None
    # a topic holds lanes of one kind under one id, also those that came after the genesis
    kin = next((e for e in genesis.lanes if e.topic == lane.topic), None) if genesis else None
    if genesis is None or progress is None or kin is None or lane not in progress.lanes():
        raise Fatal(
            f"{lane} is no lane of this store",
            code=EXIT_STATE,
            hint="`sluice registry` lists the lanes",
        )
    newest = progress.newest.get(lane)
    known = [genesis.first_window, progress.pinned, *(c.through for c in progress.newest.values())]
    times = [window_of(c.time_ms, genesis.period_ms) for c in progress.newest.values()]
    if window > max(known + times):
        raise Fatal(
            f"window {window} has not come: no lane is further than {max(known + times)}",
            code=EXIT_STATE,
            hint="a skipped window cannot be taken back; name the one that the others wait for",
        )
    standing = Lane(lane, kin.kind, kin.topic_id, period_ms=genesis.period_ms)
    entry = genesis.entry(lane)
    if newest is None:
        lowest = genesis.first_window if entry else progress.first_of(lane)
        standing.resume(entry.start if entry else 0, lowest, NO_TIME)
    else:
        standing.resume(newest.end, newest.through + 1, newest.time_ms)
    effects = standing.cover(window, "operator")
    if not effects or not registry.put_part(effects[0].part):
        raise Fatal(
            f"{lane} has a part for window {window} already",
            code=EXIT_STATE,
            hint="nothing was changed: the lane is not what the others wait for",
        )
    return effects[0].part.manifest
