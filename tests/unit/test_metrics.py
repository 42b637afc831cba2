"""Metrics: numbers that agree with what is durable, whole windows, and absence for the unknown."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import msgspec
import pytest

from daemon.clock import ManualClock
from daemon.lanes.genesis import Genesis
from daemon.learning.rules import OTHER
from daemon.metrics import newest, past
from daemon.metrics.catalogue import CATALOGUE, LANES, REFUSALS
from daemon.metrics.metrics import Lag, Metrics
from daemon.monitors.noise import wilson
from daemon.policy import Quarantine
from daemon.ports import LaneId, Polled
from daemon.shards.shard import ShardManifest
from tests.monitoring.attached import Attached, by, of, scrape
from tests.streams import PERIOD_MS, World, small_policy, stream_of

GENESIS = Genesis((), period_ms=PERIOD_MS, grace=1, label_wait=0, lag=3, first_window=5)


@pytest.fixture(scope="module")
def run() -> Attached:
    return Attached().run(*stream_of(3, windows=14, per_window=150))


def fresh(attached: Attached, *, clock: ManualClock | None = None) -> Metrics:
    """Metrics of a process that has seen no shard yet, over the same store."""
    metrics = Metrics("0.0.0", clock or ManualClock())
    metrics.founded(GENESIS, attached.world.registry().editions)
    return metrics


def shown(attached: Attached, manifest: ShardManifest, **changes: Any) -> dict[Any, float]:
    """A scrape after one shard, changed."""
    metrics = fresh(attached)
    metrics.shard(msgspec.structs.replace(manifest, **changes), made=False)
    return scrape(metrics)


def test_counters_are_what_is_durable(run: Attached) -> None:
    found, refused = run.scrape(), Counter[str]()
    for part in run.parts:
        refused.update(part.counts.reasons)
    assert by(found, "sluice_refusals_total", "reason") == {r: refused[r] for r in REFUSALS}
    assert sum(1 for count in refused.values() if count) >= 4
    assert of(found, "sluice_records_total") == sum(p.counts.records for p in run.parts)
    scored = of(found, "sluice_scored_records_total")
    assert of(found, "sluice_records_total") == run.scored == scored
    assert of(found, "sluice_late_records_total") == sum(p.counts.late for p in run.parts) > 0
    closed = Counter(p.closed_by for p in run.parts)
    assert by(found, "sluice_parts_total", "closed_by") == {
        how: closed[how] for how in ("record", "evidence", "end", "operator")
    }
    assert of(found, "sluice_shards_total") == len(run.shards)


def test_gauges_are_those_of_the_newest_shard(run: Attached) -> None:
    found, last = run.scrape(), run.shards[-1]
    assert of(found, "sluice_window_end_timestamp_seconds") == last.window + 1
    assert by(found, "sluice_shard_rows", "arm") == last.arms
    assert sum(by(found, "sluice_group_rows", "group").values()) == last.arms["selected"]
    accepted = last.counts["accepted"]
    assert sum(by(found, "sluice_group_records", "group").values()) == accepted
    suspects = last.counts["suspect"]
    assert of(found, "sluice_label_noise_suspected_records") == suspects + accepted
    assert of(found, "sluice_label_noise_suspected_ratio") == suspects / (suspects + accepted)
    assert of(found, "sluice_calibration_age_windows") == last.window - last.calibration_used
    assert of(found, "sluice_last_shard_timestamp_seconds") == run.clock.now()
    info = next(dict(labels) for (n, labels) in found if n == "sluice_edition_info")
    assert last.checkpoint.startswith(info["checkpoint"]) and len(info["checkpoint"]) == 12


def test_an_older_shard_does_not_take_a_newer_ones_place(run: Attached) -> None:
    metrics = fresh(run)
    for manifest in (run.shards[-1], run.shards[-2]):
        metrics.shard(manifest, made=True)
    found = scrape(metrics)
    assert of(found, "sluice_window_end_timestamp_seconds") == run.shards[-1].window + 1
    assert of(found, "sluice_shards_total") == 2, "it was made all the same"


def test_a_restart_remembers_what_the_store_does(run: Attached) -> None:
    """Gauges, drift and its reference are a function of the shards, not of who saw them made."""
    metrics = fresh(run)
    metrics.recall(run.shards[:-1])
    before = scrape(metrics)
    assert of(before, "sluice_last_shard_timestamp_seconds") is None, "not in this process's time"
    assert of(before, "sluice_shards_total") == 0
    metrics.shard(run.shards[-1], made=False)
    assert of(scrape(metrics), "sluice_shards_total") == 0, "seen is not made"
    after, whole = scrape(metrics), run.scrape()
    names = ("drift", "lift", "group_r", "noise", "shard_rows", "age", "info", "cold")
    compared = {key: v for key, v in whole.items() if any(name in key[0] for name in names)}
    assert len(compared) > 30
    assert compared == {key: after.get(key) for key in compared}


def test_what_is_recalled_is_enough(run: Attached, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new process that reads few shards says what one says that has seen all of them."""
    for windows in (1, 3, 1000):
        monkeypatch.setattr(newest, "DAY_MS", windows * PERIOD_MS)
        registry = run.world.registry()
        registry.start()
        few = list(past.recalled(registry))
        assert [m.window for m in few] == sorted({m.window for m in few})
        assert len(few) <= windows + 1 + sum(1 for m in run.shards if m.cold)
        found = []
        for manifests in (few, run.shards):
            metrics = fresh(run)
            metrics.recall(manifests)
            found.append(scrape(metrics))
        assert found[0] == found[1]
        assert by(found[0], "sluice_selection_drift", "statistic")


