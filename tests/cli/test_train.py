"""`sluice train`: from a file to checkpoints, killed and gone on with, refused with a reason."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from daemon import __main__ as cli
from daemon.demo import encoder
from daemon.ports import EXIT_CONFIG, EXIT_OK, EXIT_STATE, EXIT_WRITE
from daemon.training import joint as joint_subject
from daemon.training.folder import Folder
from scoring import checkpoints
from scoring.training.course import Course
from tests import tiny_bert

SECRET = "zanzibar"
STARTS = {"turn": "turn on the", "set": "set an", "play": "play some music"}


@pytest.fixture(autouse=True)
def small_encoder(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A random BERT of two layers in the place of MiniLM: what is trained matters little here."""
    place = tmp_path_factory.mktemp("encoder")
    (place / "config.json").write_text(json.dumps(tiny_bert.config()))
    (place / "model.safetensors").write_bytes(tiny_bert.weights())
    (place / "tokenizer.json").write_bytes(tiny_bert.tokenizer_json())
    for module in (encoder, joint_subject):
        monkeypatch.setattr(module, "weights_folder", lambda: place)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = []
    for split in ("train", "valid", "test"):
        for intent, start in STARTS.items():
            for what in ("light", "music", "weather"):
                for where in ("kitchen", "b", "c", SECRET):
                    words = [*start.split(), what, "in", where]
                    tags = ["O"] * (len(words) - 3) + ["B-thing", "O", "B-place"]
                    text = " ".join(words)
                    rows.append({"text": text, "intent": intent, "tags": tags, "split": split})
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def train(data: Path, out: Path, *more: str) -> int:
    return cli.main(["train", str(data), "--out", str(out), "--epochs", "4", *more])


def files(out: Path) -> dict[str, bytes]:
    """Every checkpoint's bytes."""
    found = {p.relative_to(out): p for p in out.glob("checkpoints/*/*")}
    return {str(name): path.read_bytes() for name, path in found.items()}


MODELS = {
    "head": (),
    "joint": ("--model", "joint", "--schedule", "dynamic", "--keep", "0.5", "--every", "1"),
}


