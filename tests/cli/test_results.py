"""What a script gets: results on standard output, a log that is JSON alone, one code a meaning."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from daemon.__main__ import main
from daemon.ports import EXIT_CONFIG, EXIT_OK, EXIT_STATE, LaneId
from daemon.recording.writer import RecordingWriter, Topic
from scoring.gates import Gate
from scoring.models.table import table_files
from scoring.remedies import REMEDIES
from tests.cli.test_commands import call, publish, root
from tests.streams import CLASSES, PERIOD_MS, say

__all__ = ["root"]  # the fixture

Capture = pytest.CaptureFixture[str]


def logged(text: str) -> list[dict[str, Any]]:
    """Every line of a log, all of them JSON."""
    return [json.loads(line) for line in text.splitlines()]


def test_a_script_reads_the_edition_from_standard_output(root: Path, capsys: Capture) -> None:
    assert publish(root, "--from", "3", "--json") == EXIT_OK
    out, err = capsys.readouterr()
    made = json.loads(out)
    edition = json.loads((root / "store/editions/000000.json").read_bytes())
    assert made == {
        "edition": 0, "checkpoint": edition["checkpoint"], "classes": len(CLASSES),
        "from_window": 3, "half_rows": 300,
    }  # fmt: skip
    assert "published edition 0, from the genesis on" in err
    assert "  ok   trained: " in err
    assert publish(root, "--from", "4") == EXIT_OK
    head, row = capsys.readouterr().out.splitlines()
    assert dict(zip(head.split("\t"), row.split("\t"), strict=True))["edition"] == "1"


def test_a_gate_that_fails_says_what_to_do(root: Path, capsys: Capture) -> None:
    assert publish(root, "--from", "0") == EXIT_OK
    for name, data in table_files(CLASSES[:2]).blobs.items():
        (root / "checkpoint" / name).write_bytes(data)
    capsys.readouterr()
    assert publish(root, "--from", "0", "--json") == EXIT_STATE
    out, err = capsys.readouterr()
    assert out == "", "nothing was published"
    lines = err.splitlines()
    failed = next(at for at, line in enumerate(lines) if line.startswith("  FAIL labels: "))
    assert lines[failed + 1].strip() == REMEDIES[Gate.LABELS]
    assert "--allow-missing-labels" in lines[failed + 1]


def test_every_gate_has_a_remedy_of_its_own() -> None:
    assert set(REMEDIES) == set(Gate)
    assert len(set(REMEDIES.values())) == len(Gate)
    assert all("\n" not in line and len(line) > 30 for line in REMEDIES.values())


def test_the_log_of_a_run_is_json_alone(root: Path, capsys: Capture) -> None:
    """Whatever is told on the way: a cold window, a mapping that fits nothing, the end of it."""
    path = root / "sluice.yaml"
    text = path.read_text()
    path.write_text(text.replace("label: label", "text: nowhere, label: label"))
    publish(root, "--from", "0")
    capsys.readouterr()
    assert call(root, "run") == EXIT_OK
    said = {line["event"]: line for line in logged(capsys.readouterr().err)}
    assert said["all_refused"]["level"] == "warning"
    assert "does policy.record name the fields" in said["all_refused"]["message"]
    assert not said["stopped"].keys() - {"ended", "records", "shards", "time", "level", "event"}
    path.write_text(text.replace("grace: 1", "grace: 0"))
    assert call(root, "run") == EXIT_STATE
    (failed,) = [line for line in logged(capsys.readouterr().err) if line["event"] == "failed"]
    assert (failed["code"], failed["level"]) == (EXIT_STATE, "error")
    path.write_text(text.replace("capacity_rows: 1", "capazity_rows: 1"))
    assert call(root, "run") == EXIT_CONFIG
    assert [line["event"] for line in logged(capsys.readouterr().err)] == ["failed"] * 2
    assert main(["run", "-c", str(root / "none.yaml")]) == EXIT_CONFIG
    assert logged(capsys.readouterr().err)[0]["event"] == "failed"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_the_start_is_no_failure(tmp_path: Path, number: signal.Signals) -> None:
    """The process waits for the writer of a pipe: it has begun, and nothing is at hand yet."""
    os.mkfifo(tmp_path / "sluice.yaml")
    command = [sys.executable, "-m", "daemon", "run", "-c", str(tmp_path / "sluice.yaml")]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        with (tmp_path / "sluice.yaml").open("w"):  # blocks until it reads
            # one that comes between two instructions and the read is not seen before the next
            for _ in range(100):
                process.send_signal(number)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.5)
                    break
            assert process.poll() == EXIT_OK
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_a_cold_window_is_told_in_the_log(root: Path, capsys: Capture) -> None:
    path = root / "sluice.yaml"
    path.write_text(path.read_text().replace("assumed_rate: 0.1", "margin: 1.0"))
    publish(root, "--from", "0")
    capsys.readouterr()
    assert call(root, "run") == EXIT_OK
    (cold,) = [line for line in logged(capsys.readouterr().err) if line["event"] == "cold"]
    assert cold["message"].startswith("window 5 is selected uniformly: no audit answers yet")


def test_what_the_store_does_not_hold_is_78_and_what_is_no_word_at_all_is_64(
    root: Path, capsys: Capture
) -> None:
    absent = (
        ["run"], ["why", "a"], ["verify", "last"], ["report", "last"], ["registry"],
        ["registry", "last"], ["roll"], ["skip", "u/0", "5"], ["checkpoint", "show", "00"],
    )  # fmt: skip
    for words in absent:
        assert call(root, *words) == EXIT_STATE, words
    assert publish(root, "--from", "0") == EXIT_OK
    assert call(root, "run") == EXIT_OK
    absent = (
        ["verify", "99"], ["report", "shards/99/manifest.json"], ["registry", "99"],
        ["roll", "99"], ["skip", "u/9", "5"], ["skip", "u/0", "5"], ["checkpoint", "show", "zz"],
    )  # fmt: skip
    for words in absent:
        capsys.readouterr()
        assert call(root, *words) == EXIT_STATE, words
        assert len(capsys.readouterr().err.splitlines()) == 1, words
    for words in (
        ["verify", "newest"], ["report", "newest"], ["registry", "newest"], ["roll", "-"],
        ["skip", "u", "5"], ["publish", str(root / "checkpoint"), "--from", "noon"],
    ):  # fmt: skip
        assert call(root, *words) == EXIT_CONFIG, words


def test_registry_knows_the_last_window_and_says_why_an_edition_decided(
    root: Path, capsys: Capture
) -> None:
    assert publish(root, "--from", "99") == EXIT_OK  # edition 0 decides all the same
    assert publish(root, "--from", "9") == EXIT_OK
    assert call(root, "run") == EXIT_OK
    said = {}
    for name in ("last", "12", "store/shards/000000000012/manifest.json", "5"):
        capsys.readouterr()
        assert call(root, "registry", name) == EXIT_OK
        said[name] = capsys.readouterr().out
    assert said["last"] == said["12"] == said["store/shards/000000000012/manifest.json"]
    facts = dict(line.split("\t") for line in said["12"].splitlines())
    assert facts["edition"].startswith("1: of those published when the window was pinned, the hig")
    assert "(9)" in facts["edition"]
    facts = dict(line.split("\t") for line in said["5"].splitlines())
    assert facts["edition"].startswith("0: it decides from the genesis on, until the first window")
    assert call(root, "registry", "--json") == EXIT_OK
    assert logged(capsys.readouterr().out)[0]["first_window"] == 5


def late_world(root: Path) -> None:
    """Windows 5 to 8 of two hundred texts; in window 6 labels of window 5 come."""
    texts = [(5 + n // 50) * PERIOD_MS + n % 50 for n in range(200)]
    topics = (
        Topic("u", "id-u", "utterances", 1),
        Topic("said", "id-said", "labels", 1),
    )
    labels = [json.dumps({"id": f"u{n}", "label": CLASSES[n % 4]}).encode() for n in range(25)]
    with RecordingWriter(root / "late", topics) as writer:
        values = [say(n, f"say {n}", None) for n in range(200)]
        writer.lane(LaneId("u", 0)).append(range(200), texts, values)
        times = [6 * PERIOD_MS + n for n in range(25)]
        writer.lane(LaneId("said", 0)).append(range(25), times, labels)
    path = root / "sluice.yaml"
    text = path.read_text().replace(f"{root}/recording", f"{root}/late")
    path.write_text(text.replace("label_wait: 0, lag: 3", "label_wait: 1, lag: 4"))


def test_why_says_that_a_late_label_came(root: Path, capsys: Capture) -> None:
    late_world(root)
    publish(root, "--from", "0")
    assert call(root, "run") == EXIT_OK
    verdicts = set()
    for number in (*range(25), *range(25, 50)):
        capsys.readouterr()
        assert call(root, "why", f"u{number}") == EXIT_OK
        verdict, _, *rows = capsys.readouterr().out.splitlines()
        facts = dict(row.split("\t") for row in rows)
        assert ("late_label" in facts) == (number < 25), number
        if number < 25:
            in_shard = verdict.split(":")[0] in ("kept", "review")
            assert ("group_in_shard" in facts) == ("weight_in_shard" in facts) == in_shard
            assert facts["late_label"].startswith("one came: ")
            assert ("may have changed" in facts["late_label"]) != in_shard
            verdicts.add(verdict.split(":")[0])
    assert {"kept", "evicted"} <= verdicts, verdicts