def test_nothing_is_recalled_of_an_empty_store() -> None:
    world = World()
    registry = world.registry()
    registry.found(GENESIS)
    registry.start()
    assert list(past.recalled(registry)) == []


def test_what_is_not_known_is_absent(run: Attached) -> None:
    starting = scrape(Metrics("0.0.0", ManualClock()))
    always = {s.name for s in CATALOGUE if not s.absent}
    assert {key[0].removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")
            for key in starting} == always  # fmt: skip
    last = run.shards[-1]
    assert last.noise is None
    found = shown(run, last)
    for name in ("sluice_label_noise_audited_ratio", "sluice_selection_drift",
                 "sluice_selection_drift_ratio", "sluice_group_fill_ratio"):  # fmt: skip
        assert not [key for key in found if key[0] == name], name
    assert of(found, "sluice_label_noise_audited_answers") == 0
    assert of(shown(run, last, suspect_below=None), "sluice_label_noise_suspected_ratio") is None
    assert of(shown(run, last, calibration_used=-1), "sluice_calibration_age_windows") is None
    assert not by(shown(run, last, lift={}), "sluice_selection_lift", "score")


def test_an_audited_rate_comes_with_its_interval(run: Attached) -> None:
    rate = wilson(12, 120)
    found = shown(run, run.shards[-1], noise=rate)
    told = by(found, "sluice_label_noise_audited_ratio", "bound")
    assert told == {"estimate": rate.estimate, "low": rate.low, "high": rate.high}


def test_a_rate_that_is_lost_again_disappears(run: Attached) -> None:
    metrics = fresh(run)
    first, second = run.shards[-2:]
    metrics.shard(msgspec.structs.replace(first, noise=wilson(5, 50)), made=False)
    metrics.shard(second, made=False)
    assert not by(scrape(metrics), "sluice_label_noise_audited_ratio", "bound")


def test_cold_windows_say_why_and_are_compared_with_nothing() -> None:
    world = World(policy=small_policy(quarantine=Quarantine()))
    cold = Attached(world).run(*stream_of(2, windows=6, per_window=100))
    found = cold.scrape()
    assert by(found, "sluice_window_cold", "reason")["no_noise_rate"] == 1
    assert sum(by(found, "sluice_window_cold", "reason").values()) == 1
    for name in ("sluice_selection_drift", "sluice_group_fill_ratio"):
        assert not [key for key in found if key[0] == name]
    assert of(found, "sluice_selection_drift_reference_windows") == 0


def test_drift_comes_with_rows_and_critical_value_and_begins_anew_with_an_edition(
    run: Attached,
) -> None:
    metrics, editions = fresh(run), run.world.registry().editions
    metrics.founded(GENESIS, editions | {1: editions[0]})
    counts = {"alarm": 200, "lights": 300, "music": 300, "weather": 200}
    base = msgspec.structs.replace(run.shards[-1], cold="", kept=counts, traffic=counts)
    shifted = {**counts, "alarm": 20, "music": 480}
    for window, edition, kept, cold in (
        (90, 0, counts, ""), (91, 0, shifted, ""), (92, 0, shifted, "no_half"), (93, 1, counts, ""),
    ):  # fmt: skip
        told_of = msgspec.structs.replace(
            base, window=window, edition=edition, kept=kept, cold=cold
        )
        metrics.shard(told_of, made=False)
        found = scrape(metrics)
        told = {key: value for key, value in found.items() if key[0] == "sluice_selection_drift"}
        if window != 91:
            assert not told, "nothing to compare with"
            continue
        assert len(told) == 4
        for scope, drifts in (("kept", True), ("traffic", False)):
            for statistic in ("psi", "js"):
                value, critical, ratio = (
                    of(found, name, scope=scope, statistic=statistic) or 0.0
                    for name in ("sluice_selection_drift", "sluice_selection_drift_critical",
                                 "sluice_selection_drift_ratio")
                )  # fmt: skip
                assert ratio == value / critical
                assert (ratio > 1) is drifts
            for side in ("window", "reference"):
                assert of(found, "sluice_selection_drift_rows", scope=scope, side=side) == 1000


