"""A live run over topics of the test broker, and configurations that name them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from daemon.ports import LaneId
from daemon.registry.registry import Registry
from daemon.stores import local
from tests.cases import Case
from tests.kafka.broker import Broker, unique
from tests.kafka.follower import DEADLINE_SECONDS, Follower, options
from tests.streams import KEY, Record
from tests.worlds import publish_all, turned, world_of

TIMES = {"message_timestamp_type": "CreateTime", "retention_ms": -1}  # ours, and long ago
CONFIG = """\
store: {{kind: local, options: {{path: {store}}}}}
source: {source}
keys: {{file: {key}}}
stream: {{period: {period}, grace: {grace}, label_wait: {label_wait}, lag: {lag}}}
process: {{threads: 1}}
policy: {{engine: {{kind: table}}}}
"""


def fill(broker: Broker, records: Mapping[LaneId, list[Record]]) -> dict[str, str]:
    """Topics of a case, with names of this test alone: old name -> new. Times are the records'."""
    counts: dict[str, int] = {}
    for lane in records:
        counts[lane.topic] = max(counts.get(lane.topic, 0), lane.partition + 1)
    names = {name: broker.topic(name, count, **TIMES) for name, count in counts.items()}
    for lane, rows in records.items():
        broker.produce(names[lane.topic], [(v, t) for t, v in rows], lane.partition)
    return names


def renamed(case: Case, names: Mapping[str, str]) -> Case:
    """The case as its topics are called on the broker."""

    def of(lane: LaneId) -> LaneId:
        return LaneId(names[lane.topic], lane.partition)

    records = {of(lane): rows for lane, rows in case.records.items()}
    kinds = {of(lane): kind for lane, kind in case.kinds.items()}
    return Case(records, kinds, case.stream, case.editions)


def configure(root: Path, case: Case, source: str, *, name: str, store: str) -> Path:
    """A configuration file."""
    key, path, stream = root / "key", root / f"{name}.yaml", case.stream
    key.write_bytes(KEY)
    key.chmod(0o600)
    text = CONFIG.format(
        store=root / store, source=source, key=key, period=stream.period_ms // 1000,
        grace=stream.grace, label_wait=stream.label_wait, lag=stream.lag,
    )  # fmt: skip
    path.write_text(text)
    return path


def kafka(broker: Broker, case: Case) -> str:
    """The source of a configuration that reads the case's topics."""
    topics: dict[str, set[str]] = {"utterances": set(), "labels": set(), "erasures": set()}
    for lane, kind in case.kinds.items():
        topics[kind].add(lane.topic)
    said, labels, erased = (", ".join(sorted(names)) for names in topics.values())
    return (
        f"{{kind: kafka, options: {{bootstrap: ['{broker.bootstrap}'], topics: [{said}], "
        f"label_topics: [{labels}], erasure_topics: [{erased}], group: {unique('group')}, "
        "allow_create_time: true, instance: 'env:NOBODY_HAS_SET_THIS'}}"
    )


@contextmanager
def running(broker: Broker, case: Case, store: Path) -> Iterator[Registry]:
    """A live run until nothing more can be closed. It is a member of its group inside the block."""
    registry = Registry(local.build(local.Options(str(store))))
    publish_all(case, registry.store)
    said, labels, erased = (
        tuple(sorted({lane.topic for lane, kind in case.kinds.items() if kind == wanted}))
        for wanted in ("utterances", "labels", "erasures")
    )
    given = options(broker, *said, labels=labels, erasure_topics=erased, allow_create_time=True)
    source = Follower(given).source
    loop = world_of(case, registry.store).loop(source)  # type: ignore[arg-type]
    deadline, quiet = time.monotonic() + DEADLINE_SECONDS, 0
    ends = {lane: len(rows) for lane, rows in case.records.items()}
    while quiet < 5:
        assert time.monotonic() < deadline, {str(a): b.position for a, b in loop.lanes.items()}
        moved = turned(loop)
        read = all(
            loop.lanes[lane].position == end for lane, end in ends.items() if lane in loop.lanes
        )
        quiet = 0 if moved or not read or len(loop.lanes) < len(ends) else quiet + 1
    yield registry
    loop._pipeline.close()
    loop.engines.close()
    source.close()
