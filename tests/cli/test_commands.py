"""The commands as a user calls them: one small recording from publish to why, by exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.__main__ import COMMANDS, main
from daemon.ports import EXIT_BUG, EXIT_CONFIG, EXIT_OK, EXIT_STATE, LaneId
from daemon.recording.writer import RecordingWriter, Topic
from scoring.models.table import table_files
from tests.checkpoint_parts import folder, onnx
from tests.streams import CLASSES, KEY, PERIOD_MS, Record, say, stream_of

CANARY = "xyzzy-canary-plugh"
CONFIG = """\
store: {{kind: local, options: {{path: {root}/store}}}}
source: {{kind: replay, options: {{path: {root}/recording}}}}
keys: {{file: {root}/key}}
stream: {{period: {period}, grace: 1, label_wait: 0, lag: 3}}
process: {{threads: 1, batch_records: 16}}
policy:
  engine: {{kind: table}}
  record: {{label: label, intent: intent}}
  capacity_rows: 12
  arms: {{audit_rows: 6, random_rows: 8, review_rows: 6}}
  groups: {{support: 3, limit: 5}}
  learning: {{memory_windows: 4, minimum_rows: 8}}
  quarantine: {{assumed_rate: 0.1}}
  rolling: {{windows: 6, capacity_rows: 16}}
