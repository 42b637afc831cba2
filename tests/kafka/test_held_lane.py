"""One lane held back by an open transaction: who waits, who is named, and how they are freed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from prometheus_client.parser import text_string_to_metric_families

from daemon.lanes import part as parts
from daemon.ports import EXIT_OK, LaneId, Store
from daemon.stores import local
from tests.kafka.broker import CLIENT, Broker, free_port, unique
from tests.kafka.live import configure, fill, kafka, renamed
from tests.kafka.test_marks import BUSY, QUIET, case_of, spoken
from tests.kafka.test_process import ask, named, sluice, until
from tests.kafka.test_record import call, digests, replay
from tests.monitoring.cases import s
from tests.monitoring.test_alerts import check, timeline
from tests.selection import WAITS
from tests.worlds import publish_all, shards

SEEN, HIDDEN, BEHIND = [5, 6], [7], [7, 8, 20]  # windows of the lane that is held
EACH = 4  # records of a window
HELD, LAST = 9, 22  # window 10 wants what the shard of 6 teaches; windows 5 to 22 can be closed


@contextmanager
def hanging(broker: Broker, lane: LaneId) -> Iterator[KafkaProducer]:
    """A transaction with some records in it, open until somebody ends it."""
    producer = KafkaProducer(
        bootstrap_servers=broker.bootstrap, transactional_id=unique("writer"),
        transaction_timeout_ms=600_000, **CLIENT,
    )  # fmt: skip
    producer.init_transactions()
    producer.begin_transaction()
    for time_ms, value in spoken(QUIET, HIDDEN, EACH):
        producer.send(lane.topic, value, partition=lane.partition, timestamp_ms=time_ms)
    producer.flush()
    yield producer
    producer.close()


def given(store: Store, lane: LaneId) -> list[int]:
    """Windows of the lane's parts."""
    manifests = (parts.read_manifest(store.get(name)) for name in store.list(parts.prefix(lane)))
    return [window for m in manifests for window in range(m.window, m.through + 1)]


def lags(port: int) -> dict[str, dict[str, float]]:
    """Name of a series -> lane -> value, as a scrape sees them now."""
    found: dict[str, dict[str, float]] = {"sluice_lag_seconds": {}, "sluice_lag_records": {}}
    for family in text_string_to_metric_families(ask(port, "metrics")[1]):
        for sample in family.samples:
            if sample.name in found:
                found[sample.name][sample.labels["lane"]] = sample.value
    return found


def alerted(folder: Path, before: dict[str, dict[str, float]], now: Any, lane: LaneId) -> None:
    """The chart's rule over what was scraped twice names this lane, and no other."""
    lines = {
        s(name, lane=label): f"{before[name][label]:.0f}+{60 * (value > before[name][label]):d}x30"
        for name, samples in now.items()
        for label, value in samples.items()
    }
    firing = 'count by (lane) (ALERTS{alertname="SluiceLaneHeld", alertstate="firing"})'
    looks = [
        {"expr": firing, "eval_time": "9m", "exp_samples": []},
        {"expr": firing, "eval_time": "30m",
         "exp_samples": [{"labels": f'{{lane="{lane}"}}', "value": 1}]},
    ]  # fmt: skip
    test = timeline(lines, {}, "SluiceLaneHeld") | {"promql_expr_test": looks}
    code, said = check(folder, [test])
    assert code == 0, said


@pytest.mark.slow
def test_a_lane_behind_an_open_transaction_is_named_skipped_and_read_late(
    broker: Broker, tmp_path: Path
) -> None:
    busy = spoken(BUSY, range(5, 25), EACH)
    plain = case_of(spoken(QUIET, SEEN, EACH), busy)
    names = fill(broker, plain.records)
    case = renamed(case_of(spoken(QUIET, [*SEEN, *BEHIND], EACH), busy), names)
    held, other = LaneId(names["u"], 0), LaneId(names["u"], 1)
    config = named(configure(tmp_path, case, kafka(broker, case), name="live", store="live"))
    port = free_port()
    config.write_text(config.read_text() + f"http: {{port: {port}}}\n")
    store = local.build(local.Options(str(tmp_path / "live")))
    publish_all(case, store)
    with hanging(broker, held) as producer:
        broker.produce(held.topic, [(v, t) for t, v in spoken(QUIET, BEHIND, EACH)])
        with sluice(config, tmp_path / "log") as process:
            until(lambda: given(store, other) == list(range(5, HELD + 1)))
            before = until(lambda: str(held) in (a := lags(port))["sluice_lag_seconds"] and a)
            now = until(lambda: (a := lags(port)) != before and a)
            assert str(held) not in now["sluice_lag_records"], "nobody knows its end"
            assert now["sluice_lag_records"][str(other)] > 0
            alerted(tmp_path, before, now, held)
            assert sorted(shards(store)) == [5] and given(store, held) == [5]
            assert given(store, other) == list(range(5, HELD + 1)), "it waits for what 6 teaches"

            assert call("skip", held, HELD, "-c", config) == EXIT_OK
            until(lambda: given(store, other) == list(range(5, HELD + WAITS.lag + 1)))
            assert sorted(shards(store)) == list(range(5, HELD + 1))

            producer.abort_transaction()
            until(lambda: max(shards(store)) == LAST)
            until(lambda: lags(port)["sluice_lag_records"].get(str(held)) == 0)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == EXIT_OK
    made = shards(store)
    assert sorted(made) == list(range(5, LAST + 1))
    late = {window: m.counts["late"] for window, m in made.items() if m.counts["late"]}
    assert late == {HELD + 1: 3 * EACH}, "what was skipped, and neither more nor the aborted ones"
    assert sum(m.counts["records"] for m in made.values()) == EACH * (LAST - 4 + 5)
    assert call("record", tmp_path / "whole", "-c", config) == EXIT_OK
    assert replay(tmp_path, case, "whole", "again") == digests(tmp_path / "live")
