"""Small replays with metrics attached to the loop, and what a scrape of them says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from daemon.clock import ManualClock
from daemon.lanes import part as parts
from daemon.lanes.part import PartManifest, read_manifest
from daemon.loop import Loop
from daemon.metrics.metrics import Lag, Metrics
from daemon.ports import LaneId, Polled
from daemon.shards.shard import ShardManifest
from tests.streams import ListSource, Record, World

Sample = tuple[str, frozenset[tuple[str, str]]]  # name, labels


def lane_of(text: str) -> LaneId:
    """The lane that is written like this."""
    topic, _, partition = text.rpartition("/")
    return LaneId(topic, int(partition))


class ToldSource(ListSource):
    """Says what it answered."""

    metrics: Metrics | None = None

    def poll(self, limit: int) -> Polled:
        polled = super().poll(limit)
        if self.metrics is not None:
            self.metrics.polled(polled)
        return polled


@dataclass
class Attached:
    """A world whose run is told to metrics, as the loop of a process tells it."""

    world: World = field(default_factory=World)
    clock: ManualClock = field(default_factory=ManualClock)
    parts: list[PartManifest] = field(default_factory=list)
    shards: list[ShardManifest] = field(default_factory=list)
    scored: int = 0

    def __post_init__(self) -> None:
        self.metrics = Metrics("0.0.0", self.clock)
        self._loop: Loop | None = None

    def run(
        self, records: dict[LaneId, list[Record]], kinds: dict[LaneId, str], **schedule: Any
    ) -> Attached:
        """To the end."""
        source = ToldSource(records, kinds)
        loop = self.world.loop(source, listener=self.tell, **schedule)
        source.metrics = self.metrics
        registry = loop.registry
        assert registry.genesis is not None
        self.metrics.founded(registry.genesis, registry.editions)
        self._loop = loop
        assert loop.run()
        self.metrics.lags({lane: Lag(0, 0.0) for lane in records})
        return self

    def tell(self, event: str, facts: Mapping[str, object]) -> None:
        """The loop's listener."""
        assert self._loop is not None
        if event == "absorbed":
            self.scored += int(str(facts["records"]))
            self.metrics.batch(int(str(facts["records"])), 0.02)
        elif event == "part":
            window = int(str(facts["window"]))
            name = parts.name(lane_of(str(facts["lane"])), window)
            self.parts.append(read_manifest(self.world.store.get(name)))
            self.metrics.part(self.parts[-1])
        elif event == "shard":
            window = int(str(facts["window"]))
            opened = self._loop.pinning.open(window)
            assert opened is not None
            self.shards.append(self._loop.registry.manifest(window))
            self.clock.advance(1)
            self.metrics.shard(self.shards[-1], opened[1], made=True)
        elif event == "lost_race":
            self.metrics.lost_race()
        elif event == "retry":
            self.metrics.retried()

    def scrape(self) -> dict[Sample, float]:
        """Every sample of ours that Prometheus would see now."""
        return scrape(self.metrics)


def scrape(metrics: Metrics) -> dict[Sample, float]:
    """Samples of a scrape by name and labels, without those of the client itself."""
    text = metrics.exposition().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("sluice_")
    }


def of(samples: Mapping[Sample, float], name: str, **labels: str) -> float | None:
    """The value of one sample, None where it is absent."""
    return samples.get((name, frozenset(labels.items())))


def by(samples: Mapping[Sample, float], name: str, label: str) -> dict[str, float]:
    """Values of a family by one of its labels."""
    return {dict(labels)[label]: v for (sample, labels), v in samples.items() if sample == name}
