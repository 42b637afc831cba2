"""kill -9 at every kind of object, with a real store on a disk and a real recording (law 6).

A crash anywhere leaves whole objects only; the next process resumes at the end of each lane's
newest part, and in the end the shards are those of a run that nobody disturbed.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec
import pytest

from daemon import tables
from daemon.lanes import part as parts
from daemon.ports import Store
from daemon.recording.writer import RecordingWriter, Topic
from daemon.stores import local
from tests.cases import Case, Schedule, random_case, schedules
from tests.replay.runner import Order, Report
from tests.worlds import outcome, play, publish_all

ROOT = Path(__file__).parents[2]
KINDS = (  # prefix and suffix of each kind of object that a run creates
    ("genesis", ".json"),
    ("pins/", ".json"),
    ("ledgers/", ".parquet"),
    ("parts/", ".parquet"),
    ("shards/", ".parquet"),
    ("shards/", "manifest.json"),
)
MOMENTS = ("before", "linked", "after")


class Runner:
    """The process that forks the ones that die."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.replay.runner"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def __call__(self, order: Order) -> Report:
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(tables.canonical(order) + b"\n")
        stdin.flush()
        return msgspec.json.decode(_line(stdout), type=Report)

    def close(self) -> None:
        self.process.communicate(timeout=30)


def _line(stream: IO[bytes]) -> bytes:
    line = stream.readline()
    assert line, "the runner itself is gone"
    return line


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    made = Runner()
    yield made
    made.close()


def record(case: Case, folder: Path) -> None:
    """The case as a recording in a folder."""
    counts: dict[str, int] = {}
    for lane in case.records:
        counts[lane.topic] = counts.get(lane.topic, 0) + 1
    kinds = {lane.topic: case.kinds[lane] for lane in case.records}
    topics = [Topic(t, f"id-{t}", kinds[t], n) for t, n in counts.items()]  # type: ignore[arg-type]
    with RecordingWriter(folder, topics) as writer:
        for lane, rows in case.records.items():
            positions = [i * case.step for i in range(len(rows))]
            writer.lane(lane).append(positions, [t for t, _ in rows], [v for _, v in rows])


def check_whole(store: Store) -> None:
    """Whatever can be listed can be read, and names only what is there."""
    for name in store.list(""):
        data = store.get(name)
        if name.startswith("parts/"):
            ledger = parts.decode(data).manifest.ledger
            assert not ledger or store.get(ledger)
        elif name.endswith(".parquet"):
            tables.decode(data)
        elif name.endswith(".json"):
            msgspec.json.decode(data)
        if name.endswith("manifest.json") and name.startswith("shards/"):
            assert store.get(msgspec.json.decode(data)["rows_object"])


def ends(store: Store, case: Case) -> dict[str, int]:
    """Where each lane's newest part ends."""
    found = {}
    for lane in case.records:
        names = list(store.list(parts.prefix(lane)))
        found[str(lane)] = parts.read_manifest(store.get(names[-1])).end if names else 0
    return found


def check_chain(runner: Runner, folder: Path, seed: int, nth: int) -> None:
    """One store, killed once at every kind and moment, then left in peace."""
    case = random_case(seed, windows=7)
    expected = outcome(play(case, Schedule()))
    record(case, folder / "recording")
    store = local.build(local.Options(str(folder / "store")))
    publish_all(case, store)
    killed = 0
    points = [(*kind, moment) for kind in KINDS for moment in MOMENTS]
    for number, (prefix, suffix, moment) in enumerate([*points, ("", "", "")]):
        way = schedules(seed + number, 3)[2]
        stands = ends(store, case)
        order = Order(
            str(folder / "store"), str(folder / "recording"), case.stream,
            case.editions[0].policy, way.seed, way.batch_records,
            prefix, suffix, 1 if prefix == "genesis" else nth, moment or "before",
        )  # fmt: skip
        report = runner(order)
        killed += report.status == signal.SIGKILL
        assert report.status in {0, signal.SIGKILL}
        if report.stood:
            assert report.stood == stands, "resume is the end of the newest part"
        check_whole(store)
    assert killed > 8 // nth
    assert outcome(store) == expected


def test_kill_9_at_every_kind_of_object(runner: Runner, tmp_path: Path) -> None:
    check_chain(runner, tmp_path, 705, 1)


@pytest.mark.slow
@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("seed", [702, 703, 704])
def test_kill_9_at_later_objects(runner: Runner, tmp_path: Path, seed: int, nth: int) -> None:
    check_chain(runner, tmp_path, seed, nth)


def test_a_lane_resumes_by_its_parts_and_not_by_what_was_committed(
    runner: Runner, tmp_path: Path
) -> None:
    """A crash in the very first window has no part: the genesis says where to begin."""
    case = random_case(705)
    record(case, tmp_path / "recording")
    store = local.build(local.Options(str(tmp_path / "store")))
    publish_all(case, store)
    order = Order(
        str(tmp_path / "store"), str(tmp_path / "recording"), case.stream,
        case.editions[0].policy, 1, 5, "parts/", "", 1,
    )  # fmt: skip
    assert runner(order).status == signal.SIGKILL
    assert ends(store, case) == dict.fromkeys(map(str, case.records), 0)
    report = runner(msgspec.structs.replace(order, prefix=""))
    assert report.status == 0
    assert set(report.stood.values()) == {0}
