"""Small worlds: recorded lanes in memory, under any schedule, and a run over them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from daemon.clock import ManualClock
from daemon.config.settings import Process, Stream
from daemon.loop import Loop
from daemon.policy import Arms, Engine, Groups, Kind, Learning, Policy, Quarantine, Rolling
from daemon.ports import Batch, Closing, LaneId, LaneInfo, Polled, Store
from daemon.registry.publish import Sample, publish
from daemon.registry.registry import Registry
from daemon.running import start
from daemon.running.engines import Engines
from daemon.stores.memory import MemoryStore
from scoring import manifest
from scoring.models import table
from scoring.models.base import Files
from scoring.models.table import table_files

KEY = b"a key for tests, 32 bytes long.."
PERIOD_MS = 1_000
CLASSES = ("alarm", "lights", "music", "weather")
Record = tuple[int, bytes | None]  # append time, value


def say(number: int, text: str, label: str | None = None, **more: Any) -> bytes:
    """One record's value."""
    body = {"id": f"u{number}", "text": text, **more}
    if label is not None:
        body["label"] = label
    return msgspec.json.encode(body)


def small_policy(**changes: Any) -> Policy:
    """A policy for windows of some tens of records."""
    base = Policy(
        engine=Engine(kind="table"),
        capacity_rows=12,
        arms=Arms(audit_rows=6, random_rows=8, review_rows=6),
        rolling=Rolling(capacity_rows=16, windows=6),
        scores=(Kind("entropy"), Kind("margin"), Kind("el2n")),
        learning=Learning(memory_windows=4, minimum_rows=8),
        quarantine=Quarantine(assumed_rate=0.1),
        groups=Groups(support=3, limit=5),
    )
    record = msgspec.structs.replace(base.record, label="label", intent="intent")
    return msgspec.structs.replace(base, record=record, **changes)


