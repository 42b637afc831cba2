"""The made-up annotator: what it appends depends on the shards, not on when it looks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon import tables
from daemon.clock import ManualClock
from daemon.decode.decoder import AnswerDecoder
from daemon.demo.annotator import LaneFile, Timing, annotate, read_truth
from daemon.policy import LabelMap, Limits
from daemon.ports import EXIT_DEPENDENCY, Fatal, Retry, Store
from daemon.shards import shard
from daemon.stores import local
from daemon.stores.memory import MemoryStore
from scoring.types import Reason

TIMING = Timing(first_window=100, last_window=104, period_ms=1_000, lag=3)
TRUTH = {f"u{i}": f"intent {i % 3}" for i in range(30)}


class Scripted(ManualClock):
    """Each sleep lets the next thing happen."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        super().__init__()
        self.steps = list(steps)

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self.steps:
            self.steps.pop(0)()


class Flaky(MemoryStore):
    """Fails to list once."""

    failed = False

    def list(self, prefix: str, after: str = "") -> Any:
        if not self.failed:
            self.failed = True
            raise Retry("not now")
        return super().list(prefix, after)


def publish(store: Store, window: int, ids: Sequence[str] = ("u1", "u2", "u3")) -> None:
    """A shard whose every second row is of the audit arm."""
    arms = [["selected", "random"] if i % 2 else ["audit", "selected"] for i in range(len(ids))]
    columns = {"id": list(ids), "arms": arms}
    name = f"{shard.prefix(window)}rows.parquet"
    store.create(name, tables.encode(columns, {"id": "str", "arms": "strs"}, b""))
    manifest = {"window": window, "rows_object": name, "more": 1}
    store.create(shard.manifest_name(window), json.dumps(manifest).encode())


def lane(folder: Path) -> Path:
    path = folder / "answers" / "00000.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(path: Path, store: Store, *steps: Callable[[], object]) -> list[dict[str, Any]]:
    annotate(store, TRUTH, LaneFile(path), TIMING, Scripted(*steps), patience_seconds=10)
    return written(path)


def test_answers_stand_lag_windows_after_their_shard(tmp_path: Path) -> None:
    store, path = MemoryStore(), lane(tmp_path)
    for window in range(100, 105):
        publish(store, window)
    lines = run(path, store)
    assert lines[0] == {"time": 103_000, "value": {"tick": True}}
    assert lines[1:3] == [
        {"time": 103_000, "value": {"id": "u1", "label": "intent 1", "shard": 100}},
        {"time": 103_001, "value": {"id": "u3", "label": "intent 0", "shard": 100}},
    ]
    answered = [line["value"]["shard"] for line in lines[1:]]
    assert answered == [window for window in range(100, 104) for _ in range(2)]
    assert all(a["time"] <= b["time"] for a, b in pairwise(lines))
    assert path.with_name("00000.jsonl.end").exists()


@given(st.lists(st.integers(1, 3), min_size=2, max_size=5), st.integers(0, 3))
@settings(max_examples=20)
def test_what_is_written_does_not_depend_on_when_shards_appear(
    tmp_path_factory: pytest.TempPathFactory, groups: list[int], pauses: int
) -> None:
    at_once, slowly = MemoryStore(), Flaky()
    windows = list(range(100, 105))
    for window in windows:
        publish(at_once, window)
    steps: list[Callable[[], object]] = [lambda: None] * pauses
    for size in [*groups, 5]:
        some, windows = windows[:size], windows[size:]
        steps.append(lambda some=some: [publish(slowly, window) for window in some])
    folder = tmp_path_factory.mktemp("lanes")
    one = run(lane(folder / "one"), at_once)
    assert run(lane(folder / "two"), slowly, *steps) == one


