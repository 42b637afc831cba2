"""A small file of rows, a checkpoint whose answers are mostly its labels, and calls of commands."""

from __future__ import annotations

import gzip
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from daemon import tables
from daemon.__main__ import main
from daemon.ports import LaneId
from daemon.recording.writer import RecordingWriter, Topic
from daemon.registry.registry import Registry
from daemon.stores import local
from scoring.models import table
from scoring.models.table import table_files
from tests.streams import CLASSES

Row = dict[str, Any]
DAY_MS = 86_400_000
POLICY = """\
policy:
  engine: {kind: table}
  record: {label: label}
  arms: {audit_rows: 10, random_rows: 10, review_rows: 10}
  groups: {support: 3, limit: 5}
  learning: {minimum_rows: 8}
"""


def labelled_rows(count: int, *, texts: int = 400, noise: float = 0.1, seed: int = 0) -> list[Row]:
    """Rows with repeats; one in ten labels is wrong, a few are missing or unknown."""
    rng = random.Random(seed)
    said = [f"say {int(rng.paretovariate(0.5)) % texts}" for _ in range(count)]
    answers = table.build(table_files(CLASSES), 1).run(said).probs.argmax(axis=1).tolist()
    rows = []
    for at, (text, answer) in enumerate(zip(said, answers, strict=True)):
        wrong = rng.random() < noise
        label = rng.choice([*CLASSES, None, "unheard"]) if wrong else CLASSES[answer]
        time_ms = 9 * DAY_MS + at * 500_000
        lane = f"u/{at % 3}"
        rows.append({"id": f"u{at}", "text": text, "label": label, "at": time_ms, "lane": lane})
    return rows


def answers(rows: list[Row]) -> list[str]:
    """The checkpoint's own, which are the truth here."""
    texts = [row["text"] for row in rows]
    found = table.build(table_files(CLASSES), 1).run(texts).probs.argmax(axis=1).tolist()
    return [CLASSES[answer] for answer in found]


def lines(rows: list[Row]) -> bytes:
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def write(path: Path, rows: list[Row]) -> Path:
    """The rows in the format of the path's name."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(lines(rows)))
    elif path.suffix == ".zst":
        path.write_bytes(pa.compress(lines(rows), "zstd", asbytes=True))
    else:
        path.write_bytes(lines(rows))
    return path


def lay_out(root: Path) -> None:
    """`checkpoint`, a folder; `policy.yaml`, a policy alone."""
    (root / "checkpoint").mkdir()
    for name, data in table_files(CLASSES).blobs.items():
        (root / "checkpoint" / name).write_bytes(data)
    (root / "policy.yaml").write_text(POLICY)


STREAM = """\
store: {{kind: local, options: {{path: {root}/store}}}}
source: {{kind: replay, options: {{path: {root}/recording}}}}
keys: {{file: {root}/key}}
stream: {{period: 1d, grace: 1, label_wait: 1, lag: 4}}
process: {{threads: 1, batch_records: 64}}
"""
DECIDED = """\
  capacity_rows: 30
  quarantine: {assumed_rate: 0.1, minimum_answers: 5}
"""


def run_daemon(root: Path, rows: list[Row]) -> None:
    """The rows as a stream in three lanes, with the truth about audited rows a day later."""
    (root / "key").write_bytes(b"a key of this test, for the stream")
    (root / "key").chmod(0o600)
    (root / "sluice.yaml").write_text(STREAM.format(root=root) + POLICY + DECIDED)
    topics = (Topic("u", "id-u", "utterances", 3), Topic("labels", "id-l", "labels", 1))
    with RecordingWriter(root / "recording", topics) as recording:
        for number in range(3):
            own = rows[number::3]
            recording.lane(LaneId("u", number)).append(
                range(len(own)), [row["at"] for row in own], list(map(msgspec.json.encode, own))
            )
        said = [
            {"id": row["id"], "label": answer, "shard": row["at"] // DAY_MS}
            for row, answer in zip(rows, answers(rows), strict=True)
        ]
        times = [row["at"] + DAY_MS for row in rows]
        recording.lane(LaneId("labels", 0)).append(
            range(len(said)), times, list(map(msgspec.json.encode, said))
        )
    sample = [{"text": row["text"], "label": row["label"]} for row in labelled_rows(300, seed=5)]
    write(root / "sample.jsonl", sample)
    config = ["-c", str(root / "sluice.yaml")]
    publish = ["publish", str(root / "checkpoint"), "--sample", str(root / "sample.jsonl")]
    assert main([*publish, "--from", "0", *config]) == 0
    assert main(["run", *config]) == 0


def call(root: Path, command: str, *words: str) -> int:
    """The command in this process, with the small checkpoint and policy."""
    own = ["--checkpoint", str(root / "checkpoint"), "--policy", str(root / "policy.yaml")]
    return main([command, *(own if "--pins" not in words else []), *words])


KILLED = """\
import os, signal, sys
from daemon.__main__ import main
from daemon.offline import layouts, recorded, scored
from daemon.ports import LaneId
from daemon.recording.writer import RecordingWriter, Topic
from daemon.registry.registry import Registry
layouts.LANE_ROWS = recorded.LANE_ROWS = 300
scored.CHUNK = 200
calls = 0

def killing(inner):
    def call(*given, **named):
        global calls
        calls += 1
        if calls > int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return inner(*given, **named)
    return call

owner, name = {"scored": (scored, "prepared"), "parts": (Registry, "put_part")}[sys.argv[1]]
setattr(owner, name, killing(getattr(owner, name)))
sys.exit(main(sys.argv[3:]))
"""


def killed(what: str, calls: int, *words: str) -> int:
    """The command in a process that kills itself at a call; chunks and lanes are small there."""
    given = [sys.executable, "-c", KILLED, what, str(calls), *words]
    return subprocess.run(given, check=False, capture_output=True).returncode


DEAD = -signal.SIGKILL
NEVER = 1 << 30


def kept(folder: Path) -> list[str]:
    return (folder / "kept.txt").read_text().splitlines()


def shards(folder: Path) -> dict[int, dict[str, Any]]:
    """window -> columns of its shard, of windows that hold rows."""
    registry = Registry(local.build(local.Options(str(folder / "store"))))
    windows = [
        int(n.split("/")[1]) for n in registry.store.list("shards/") if n.endswith("manifest.json")
    ]
    manifests = {w: registry.manifest(w) for w in windows}
    return {
        w: tables.decode(registry.store.get(m.rows_object))[0]
        for w, m in manifests.items()
        if m.counts["records"]
    }


def selected(columns: dict[str, Any]) -> list[str]:
    """Ids of the selected rows."""
    return [n for n, arms in zip(columns["id"], columns["arms"], strict=True) if "selected" in arms]


def private(path: Path) -> bool:
    """Nobody else can read it."""
    return not os.stat(path).st_mode & 0o077
