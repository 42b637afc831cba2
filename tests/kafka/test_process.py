"""`sluice run` as an operator sees it: topics in; health, metrics, letters and news out; exit 0."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from daemon.__main__ import main
from daemon.ports import EXIT_OK
from daemon.stores import local
from tests.cases import Case, Edition
from tests.kafka.broker import CLIENT, Broker, free_port
from tests.kafka.live import configure, fill, kafka, renamed
from tests.selection import WAITS
from tests.streams import LaneId, Record, say, small_policy
from tests.worlds import publish_all, shards

SECONDS = 90  # only a failing test waits so long
ROOT = Path(__file__).resolve().parents[2]
CANARY = "the secret garden gate"


def spoken(lane: int) -> list[Record]:
    """Windows 5 to 11 with some records that nobody can read, and with a text to look for."""
    rows: list[Record] = []
    for window in range(5, 12):
        for at in range(8):
            value = say(lane * 1000 + window * 10 + at, f"{CANARY} {at}", "music")
            rows.append((window * 1000 + at, b"{" + value if at == 5 else value))
    return rows


def case() -> Case:
    records = {LaneId("u", 0): spoken(0), LaneId("u", 1): spoken(1)}
    kinds = dict.fromkeys(records, "utterances")
    return Case(records, kinds, WAITS, (Edition(small_policy()),))


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)
    return found


def ask(port: int, path: str) -> tuple[int, str]:
    """Status and body; 0 while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()
    except OSError:
        return 0, ""


def named(config: Path) -> Path:
    """The configuration of a process that runs: its instance has a name, or none."""
    text = config.read_text()
    config.write_text(text.replace(", instance: 'env:NOBODY_HAS_SET_THIS'", ""))
    return config


@contextmanager
def sluice(config: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon in a process of its own."""
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "daemon", "run", "-c", str(config)],
            cwd=ROOT, stderr=errors, stdout=errors,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def said_in(broker: Broker, topic: str) -> list[Any]:
    """Every message of a topic."""
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, **CLIENT)
    try:
        lane = TopicPartition(topic, 0)
        consumer.assign([lane])
        consumer.seek_to_beginning(lane)
        end, found = consumer.end_offsets([lane])[lane], []
        while consumer.position(lane) < end:
            for rows in consumer.poll(500).values():
                found += rows
        return found
    finally:
        consumer.close(autocommit=False)


def test_a_live_run_from_the_first_record_to_sigterm(broker: Broker, tmp_path: Path) -> None:
    plain = case()
    live = renamed(plain, fill(broker, plain.records))
    letters, news = broker.topic("letters"), broker.topic("news")
    config = configure(tmp_path, live, kafka(broker, live), name="live", store="store")
    port = free_port()

    def outlet(topic: str) -> str:
        return f"{{kind: kafka, options: {{bootstrap: ['{broker.bootstrap}'], topic: {topic}}}}}"

    config.write_text(
        named(config).read_text()
        + f"http: {{port: {port}}}\n"
        + f"dead_letters: {{outlet: {outlet(letters)}}}\n"
        + f"announcements: {{outlet: {outlet(news)}, uri: 's3://models/sluice'}}\n"
    )
    store = local.build(local.Options(str(tmp_path / "store")))
    publish_all(live, store)
    log = tmp_path / "log"
    with sluice(config, log) as process:
        until(lambda: ask(port, "readyz")[0] == 200 or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        assert ask(port, "livez")[0] == 200
        made = until(lambda: len(shards(store)) >= 5 and shards(store))
        until(lambda: len(list(store.list("announced/"))) > len(made))  # one says where it began
        status, metrics = ask(port, "metrics")
        assert status == 200
        samples = {s.name: s.value for f in text_string_to_metric_families(metrics)
                   for s in f.samples if not s.labels}  # fmt: skip
        assert samples["sluice_ready"] == 1
        assert samples["sluice_records_total"] >= sum(m.counts["records"] for m in made.values())
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == EXIT_OK
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {"serving", "started", "part", "shard", "stopped"} <= {line["event"] for line in lines}
    assert CANARY not in log.read_text() and CANARY not in metrics
    told = [json.loads(message.value) for message in said_in(broker, news)]
    assert [one["window"] for one in told] == sorted(shards(store))[: len(told)]
    assert all(one["uri"].startswith("s3://models/sluice/shards/") for one in told)
    refused = said_in(broker, letters)
    reasons = {dict(message.headers)["sluice.reason"] for message in refused}
    assert reasons == {b"not_json"}
    in_shards = sum(m.counts["not_json"] for m in shards(store).values())
    assert len({message.key for message in refused}) >= in_shards > 0
    assert CANARY.encode() not in b"".join(message.value or b"" for message in refused)


def test_a_killed_run_goes_on_where_its_parts_end(broker: Broker, tmp_path: Path) -> None:
    """kill -9 after the first shard; the group's session ends, and another process comes."""
    plain = case()
    live = renamed(plain, fill(broker, plain.records))
    config = named(configure(tmp_path, live, kafka(broker, live), name="live", store="store"))
    store = local.build(local.Options(str(tmp_path / "store")))
    publish_all(live, store)
    with sluice(config, tmp_path / "first") as process:
        until(lambda: shards(store) or process.poll() is not None)
        assert process.poll() is None, (tmp_path / "first").read_text()
        os.kill(process.pid, signal.SIGKILL)
    before = shards(store)
    with sluice(config, tmp_path / "second") as process:
        until(lambda: len(shards(store)) >= 5 or process.poll() is not None)
        assert process.poll() is None, (tmp_path / "second").read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == EXIT_OK
    for grade in ("log", "ledger", "manifest"):
        assert main(["verify", "last", "--grade", grade, "-c", str(config)]) == EXIT_OK
    after = shards(store)
    assert before.items() <= after.items()
    assert sum(m.counts["records"] for m in after.values()) == 16 * len(after), "each record once"
