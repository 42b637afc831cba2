"""The demo again, through a real Kafka: its records, times and answers, in several processes.

    python -m tests.kafka.demo [FOLDER OF THE DEMO] [SEED]

Two processes of one group read; one is killed (SIGKILL) at a random moment, and another one comes.
A flush record per lane closes the last windows. The digests must be those of the demo, and the
recording of the run must replay to the same shards. Times are the recording's, so topics carry
CreateTime.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from daemon.ports import LaneId
from daemon.recording.playback import LaneReader, Recording, open_recording
from daemon.registry import bundle
from daemon.stores import local
from tests.house.tree import ROOT
from tests.kafka.broker import Broker, Message

SECONDS = 300
DECIDED = ("editions/", "checkpoints/", "keys/")  # the genesis is the log's own


def store_of(folder: Path) -> local.LocalStore:
    store = local.build(local.Options(str(folder)))
    assert isinstance(store, local.LocalStore)
    return store


def digests(folder: Path) -> dict[int, str]:
    """window -> digest of its rows."""
    found = sorted((folder / "shards").glob("*/manifest.json"))
    return {int(p.parent.name): json.loads(p.read_bytes())["rows_digest"] for p in found}


def sluice(*words: object, check: bool = True) -> str:
    """A command to its end; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "daemon", *map(str, words)],
        cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert not check or done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def values(recording: Recording, lane: LaneId) -> list[Message]:
    reader = LaneReader(recording, lane, 1 << 18)
    rows: list[Message] = []
    while (columns := reader.read()) is not None:
        rows += [(v, t) for t, v in zip(columns.times_ms.tolist(), columns.values, strict=True)]
    reader.close()
    return rows


def fill(broker: Broker, recording: Recording, flush_ms: int) -> None:
    """Topics of the same names, with the same times, and a flush record behind each lane."""
    counts: dict[str, int] = {}
    for lane in recording.lanes:
        counts[lane.topic] = max(counts.get(lane.topic, 0), lane.partition + 1)
    for topic, count in counts.items():
        broker.create(topic, count, message_timestamp_type="CreateTime")
    for lane in recording.lanes:
        broker.produce(lane.topic, [*values(recording, lane), (b"{}", flush_ms)], lane.partition)


def configured(folder: Path, work: Path, source: dict[str, Any], store: str) -> Path:
    """The demo's configuration over another source and store."""
    given = yaml.safe_load((folder / "sluice.yaml").read_text())
    given["source"], given["process"] = source, {"threads": 1}
    given["store"] = {"kind": "local", "options": {"path": str(work / store)}}
    path = work / f"{store}.yaml"
    path.write_text(yaml.safe_dump(given))
    return path


def live(config: Path, enough: Callable[[], bool], half: Callable[[], bool], seed: int) -> None:
    """Two processes; one is killed somewhere after the middle, and a third one comes."""
    rng, deadline = random.Random(seed), time.monotonic() + SECONDS
    command = [sys.executable, "-m", "daemon", "run", "-c", str(config)]

    def begin() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)

    running = [begin(), begin()]
    killed = False
    try:
        while not enough():
            assert time.monotonic() < deadline, "it did not come to its end"
            assert all(process.poll() is None for process in running), "a process ended"
            if half() and not killed:
                time.sleep(rng.random() * 2)  # a random moment
                victim = running.pop(rng.randrange(2))
                victim.kill()
                victim.wait()
                running.append(begin())
                killed = True
            time.sleep(0.1)
        assert killed, "it was over before anybody was killed"
        for process in running:
            process.terminate()
        assert [process.wait(60) for process in running] == [0, 0]
    finally:
        for process in running:
            process.kill()
            process.wait()


def main(folder: Path, seed: int) -> None:
    expected, recording = digests(folder / "store"), open_recording(folder / "recording")
    last, period_ms = max(expected), 1000 * yaml.safe_load(
        (folder / "sluice.yaml").read_text())["stream"]["period"]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="demo-kafka-") as name:
        work = Path(name)
        broker = Broker(work / "broker").start()
        try:
            fill(broker, recording, (last + 4) * period_ms)
            kinds = {k: sorted({i.lane.topic for i in recording.lanes.values() if i.kind == k})
                     for k in ("utterances", "labels")}  # fmt: skip
            options = {
                "bootstrap": [broker.bootstrap], "topics": kinds["utterances"],
                "label_topics": kinds["labels"], "group": "demo", "allow_create_time": True,
            }  # fmt: skip
            config = configured(folder, work, {"kind": "kafka", "options": options}, "live")
            origin, target = store_of(folder / "store"), store_of(work / "live")
            for prefix in DECIDED:
                for object_ in origin.list(prefix):
                    target.create(object_, origin.get(object_))
            made = work / "live"
            print("feeding done; two processes read, one will be killed", flush=True)
            live(config, lambda: last in digests(made), lambda: len(digests(made)) > 6, seed)
            found = {w: d for w, d in digests(made).items() if w <= last}
            assert found == expected, sorted(w for w in expected if found.get(w) != expected[w])
            rolled = sluice("roll", last, "-c", config)
            sluice("record", work / "recording", "-c", config)
            replay = {"kind": "replay", "options": {"path": str(work / "recording")}}
            again = configured(folder, work, replay, "replay")
            sluice("run", "-c", again)
            assert digests(work / "replay") == digests(made), "the recording replays otherwise"
            (name_,) = re.findall(r"rolling/\d+-([0-9a-f]+)\.parquet", rolled)[:1]
            shown = (folder / "store" / "rolling").glob(f"{last:012d}-{name_}*.parquet")
            assert list(shown), "the rolling reservoir is not that of the demo"
            lanes = bundle.closings(target, tuple(recording.lanes))
            print(f"demo: ok shards={len(found)} parts={sum(map(len, lanes.values()))} "
                  f"digest={name_} as-the-demo=identical replay=identical")  # fmt: skip
        finally:
            broker.close()


if __name__ == "__main__":
    given = sys.argv[1:]
    main(Path(given[0] if given else "demo").resolve(), int(given[1]) if given[1:] else 0)
