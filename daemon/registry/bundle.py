"""What a run decided, as a recording carries it: registry objects and the cuts of its lanes.

A replay that has them obeys them and gives the run's digests (laws 3 and 4); one without derives
its own, and says so.
"""

from __future__ import annotations

import msgspec

from daemon import tables
from daemon.lanes import part as parts
from daemon.ports import EXIT_STATE, Closing, Fatal, LaneId, Store
from daemon.shards import erasures, shard

DECIDED = ("genesis.json", "editions/", "checkpoints/", "keys/", "pins/")
TAUGHT = "taught/"  # in a recording: what the shards before its first window taught


def copy_decisions(origin: Store, target: Store) -> int:
    """Create in `target` what decided the run of `origin`; returns how many were new.

    Raises Fatal, before anything is created, where `target` was decided otherwise.
    """
    names = {name: name for prefix in DECIDED for name in origin.list(prefix)}
    # a manifest last: whoever sees it may read what it names
    taught = sorted(origin.list(TAUGHT), key=lambda name: name.endswith("/manifest.json"))
    names |= {name.removeprefix(TAUGHT): name for name in taught}
    there = {name for prefix in (*DECIDED, "shards/") for name in target.list(prefix)}
    for name, kept in names.items():
        if name in there and not _same(name, target.get(name), origin.get(kept)):
            raise Fatal(
                f"the store has decisions of its own ({name}), and the recording carries others",
                code=EXIT_STATE,
                hint="replay a recorded run into an empty store",
            )
    return sum(target.create(name, origin.get(kept)) for name, kept in names.items())


def _same(name: str, here: bytes, recorded: bytes) -> bool:
    """Equal, but for what erasures of the replay itself have done to earlier shards since."""
    if here == recorded or not name.startswith(shard.PREFIX):
        return here == recorded
    if name.endswith(".parquet"):
        return erasures.is_stub(tables.manifest_of(here))
    try:
        found = [msgspec.json.decode(data, type=dict[str, object]) for data in (here, recorded)]
    except (msgspec.DecodeError, msgspec.ValidationError):
        return False
    return {**found[0], "successor": ""} == {**found[1], "successor": ""}


def closings(store: Store, lanes: tuple[LaneId, ...]) -> dict[LaneId, tuple[Closing, ...]]:
    """How each lane was cut: one entry per part, in order."""
    found = {}
    for lane in lanes:
        manifests = (parts.read_manifest(store.get(n)) for n in store.list(parts.prefix(lane)))
        found[lane] = tuple(
            Closing(m.window, m.through, m.start, m.end, m.time_ms, m.closed_by) for m in manifests
        )
    return found