@dataclass
class ListSource:
    """Lanes as lists; a seed decides which lanes are read and how much."""

    records: dict[LaneId, list[Record]]
    kinds: dict[LaneId, str] = field(default_factory=dict)
    seed: int = 0
    hidden: set[LaneId] = field(default_factory=set)  # partitions that are not seen yet
    recorded: dict[LaneId, tuple[Closing, ...]] | None = None
    lanes_at_once: int = 1
    appear: dict[LaneId, int] = field(default_factory=dict)  # hidden ones: answers until gained
    trouble: str = ""
    topic_ids: dict[str, str] = field(default_factory=dict)
    step: int = 1  # from one position to the next: more than 1 leaves gaps, as transactions do

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._at = dict.fromkeys(self.records, 0)
        self._paused: set[LaneId] = set()
        self._answers = 0
        self._told = False
        self.hidden = self.hidden | set(self.appear)

    def lanes(self) -> tuple[LaneInfo, ...]:
        return tuple(
            LaneInfo(lane, self.kinds.get(lane, "utterances"), self._id(lane.topic), 0)
            for lane in sorted(self.records)
            if lane not in self.hidden
        )

    def _id(self, topic: str) -> str:
        return self.topic_ids.get(topic, f"id-{topic}")

    def first_times(self) -> dict[LaneId, int]:
        return {
            info.lane: self.records[info.lane][0][0]
            for info in self.lanes()
            if self._shown(info.lane)
        }

    def poll(self, limit: int) -> Polled:
        if not self._told:
            self._told = True
            return Polled((), tuple(info.lane for info in self.lanes()))
        self._answers += 1
        gained = tuple(
            lane for lane in sorted(self.hidden) if self.appear.get(lane, 1 << 60) < self._answers
        )
        if gained:
            self.hidden -= set(gained)
            return Polled((), gained)
        ready = [
            lane
            for lane in sorted(self.records)
            if lane not in self._paused | self.hidden and self._at[lane] < self._shown(lane)
        ]
        if not ready:
            return Polled(())
        chosen = self._random.sample(ready, min(self.lanes_at_once, len(ready), limit))
        share = limit // len(chosen)
        return Polled(tuple(self._batch(lane, share) for lane in chosen))

    def _batch(self, lane: LaneId, limit: int) -> Batch:
        first = self._at[lane]
        count = self._random.randint(1, min(limit, self._shown(lane) - first))
        rows = self.records[lane][first : first + count]
        self._at[lane] += len(rows)
        return Batch(
            lane,
            np.arange(first, first + len(rows), dtype=np.int64) * self.step,
            np.array([t for t, _ in rows], np.int64),
            [value for _, value in rows],
        )

    def _shown(self, lane: LaneId) -> int:
        """How many records of the lane can be read now; a recorded run ends with its parts."""
        if self.recorded is None:
            return len(self.records[lane])
        cuts = self.recorded.get(lane, ())
        return -(-cuts[-1].end // self.step) if cuts else 0

    def seek(self, lane: LaneId, position: int) -> None:
        self._at[lane] = -(-position // self.step)

    def pause(self, lane: LaneId) -> None:
        self._paused.add(lane)

    def resume(self, lane: LaneId) -> None:
        self._paused.discard(lane)

    def end(self, lane: LaneId) -> int | None:
        shown = self._shown(lane)
        return (shown - 1) * self.step + 1 if shown else 0

    def finished(self, lane: LaneId) -> bool:
        return True

    def closings(self, lane: LaneId) -> tuple[Closing, ...] | None:
        return None if self.recorded is None else self.recorded.get(lane, ())

    def commit(self, positions: dict[LaneId, int]) -> None:
        pass

    def close(self) -> None:
        pass


def reference(files: Files) -> Sample:
    """Reference rows; two of five labels are not the model's own answer, as in the streams here."""
    texts = [f"reference {n}" for n in range(400)]
    answers = table.build(files, 1).run(texts).probs.argmax(axis=1).tolist()
    classes = files.labels
    labels: list[str | None] = [
        classes[answer if n % 5 < 3 else (answer + n) % len(classes)]
        for n, answer in enumerate(answers)
    ]
    return Sample(texts, labels)


def publish_table(
    registry: Registry,
    policy: Policy,
    *,
    first_window: int = 0,
    classes: tuple[str, ...] = CLASSES,
    seed: int = 0,
    sample: Sample | None = None,
) -> None:
    """An edition of a table checkpoint whose outputs are pseudo-random."""
    files = table_files(classes, seed=seed)
    checkpoint = manifest.describe("table", files.blobs, classes, 64, "table", None)
    rows = sample or reference(files)
    made = publish(
        registry, checkpoint, files.blobs, policy, first_window=first_window, sample=rows
    )
    assert hasattr(made, "edition"), made


@dataclass
class World:
    """A store, a policy and a stream; run it under any schedule."""

    store: Store = field(default_factory=MemoryStore)
    policy: Policy = field(default_factory=small_policy)
    stream: Stream = field(
        default_factory=lambda: Stream(period_ms=PERIOD_MS, grace=1, label_wait=0, lag=3)
    )
    key: bytes = KEY

    def registry(self) -> Registry:
        registry = Registry(self.store)
        registry.read_editions()
        if not registry.editions:
            publish_table(registry, self.policy)
        return registry

    def loop(
        self,
        source: ListSource,
        *,
        batch_records: int = 7,
        poll_records: int = 20,
        read_ahead: int = 2,
        listener: Callable[[str, dict[str, object]], None] = lambda event, facts: None,
    ) -> Loop:
        registry = self.registry()
        start.found(source, registry, self.stream, ManualClock())
        registry.start()
        engines = Engines(self.store, self.key, threads=1)
        process = Process(
            batch_records=batch_records, poll_records=poll_records, read_ahead=read_ahead
        )
        return Loop(source, registry, engines, ManualClock(), process, listener)

    def digests(self) -> dict[int, tuple[str, str]]:
        """window -> (selection, rows) of every shard in the store."""
        registry = Registry(self.store)
        names = [n for n in self.store.list("shards/") if n.endswith("manifest.json")]
        manifests = [registry.manifest(int(n.split("/")[1])) for n in names]
        return {m.window: (m.selection_digest, m.rows_digest) for m in manifests}


def stream_of(
    seed: int, *, lanes: int = 3, windows: int = 12, per_window: int = 40
) -> tuple[dict[LaneId, list[Record]], dict[LaneId, str]]:
    """A random stream: repeats, labels, malformed and late records, idle and empty windows."""
    rng = random.Random(seed)
    records: dict[LaneId, list[Record]] = {LaneId("u", p): [] for p in range(lanes)}
    number = 0
    for window in range(5, 5 + windows):
        for rows in records.values():
            if rng.random() < 0.2:
                continue
            for _ in range(rng.randint(0, 2 * per_window // lanes)):
                time_ms = window * PERIOD_MS + rng.randint(0, PERIOD_MS - 1)
                if rng.random() < 0.03:
                    time_ms -= rng.randint(1, 3) * PERIOD_MS
                number += 1
                if rng.random() < 0.03:
                    rows.append((max(0, time_ms), rng.choice([b"", b"{", None, b"[]"])))
                    continue
                label = rng.choice([*CLASSES, None, "brand_new"])
                text = f"say {int(rng.paretovariate(0.7)) % 60}"
                rows.append((max(0, time_ms), say(number, text, label)))
    kinds = dict.fromkeys(records, "utterances")
    return records, kinds