@given(st.integers(0, 400))
@settings(max_examples=30)
def test_a_killed_annotator_goes_on_where_it_was(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    store = MemoryStore()
    for window in range(100, 105):
        publish(store, window)
    folder = tmp_path_factory.mktemp("lanes")
    whole = lane(folder / "whole")
    run(whole, store)
    path = lane(folder / "cut")
    path.write_bytes(whole.read_bytes()[:cut])
    run(path, store)
    assert path.read_bytes() == whole.read_bytes()


def test_windows_without_audit_rows_or_without_a_shard_still_move_time(tmp_path: Path) -> None:
    store, path = MemoryStore(), lane(tmp_path)
    publish(store, 100, [])
    publish(store, 102, ["nobody"])  # 101 has none: no lane had a record
    publish(store, 104)
    lines = run(path, store)
    assert [line["time"] for line in lines] == [103_000, 103_000, 104_000, 105_000, 106_000]
    assert all(line["value"] == {"tick": True} for line in lines)


def test_a_shard_is_read_only_when_its_manifest_stands(tmp_path: Path) -> None:
    store, path = MemoryStore(), lane(tmp_path)
    store.create(f"{shard.prefix(100)}rows.parquet", b"not yet")
    store.create(f"{shard.PREFIX}000000000100.v2/manifest.json", b"later version")
    with pytest.raises(Fatal, match="no new shard") as caught:
        run(path, store)
    assert caught.value.code == EXIT_DEPENDENCY
    assert len(written(path)) == 1
    assert not path.with_name("00000.jsonl.end").exists()


def test_patience_starts_anew_with_every_shard(tmp_path: Path) -> None:
    store, path = MemoryStore(), lane(tmp_path)
    clock = Scripted()
    for window in range(100, 105):
        clock.steps += [lambda: None, lambda window=window: publish(store, window)]
    annotate(store, TRUTH, LaneFile(path), TIMING, clock, poll_seconds=4, patience_seconds=10)
    assert clock.monotonic() == 40


def test_many_answers_stay_inside_their_window(tmp_path: Path) -> None:
    few = Timing(first_window=5, last_window=5, period_ms=10, lag=2)
    assert [few.time_ms(5, place) for place in (0, 9, 10, 500)] == [70, 79, 79, 79]


def test_ticks_are_refused_and_answers_are_read(tmp_path: Path) -> None:
    store, path = MemoryStore(), lane(tmp_path)
    for window in range(100, 105):
        publish(store, window)
    values = [json.dumps(line["value"]).encode() for line in run(path, store)]
    decoded = AnswerDecoder(LabelMap(), Limits()).decode(values)
    assert [refusal.reason for refusal in decoded.refusals] == [Reason.NO_ID]
    assert {(a.label_source, a.shard) for a in decoded.answers} == {
        ("annotated", window) for window in range(100, 104)
    }


def test_the_command_works_beside_a_store_on_disk(tmp_path: Path) -> None:
    path = lane(tmp_path / "recording")
    truth = tmp_path / "truth.jsonl"
    truth.write_text("".join(f"{json.dumps({'id': k, 'intent': v})}\n" for k, v in TRUTH.items()))
    store = local.build(local.Options(str(tmp_path / "store")))
    command = [sys.executable, "-m", "daemon.demo.annotator", str(path.parent.parent)]
    command += [str(tmp_path / "store"), str(truth), "--first-window", "100", "--last-window"]
    command += ["104", "--period-ms", "1000", "--poll-seconds", "0.01"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for window in range(100, 105):
        publish(store, window)
    said = process.communicate(timeout=60)
    assert (process.returncode, *said) == (0, b"", b"")
    assert read_truth(truth) == TRUTH
    memory = MemoryStore()
    for window in range(100, 105):
        publish(memory, window)
    assert written(path) == run(lane(tmp_path / "again"), memory)
    command += ["--patience-seconds", "0", "--last-window", "999"]
    late = subprocess.run(command, capture_output=True, check=False)
    assert late.returncode == EXIT_DEPENDENCY
    assert b"no new shard" in late.stderr
