"""What happens, told in numbers: the loop and the runner call these, and nothing else does.

Every method takes what has happened already (a part that is durable, a batch that was absorbed)
and returns at once; none of them decides anything, none reads a record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from daemon.lanes.genesis import Genesis
from daemon.lanes.part import PartManifest
from daemon.learning.edition import Edition
from daemon.learning.rules import OTHER, Rules
from daemon.metrics.catalogue import CATALOGUE, LANES, REFUSALS
from daemon.metrics.newest import Newest
from daemon.metrics.values import Labels, Values
from daemon.monitors import fill
from daemon.ports import Clock, LaneId, Polled
from daemon.shards.shard import ShardManifest


class Lag(NamedTuple):
    """How far a lane is behind its end."""

    records: int | None  # end offset - position absorbed; None where the end is not known
    seconds: float  # now - append time of the newest record absorbed; 0 without records to come


class Metrics:
    """One per process. Written by the loop's thread, read by the server's."""

    def __init__(self, version: str, clock: Clock) -> None:
        self._clock = clock
        self._values = Values(CATALOGUE)
        self._newest: Newest | None = None
        with self._values as now:
            now.put("sluice_build_info", {(version,): 1})
        self.ready(False)
        self.unrunnable(False)
        self.breaker(False)
        self.ahead(0)

    def exposition(self) -> bytes:
        """What a scrape gets: see values.CONTENT_TYPE."""
        return self._values.exposition()

    def ready(self, yes: bool) -> None:
        """/readyz says so."""
        self._put("sluice_ready", yes)

    def founded(self, genesis: Genesis, editions: Mapping[int, Edition]) -> None:
        """The genesis is known. `editions` is the registry's own mapping, which grows."""
        self._newest = Newest(genesis, editions)
        self._put("sluice_period_seconds", genesis.period_ms / 1000)

    def polled(self, polled: Polled, *, answered: bool = True) -> None:
        """The source was asked. `answered` False: what comes of it while its brokers are away."""
        with self._values as now:
            if answered:
                now.put("sluice_last_poll_timestamp_seconds", self._clock.now())
            now.add("sluice_lane_moves_total", len(polled.gained), "gained")
            now.add("sluice_lane_moves_total", len(polled.lost), "lost")

    def lags(self, lags: Mapping[LaneId, Lag]) -> None:
        """The lanes of this process, all of them: a lane that went away leaves no series behind."""
        records: dict[Labels, float] = {}
        seconds: dict[Labels, float] = {}
        for place, lane in enumerate(sorted(lags)):
            key = (str(lane) if place < LANES else OTHER,)
            if (known := lags[lane].records) is not None:
                records[key] = records.get(key, 0) + known
            seconds[key] = max(seconds.get(key, 0), lags[lane].seconds)
        with self._values as now:
            now.put("sluice_lag_records", records)
            now.put("sluice_lag_seconds", seconds)

    def batch(self, records: int, seconds: float) -> None:
        """A batch was decoded, scored and weighed in so many seconds of work."""
        with self._values as now:
            now.add("sluice_scored_records_total", records)
            now.observe("sluice_batch_duration_seconds", seconds)

    def retried(self) -> None:
        """The source or the store failed; what is not durable is read again."""
        self._add("sluice_retries_total")

    def unrunnable(self, yes: bool) -> None:
        """A pin names an edition that this process cannot run."""
        self._put("sluice_pin_unrunnable", yes)

    def breaker(self, is_open: bool) -> None:
        """So much was refused that reading has stopped, or goes on again."""
        self._put("sluice_breaker_open", is_open)

    def ahead(self, lanes: int) -> None:
        """So many lanes wait for our clock now."""
        self._put("sluice_ahead_lanes", lanes)

    def label_refusals(self, kind: str, reasons: Mapping[str, int]) -> None:
        """Records of a label or erasure lane say nothing that could be used."""
        with self._values as now:
            for reason, records in reasons.items():
                now.add("sluice_label_refusals_total", records, kind, reason)

    def second_stage(self, rows: int) -> None:
        """Candidates of a shard were scored by what costs more."""
        self._add("sluice_second_stage_rows_total", rows)

    def dead_letters(self, acknowledged: int) -> None:
        """Refused records stand in the dead-letter topic."""
        self._add("sluice_dead_letters_total", acknowledged)

    def part(self, manifest: PartManifest) -> None:
        """This process made a part durable."""
        counts = manifest.counts
        with self._values as now:
            now.add("sluice_parts_total", 1, manifest.closed_by)
            now.add("sluice_records_total", counts.records)
            now.add("sluice_late_records_total", counts.late)
            for reason in REFUSALS:
                now.add("sluice_refusals_total", counts.reasons.get(reason, 0), reason)

    def lost_race(self) -> None:
        """Another process had made the part before."""
        self._add("sluice_lost_races_total")

    def shard(self, manifest: ShardManifest, rules: Rules | None = None, *, made: bool) -> None:
        """A shard is durable: `made` here, with the rules of its window, or seen in the store."""
        with self._values as now:
            now.add("sluice_shards_total", int(made))
            now.put("sluice_last_shard_timestamp_seconds", self._clock.now())
        self._show(manifest, rules)

    def recall(self, manifests: Iterable[ShardManifest]) -> None:
        """Shards of earlier processes, ascending: see daemon.metrics.past."""
        for manifest in manifests:
            self._show(manifest, None)

    def erased(self, rows: int) -> None:
        """Later versions of shards lack so many rows."""
        self._add("sluice_erased_rows_total", rows)

    def announced(self) -> None:
        """The announcement of a shard was acknowledged."""
        self._add("sluice_announcements_total")

    def _show(self, manifest: ShardManifest, rules: Rules | None) -> None:
        assert self._newest is not None, "the genesis comes first"
        with self._values as now:
            self._newest.show(now, manifest, fill.entitled(rules) if rules else {})

    def _add(self, name: str, amount: float = 1) -> None:
        with self._values as now:
            now.add(name, amount)

    def _put(self, name: str, value: float) -> None:
        with self._values as now:
            now.put(name, value)