@pytest.mark.parametrize("model", MODELS)
def test_what_a_training_leaves(
    data: Path, tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert train(data, out, *MODELS[model], "--json", "--checkpoints", "2") == EXIT_OK
    said = capsys.readouterr()
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert [row["split"] for row in rows] == ["valid", "test"]
    assert rows == json.loads((out / "result.json").read_text())
    assert rows[0]["rows"] == 36
    seen = {"head": (4 * 36, 0), "joint": (36 + 3 * 18, 3 * 36)}[model]
    assert (rows[0]["trained"], rows[0]["scored"]) == seen
    assert (rows[0]["slot_f1"] is None) == (model == "head")
    assert 0 <= rows[0]["accuracy"] <= 1
    assert SECRET not in said.out + said.err
    made = sorted((out / "checkpoints").iterdir())
    assert [place.name for place in made] == ["epoch-002", "epoch-004"]
    for place in made:
        checkpoint, _ = checkpoints.read_directory(place, name=place.name)
        assert checkpoint.labels == ("play", "set", "turn")
        assert checkpoint.format == {"head": "onnx", "joint": "hf"}[model]
    first, last = ({n: b for n, b in files(out).items() if e in n} for e in ("002", "004"))
    assert sorted(first.values()) != sorted(last.values())
    if model == "joint":
        lines = (out / "rows.csv").read_text().splitlines()
        assert lines[0] == "row,error,aum,forgetting"
        assert [int(line.split(",")[0]) for line in lines[1:]] == list(range(36))


@pytest.mark.parametrize("model", MODELS)
def test_an_interrupted_training_goes_on_to_the_same_bytes(
    data: Path, tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert train(data, whole, *MODELS[model]) == EXIT_OK
    epoch, keep = Course.epoch, Folder.keep

    def stop(course: Course, *arguments: Any) -> None:
        if course.done == 1:
            raise KeyboardInterrupt
        epoch(course, *arguments)

    def stop_later(folder: Folder, state: Any) -> None:
        if int(state["counts"][0]) == 3:
            raise KeyboardInterrupt  # its checkpoint stands there already
        keep(folder, state)

    monkeypatch.setattr(Course, "epoch", stop)
    assert train(data, parts, *MODELS[model]) == 130
    monkeypatch.setattr(Course, "epoch", epoch)
    monkeypatch.setattr(Folder, "keep", stop_later)
    assert train(data, parts, *MODELS[model]) == 130
    monkeypatch.setattr(Folder, "keep", keep)
    assert train(data, parts, *MODELS[model]) == EXIT_OK
    assert files(parts) == files(whole)
    assert len(files(parts)) == 4 * 3
    done = (parts / "result.json").read_text()
    assert train(data, parts, *MODELS[model]) == EXIT_OK  # nothing is left to do
    assert (parts / "result.json").read_text() == done


def test_a_killed_process_leaves_a_folder_that_goes_on(data: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert train(data, whole, "--rows", "20") == EXIT_OK
    script = (
        "import os, signal, sys\n"
        "from daemon import __main__ as cli\n"
        "from daemon.demo import encoder\n"
        "from daemon.training.folder import Folder\n"
        "from pathlib import Path\n"
        f"encoder.weights_folder = lambda: Path({str(encoder.weights_folder())!r})\n"
        "replace = Path.replace\n"
        "def dying(path, target):\n"
        "    dying.count += path.name == '.state.npz.partial'\n"
        "    if dying.count == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return replace(path, target)\n"
        "dying.count = 0\n"
        "Path.replace = dying\n"
        f"cli.main(['train', {str(data)!r}, '--out', {str(killed)!r}, '--epochs', '4', "
        "'--rows', '20'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": "."}, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert (killed / ".state.npz.partial").is_file()
    assert train(data, killed, "--rows", "20") == EXIT_OK
    assert files(killed) == files(whole)


def test_a_folder_goes_on_that_was_killed_before_it_was_begun(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as first:
        first.setattr(Path, "replace", stop)
        for name in ("out", "other"):
            assert train(data, tmp_path / name) == 130
            assert [p.name for p in (tmp_path / name).iterdir()] == [".training.json.partial"]
    assert train(data, tmp_path / "out") == EXIT_OK
    (tmp_path / "other" / "file").touch()
    assert train(data, tmp_path / "other") == EXIT_CONFIG, "that is of somebody else"


def test_checkpoints_are_in_the_order_of_their_epochs(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    made = [folder.checkpoint(epoch, {"labels.json": b"[]"}) for epoch in (2, 250, 999, 1_000)]
    assert folder.checkpoints() == made


def test_checkpoints_go_into_a_store(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "sluice.yaml"
    config.write_text(
        f"store: {{kind: local, options: {{path: {tmp_path / 'store'}}}}}\n"
        f"source: {{kind: replay, options: {{path: {tmp_path / 'recording'}}}}}\n"
        "policy: {record: {id: id, text: text}}\n"
    )
    assert train(data, tmp_path / "out", "--publish", str(config)) == EXIT_OK
    told = capsys.readouterr()
    said = told.out.splitlines()
    digests = [line.split("\t")[1] for line in said if line.startswith("epoch-")]
    assert len(set(digests)) == 4
    manifests = [p.parent.name for p in (tmp_path / "store").glob("checkpoints/*/checkpoint.json")]
    assert sorted(manifests) == sorted(digests)
    history = ",".join(digest[:12] for digest in digests[:3])
    assert f"epoch-004 -c {config} --history {history}`" in told.err
    assert train(data, tmp_path / "out", "--publish", str(tmp_path / "nope")) == EXIT_CONFIG


def test_what_is_refused_says_why(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert train(data, out) == EXIT_OK
    capsys.readouterr()

    def refused(code: int, said: str, *words: str) -> None:
        assert cli.main(["train", *words]) == code
        error = capsys.readouterr().err
        assert said in error
        assert SECRET not in error

    same = (str(data), "--out", str(out))
    refused(EXIT_CONFIG, "holds another training", *same, "--epochs", "5")
    refused(EXIT_CONFIG, "holds another training", *same, "--epochs", "4", "--seed", "1")
    data.write_text(data.read_text().replace("weather", "songs"))
    refused(EXIT_CONFIG, "holds another training", *same, "--epochs", "4")
    refused(EXIT_CONFIG, "no training", str(data), "--out", str(tmp_path))
    refused(EXIT_CONFIG, "does not exist", str(tmp_path / "nope"), "--out", str(tmp_path / "x"))
    refused(EXIT_STATE, "has 2 layers", str(data), "--out", str(tmp_path / "y"),
            "--model", "joint", "--layers", "3")  # fmt: skip
    refused(EXIT_WRITE, "cannot write", str(data), "--out", "/proc/nowhere")
    one = tmp_path / "one.jsonl"
    one.write_text(json.dumps({"text": SECRET, "intent": "x", "split": "train"}) + "\n")
    refused(EXIT_CONFIG, "single intent", str(one), "--out", str(tmp_path / "z"))
    assert not (tmp_path / "z").exists()


def test_a_damaged_state_is_named(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert train(data, out) == EXIT_OK
    (out / "state.npz").write_bytes((out / "state.npz").read_bytes()[:-100])
    assert train(data, out) == EXIT_STATE
    assert "is damaged" in capsys.readouterr().err
    shutil.rmtree(out)
    assert train(data, out) == EXIT_OK


@pytest.mark.parametrize("words", ["--keep 0", "--keep 1.1", "--keep x", "--offset 1",
                                   "--epochs 0", "--schedule best"])  # fmt: skip
def test_options_out_of_range_are_told(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", "x", "--out", "y", *words.split()])
    assert ended.value.code == EXIT_CONFIG
    assert f"argument {words.split(maxsplit=1)[0]}" in capsys.readouterr().err