"""


READING = (["why", "a"], ["verify", "last"], ["registry"], ["roll"], ["report", "last"])


def write_recording(folder: Path, records: dict[LaneId, list[Record]]) -> None:
    with RecordingWriter(folder, (Topic("u", "id-u", "utterances", len(records)),)) as writer:
        for lane, rows in records.items():
            out = writer.lane(lane)
            out.append(range(len(rows)), [t for t, _ in rows], [v for _, v in rows])


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording with a canary in it, a checkpoint folder, a key and a configuration: we go in."""
    monkeypatch.chdir(tmp_path)  # a report is written where one stands
    records, _ = stream_of(2, windows=8)
    first = min(records)
    records[first].insert(0, (5 * PERIOD_MS, say(90_001, CANARY, "alarm")))
    records[first].insert(1, (5 * PERIOD_MS, b'{"id": "' + CANARY.encode() + b'", "text": 7}'))
    write_recording(tmp_path / "recording", records)
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for name, data in table_files(CLASSES).blobs.items():
        (folder / name).write_bytes(data)
    key = tmp_path / "key"
    key.write_bytes(KEY)
    key.chmod(0o600)
    sample = [json.dumps({"text": f"reference {n}"}) for n in range(300)]
    (tmp_path / "sample.jsonl").write_text("\n".join(sample))
    text = CONFIG.format(root=tmp_path, period=PERIOD_MS // 1000)
    (tmp_path / "sluice.yaml").write_text(text)
    return tmp_path


def publish(root: Path, *more: str) -> int:
    sample = str(root / "sample.jsonl")
    config = str(root / "sluice.yaml")
    return main(["publish", str(root / "checkpoint"), "-c", config, "--sample", sample, *more])


def call(root: Path, *words: str) -> int:
    return main([words[0], *words[1:], "-c", str(root / "sluice.yaml")])


def test_from_publish_to_why(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert publish(root, "--from", "0") == EXIT_OK
    assert call(root, "run") == EXIT_OK
    assert call(root, "registry") == EXIT_OK
    assert call(root, "registry", "7") == EXIT_OK
    assert call(root, "roll") == EXIT_OK
    assert call(root, "checkpoint", "list") == EXIT_OK
    capsys.readouterr()
    assert call(root, "verify", "last") == EXIT_OK
    said = capsys.readouterr().out
    assert [line.split(" (")[0] for line in said.splitlines()] == [
        "manifest: identical",
        "ledger: identical",
        "log: identical",
    ]
    assert call(root, "why", "u90001") == EXIT_OK
    assert capsys.readouterr().out.split(":")[0] in ("kept", "evicted", "review", "repeated")
    assert call(root, "why", "nobody") == EXIT_OK
    assert capsys.readouterr().out.startswith("never seen")


def test_no_text_in_any_output_but_shards(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The canary is in a text and in the id of a refused record; it must not be told."""
    publish(root, "--from", "0")
    for words in (["run"], ["registry"], ["registry", "5"], ["verify", "5"], ["why", "u90001"]):
        assert call(root, *words) == EXIT_OK
    out, err = capfd.readouterr()
    assert CANARY not in out + err
    names = [p for p in (root / "store").rglob("*") if p.is_file()]
    assert not any(CANARY in str(path) for path in names)
    for path in names:  # registry, ledgers and manifests are free of text; only rows hold it
        kind = path.relative_to(root / "store").parts[0]
        if kind not in ("parts", "shards", "rolling") or path.suffix == ".json":
            assert CANARY.encode() not in path.read_bytes(), kind


def test_an_empty_store_says_what_to_do(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(root, "run") == EXIT_STATE
    assert "sluice publish" in capsys.readouterr().err
    for words in READING:
        assert call(root, *words) == EXIT_STATE, words
        assert "this store is empty: nothing was run here" in capsys.readouterr().err
    assert not (root / "store" / "keys").exists()
    assert call(root, "skip", "u/7", "5") == EXIT_STATE
    publish(root, "--from", "0")
    assert call(root, "run") == EXIT_OK
    capsys.readouterr()
    assert call(root, "skip", "u/7", "5") == EXIT_STATE
    assert "lanes: u/0, u/1" in capsys.readouterr().err


def test_what_does_not_fit_is_said_before_it_costs(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "-c", str(root / "none.yaml")]) == EXIT_CONFIG
    said = capsys.readouterr().err
    assert "none.yaml" in said
    assert "sluice config show" in said
    path = root / "sluice.yaml"
    text = path.read_text()
    path.write_text(text.replace("engine: {kind: table}", "engine: {kind: torch}"))
    assert publish(root, "--from", "0") == EXIT_CONFIG
    assert "set policy.engine.kind to table" in capsys.readouterr().err
    path.write_text(text.replace("label: label", "text: nowhere, label: label"))
    assert publish(root, "--from", "0") == EXIT_OK
    assert "note" not in capsys.readouterr().err
    assert call(root, "run") == EXIT_OK
    said = capsys.readouterr().err
    assert "were refused" in said
    assert "as no_text: does policy.record" in said
    assert '"worst_reason":"no_text"' in said
    assert publish(root, "--from", "3") == EXIT_OK
    assert "are pinned already and keep their edition" in capsys.readouterr().err


def test_the_entry_ends_with_the_code_of_its_command(root: Path) -> None:
    """Its output is whole, though the process says no farewell."""
    for words, code in ((["config", "show"], EXIT_OK), (["--help"], EXIT_OK),
                        (["nonsense"], EXIT_CONFIG),
                        (["registry", "-c", str(root / "none.yaml")], EXIT_CONFIG)):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "daemon", *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == code, words
        assert (done.stdout if code == EXIT_OK else done.stderr).endswith("\n")


def test_a_refused_checkpoint_leaves_the_edition_before(root: Path) -> None:
    assert publish(root, "--from", "0") == EXIT_OK
    fewer = table_files(CLASSES[:2])
    for name, data in fewer.blobs.items():
        (root / "checkpoint" / name).write_bytes(data)
    assert publish(root, "--from", "0") == EXIT_STATE
    editions = list((root / "store" / "editions").iterdir())
    assert [path.name for path in editions] == ["000000.json"]
    assert publish(root, "--from", "0", "--allow-missing-labels") == EXIT_OK


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (("capacity_rows: 12", "capacity_row: 12"), "capacity_rows"),
        (("lag: 3", "lag: 2"), "stream.lag"),
        (("kind: replay", "kind: repaly"), "replay"),
        (("kind: table", "kind: tabel"), "table"),
        (("period: 1,", "period: 0,"), "stream.period"),
    ],
)
def test_a_bad_configuration_is_one_line_and_exit_64(
    root: Path, capsys: pytest.CaptureFixture[str], edit: tuple[str, str], line: str
) -> None:
    path = root / "sluice.yaml"
    text = path.read_text()
    assert edit[0] in text, "the edit must bite"
    path.write_text(text.replace(*edit))
    assert main(["config", "check", str(path)]) == EXIT_CONFIG
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert line in said[0]


def test_another_key_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(root, "--from", "0")
    assert call(root, "run") == EXIT_OK
    (root / "key").write_bytes(b"another key of 32 bytes, at least")
    fingerprints = list((root / "store" / "keys").iterdir())
    capsys.readouterr()
    for words in (["run"], *READING):
        assert call(root, *words) == EXIT_STATE, words
        assert "is not the one this store was begun with" in capsys.readouterr().err
    assert list((root / "store" / "keys").iterdir()) == fingerprints


def test_another_stream_is_refused(root: Path) -> None:
    publish(root, "--from", "0")
    assert call(root, "run") == EXIT_OK
    path = root / "sluice.yaml"
    path.write_text(path.read_text().replace("grace: 1", "grace: 0"))
    assert call(root, "run") == EXIT_STATE


def test_a_bug_is_told_without_what_it_choked_on(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*arguments: object) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr("daemon.commands.registry.open_session", explode)
    assert call(root, "registry") == EXIT_BUG
    said = capsys.readouterr().err
    assert "RuntimeError" in said
    assert CANARY not in said


def test_every_command_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        assert f"sluice {command}" in capsys.readouterr().out, "no example"


def test_sigterm_finishes_and_the_next_run_goes_on(root: Path) -> None:
    publish(root, "--from", "0")
    whole = root / "store-whole"
    path = root / "sluice.yaml"
    text = path.read_text()
    command = [sys.executable, "-m", "daemon", "run", "-c", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=Path.cwd()) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if '"event":"part"' in line:
                process.send_signal(signal.SIGTERM)
                break
        process.stderr.read()
    assert process.returncode == EXIT_OK
    assert call(root, "run") == EXIT_OK
    path.write_text(text.replace(f"{root}/store", str(whole)))
    publish(root, "--from", "0")
    assert call(root, "run") == EXIT_OK

    def digests(store: Path) -> dict[str, str]:
        return {
            str(p.relative_to(store)): json.loads(p.read_bytes())["rows_digest"]
            for p in store.rglob("manifest.json")
        }

    assert digests(root / "store") == digests(whole)
    assert digests(whole)
    assert os.path.exists(whole / "genesis.json")


def test_watch_publishes_what_appears(root: Path) -> None:
    place = root / "incoming"
    place.mkdir()
    (place / "broken").mkdir()
    (place / "broken" / "pytorch_model.bin").write_bytes(b"a pickle")
    folder(place / "another", onnx())  # which the policy's engine does not read
    command = [sys.executable, "-m", "daemon", "publish", "--watch", str(place), "--from", "0"]
    command += ["-c", str(root / "sluice.yaml"), "--sample", str(root / "sample.jsonl")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=Path.cwd()) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "broken refused" in line:
                (root / "checkpoint").rename(place / "good")
            if "published edition 0" in line:
                process.send_signal(signal.SIGINT)
                break
        said += process.stderr.readlines()
    assert process.returncode == 130
    assert any("safetensors" in line for line in said), "a refusal says what to do"
    refused = [json.loads(line) for line in said]
    refused = [line["message"] for line in refused if line["event"] == "refused"]
    assert [line.split(" ")[0] for line in refused] == ["another", "broken"]
    assert "set policy.engine.kind to onnx" in refused[0]
    assert (root / "store" / "editions" / "000000.json").is_file()