def test_a_name_that_gets_a_group_of_its_own_is_no_drift(run: Attached) -> None:
    """Names that are no classes are one bin, whatever the policy calls their group."""
    metrics, base = fresh(run), msgspec.structs.replace(run.shards[-1], cold="")
    for window, kept in (
        (90, {"alarm": 300, "lights": 300, OTHER: 300}),
        (91, {"alarm": 300, "lights": 300, OTHER: 100, "brand_new": 200}),
    ):
        metrics.shard(msgspec.structs.replace(base, window=window, kept=kept), made=False)
    assert of(scrape(metrics), "sluice_selection_drift", scope="kept", statistic="psi") == 0


def test_a_scrape_sees_a_whole_window_or_nothing_of_it(run: Attached) -> None:
    """One thread shows shards whose every figure is the window's number; another one scrapes."""
    metrics, last = fresh(run), 300
    torn: list[Any] = []
    done = threading.Event()

    def scrapes() -> None:
        while not done.is_set():
            found = scrape(metrics)
            rows = set(by(found, "sluice_shard_rows", "arm").values())
            ends = of(found, "sluice_window_end_timestamp_seconds")
            if rows and rows != {ends}:
                torn.append((rows, ends))

    reader = threading.Thread(target=scrapes)
    reader.start()
    for window in range(100, last):
        arms = dict.fromkeys(("selected", "audit", "random", "review"), window + 1)
        manifest = msgspec.structs.replace(run.shards[-1], window=window, arms=arms)
        metrics.shard(manifest, made=False)
    done.set()
    reader.join()
    assert not torn


def test_a_lane_that_went_away_leaves_nothing_behind() -> None:
    metrics = Metrics("0", ManualClock())
    metrics.lags({LaneId("u", 0): Lag(5, 2.5), LaneId("u", 1): Lag(0, 0.0)})
    assert by(scrape(metrics), "sluice_lag_records", "lane") == {"u/0": 5, "u/1": 0}
    metrics.lags({LaneId("u", 1): Lag(7, 1.0)})
    assert by(scrape(metrics), "sluice_lag_seconds", "lane") == {"u/1": 1.0}
    metrics.lags({LaneId("u", 0): Lag(None, 90.0)})  # a transaction hides its end: it is behind
    assert by(scrape(metrics), "sluice_lag_records", "lane") == {}
    assert by(scrape(metrics), "sluice_lag_seconds", "lane") == {"u/0": 90.0}


def test_lanes_beyond_the_bound_share_a_series() -> None:
    metrics = Metrics("0", ManualClock())
    metrics.lags({LaneId("u", p): Lag(1, float(p)) for p in range(LANES + 9)})
    records = by(scrape(metrics), "sluice_lag_records", "lane")
    assert len(records) == LANES + 1 and records[OTHER] == 9
    assert by(scrape(metrics), "sluice_lag_seconds", "lane")[OTHER] == LANES + 8


def test_polls_move_lanes_and_the_time() -> None:
    clock = ManualClock()
    metrics = Metrics("0", clock)
    clock.advance(5)
    a, b = LaneId("u", 0), LaneId("u", 1)
    metrics.polled(Polled((), gained=(a, b), lost=(a,)))
    found = scrape(metrics)
    assert by(found, "sluice_lane_moves_total", "move") == {"gained": 2, "lost": 1}
    assert of(found, "sluice_last_poll_timestamp_seconds") == (then := clock.now())
    clock.advance(60)
    metrics.polled(Polled(()), answered=False)  # its brokers are away
    assert of(scrape(metrics), "sluice_last_poll_timestamp_seconds") == then


def test_batches_fall_into_their_buckets() -> None:
    metrics = Metrics("0", ManualClock())
    for seconds in (0.001, 0.005, 0.2, 99.0):
        metrics.batch(10, seconds)
    buckets = by(scrape(metrics), "sluice_batch_duration_seconds_bucket", "le")
    assert (buckets["0.005"], buckets["0.25"], buckets["30.0"], buckets["+Inf"]) == (2, 3, 3, 4)
    assert of(scrape(metrics), "sluice_batch_duration_seconds_count") == 4
    assert of(scrape(metrics), "sluice_scored_records_total") == 40


def test_what_happens_rarely_is_told_too() -> None:
    metrics = Metrics("0", ManualClock())
    for call in (metrics.retried, metrics.lost_race, metrics.announced):
        call()
    metrics.dead_letters(3)
    metrics.ahead(2)
    metrics.unrunnable(True)
    metrics.breaker(True)
    found = scrape(metrics)
    for name in ("retries_total", "lost_races_total", "announcements_total", "pin_unrunnable",
                 "breaker_open"):  # fmt: skip
        assert of(found, f"sluice_{name}") == 1, name
    assert of(found, "sluice_dead_letters_total") == 3
    assert of(found, "sluice_ahead_lanes") == 2
