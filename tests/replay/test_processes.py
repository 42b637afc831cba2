"""`sluice run` as processes: signals, rivals on one store, and what is refused at the start."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import msgspec
import pytest
import yaml

from daemon.ports import EXIT_STATE
from daemon.recording.writer import RecordingWriter, Topic
from daemon.stores import local
from tests.cases import Case, Schedule, random_case
from tests.streams import KEY, PERIOD_MS, Record
from tests.worlds import outcome, play, publish_all

ROOT = Path(__file__).parents[2]


def utterances_only(seed: int) -> Case:
    """A case without a gap or labels, so that a live recording of it flows."""
    for number in range(seed, seed + 200):
        case = random_case(number, windows=8)
        lanes = [lane for lane, rows in case.records.items() if rows]
        if {lane.topic for lane in lanes} == {"u"} and len(lanes) == len(case.records) > 1:
            return without_gaps(case)
    raise AssertionError("no such case")


def without_gaps(case: Case) -> Case:
    """Positions one after the other: a lane file that is appended to counts them itself."""
    return Case(case.records, case.kinds, case.stream, case.editions, 1)


class Live:
    """A recording that is written while it is read."""

    def __init__(self, folder: Path, case: Case) -> None:
        self.case, lanes = case, sorted(case.records)
        self.writer = RecordingWriter(
            folder, [Topic("u", "id-u", "utterances", len(lanes))], live=True
        )
        self.lanes = {lane: self.writer.lane(lane) for lane in lanes}
        self.written = dict.fromkeys(lanes, 0)

    def append(self, until_ms: int) -> None:
        """Every record before a time, in the order of its lane."""
        for lane, rows in self.case.records.items():
            first = self.written[lane]
            end = next((i for i, (t, _) in enumerate(rows) if t >= until_ms), len(rows))
            some: list[Record] = rows[first : max(first, end)]
            positions = range(first, first + len(some))
            self.lanes[lane].append(positions, [t for t, _ in some], [v for _, v in some])
            self.lanes[lane].flush()
            self.written[lane] += len(some)


def configure(folder: Path, case: Case, **stream: Any) -> Path:
    """A configuration file over `folder`/store and `folder`/recording, and its key."""
    key = folder / "key"
    if not key.exists():
        key.write_bytes(KEY)
        key.chmod(0o600)
    waits = msgspec.to_builtins(msgspec.structs.replace(case.stream, **stream))
    waits["period"] = f"{PERIOD_MS // 1000}s"
    body = {
        "store": {"kind": "local", "options": {"path": str(folder / "store")}},
        "source": {"kind": "replay", "options": {"path": str(folder / "recording")}},
        "stream": waits,
        "keys": {"file": str(key)},
        "process": {"threads": 1, "batch_records": 4, "poll_records": 8},
        "policy": msgspec.to_builtins(case.editions[0].policy),
    }
    path = folder / "sluice.yaml"
    path.write_text(yaml.safe_dump(body))
    return path


class Sluice:
    """`sluice run` with its log."""

    def __init__(self, config: Path) -> None:
        self.events: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "daemon", "run", "-c", str(config)],
            cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    @property
    def log(self) -> IO[bytes]:
        assert self.process.stderr is not None
        return self.process.stderr

    def read(self) -> bool:
        """One line of the log; False where it ends."""
        line = self.log.readline()
        if line.startswith(b"{"):
            self.events.append(json.loads(line))
        return bool(line)

    def until(self, event: str) -> None:
        while event not in self.names:
            assert self.read(), f"ended before {event}: {self.names}"

    def end(self) -> int:
        while self.read():
            pass
        self.log.close()
        return self.process.wait(timeout=60)

    @property
    def names(self) -> list[str]:
        return [fields["event"] for fields in self.events]


def ready(folder: Path, seed: int) -> tuple[Case, Any, Live]:
    case = utterances_only(seed)
    store = local.build(local.Options(str(folder / "store")))
    publish_all(case, store)
    configure(folder, case)
    return case, store, Live(folder / "recording", case)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_cleanly_and_a_later_run_completes(
    tmp_path: Path, number: signal.Signals
) -> None:
    case, store, live = ready(tmp_path, 800)
    middle = 9 * PERIOD_MS
    live.append(middle)
    first = Sluice(tmp_path / "sluice.yaml")
    first.until("part")  # at work, and the recording is open: it cannot end by itself
    first.process.send_signal(number)
    assert first.end() == 0
    assert first.events[-1]["event"] == "stopped" and not first.events[-1]["ended"]
    live.append(1 << 40)
    live.writer.close()
    second = Sluice(tmp_path / "sluice.yaml")
    assert second.end() == 0
    assert second.events[-1]["ended"]
    assert outcome(store) == outcome(play(case, Schedule()))


def test_two_processes_on_one_store_share_the_work_and_make_the_same_shards(
    tmp_path: Path,
) -> None:
    case, store, live = ready(tmp_path, 800)
    live.append(6 * PERIOD_MS)
    rivals = [Sluice(tmp_path / "sluice.yaml") for _ in range(2)]
    for rival in rivals:
        rival.until("started")
    live.append(1 << 40)
    live.writer.close()
    assert [rival.end() for rival in rivals] == [0, 0]
    assert outcome(store) == outcome(play(case, Schedule()))
    made = [rival.names.count("part") for rival in rivals]
    assert sum(made) == len(list(store.list("parts/"))), "each part has one maker"
    assert all(rival.names[-1] == "stopped" for rival in rivals)


@pytest.mark.parametrize("change", ["key", "grace", "lag", "topic"])
def test_a_store_is_refused_to_another_deployment(tmp_path: Path, change: str) -> None:
    """Law 4: the key, the waits and the topics are fixed for ever in the genesis."""
    case, store, live = ready(tmp_path, 800)
    live.append(1 << 40)
    live.writer.close()
    assert Sluice(tmp_path / "sluice.yaml").end() == 0
    before = list(store.list(""))
    stream = case.stream
    if change == "key":
        (tmp_path / "key").write_bytes(KEY[::-1])
    elif change == "grace":
        configure(tmp_path, case, grace=stream.grace + 1, lag=stream.lag + 1)
    elif change == "lag":
        configure(tmp_path, case, lag=stream.lag + 1)
    else:
        path = tmp_path / "recording" / "recording.json"
        path.write_text(path.read_text().replace("id-u", "id-of-another"))
    assert Sluice(tmp_path / "sluice.yaml").end() == EXIT_STATE
    assert list(store.list("")) == before
