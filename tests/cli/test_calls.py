"""Wrong calls: the code, and the one line that helps the person who typed them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.__main__ import main
from daemon.ports import EXIT_CONFIG, EXIT_OK, EXIT_STATE, EXIT_WRITE
from scoring.catalogue import catalogue
from tests.cli.test_commands import call, publish, root

__all__ = ["root"]  # the fixture

MISTYPED = {
    "ru": "did you mean run? (see sluice --help)",
    "config chek": "did you mean check? (see sluice config --help)",
    "verify last --grade logs": "did you mean log?",
    "kinds stres": "did you mean stores?",
    "demo --records 0": "argument --records: must be a whole number, 200 or more",
    "demo --records -3": "argument --records: must be a whole number, 200 or more",
    "demo --lanes 0": "argument --lanes: must be a whole number, 1 or more",
    "demo --batch-records 0": "argument --batch-records: must be",
    "demo --threads none": "argument --threads: must be",
    "demo --order best": "argument --order: must be a whole number",
    "report last --windows 0": "argument --windows: must be a whole number, 1 or more",
    "skip u/0 -- -5": "argument WINDOW: must be a whole number",
    "skip u/0 1234567890123": "argument WINDOW: must be a whole number",
}


@pytest.mark.parametrize("words", MISTYPED)
def test_a_word_that_is_none_is_told_before_any_work(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == EXIT_CONFIG
    assert MISTYPED[words] in capsys.readouterr().err


def test_what_is_named_and_is_not_there(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, checkpoint = str(root / "sluice.yaml"), str(root / "checkpoint")
    (root / "empty").mkdir()
    wrong = (
        (["publish", str(root / "nope")], EXIT_CONFIG, "nope is no folder. a checkpoint is"),
        (["publish", config], EXIT_CONFIG, "sluice.yaml is no folder"),
        (["publish", str(root / "empty")], EXIT_STATE, "none of model.safetensors"),
        (["publish", checkpoint, "--sample", str(root)], EXIT_CONFIG, f"sample {root}: Is a dir"),
        (["publish", checkpoint, "--from", "9" * 20], EXIT_CONFIG, "is no time. write 2024-06"),
        (["publish", "--watch", str(root / "nope")], EXIT_CONFIG, "nope is no folder to watch"),
    )
    for words, code, said in wrong:
        assert call(root, *words) == code, words
        assert said in capsys.readouterr().err, words
    assert not (root / "store" / "editions").exists()
    for words, code, said in (
        (["checkpoint", "export", str(root / "nope"), "x"], EXIT_CONFIG, "nope is no folder"),
        (["checkpoint", "export", checkpoint, checkpoint], EXIT_CONFIG, "exists already"),
        (["demo", "--out", str(root)], EXIT_CONFIG, "is no demo"),
        (["demo", "--out", "/proc/nothing"], EXIT_WRITE, "cannot make /proc/nothing"),
    ):
        if words[0] == "demo" and code == EXIT_CONFIG:
            (root / "sluice.yaml").rename(root / "other.yaml")
        assert main(words) == code, words
        assert said in capsys.readouterr().err, words


@pytest.mark.parametrize(
    "words", [["why", "caf\udce9"], ["forget", "--id", "a", "--id", "caf\udce9"],
              ["forget", "--user", "caf\udce9"]],
)  # fmt: skip
def test_a_name_that_is_no_utf8_is_of_no_record(
    root: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Python gives a command's bytes that are no UTF-8 as halves of characters."""
    assert call(root, *words) == EXIT_CONFIG
    said = capsys.readouterr().err
    assert "a name is no UTF-8. no record has such an id" in said and "caf" not in said


def test_wrong_data_cost_nobody_an_earlier_demo(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "sluice.yaml").write_text("")
    words = ["demo", "--out", str(tmp_path / "demo"), "--data", str(tmp_path / "nope")]
    assert main(words) == EXIT_CONFIG
    assert (tmp_path / "demo" / "sluice.yaml").is_file()


def test_check_takes_the_file_as_every_command_does(root: Path) -> None:
    path = str(root / "sluice.yaml")
    assert main(["config", "check", path]) == EXIT_OK
    assert main(["config", "check", "-c", path]) == EXIT_OK
    assert main(["config", "check"]) == EXIT_OK, "of the folder where one stands"
    (root / "sluice.yaml").write_text("")
    assert main(["config", "check"]) == EXIT_CONFIG


def test_a_time_is_a_window_of_the_store_not_of_the_file(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The period is fixed in the genesis: a file that says another one moves no edition."""
    assert publish(root, "--from", "0") == EXIT_OK
    assert call(root, "run") == EXIT_OK
    path = root / "sluice.yaml"
    path.write_text(path.read_text().replace("period: 1,", "period: 5,"))
    capsys.readouterr()
    assert publish(root, "--from", "1970-01-01T00:00:10Z") == EXIT_OK
    assert capsys.readouterr().out.splitlines()[1].split("\t")[3] == "10"


def test_kinds_list_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kinds"]) == EXIT_OK
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    options = {(what, kind): given for what, kind, given, _ in rows}
    assert options[("stores", "local")] == "path"
    assert options[("policies", "default")] == "score='entropy', eps=0.3"
    assert options[("scores", "el2n")] == "-"
    assert options[("policies", "coverage")].startswith("score='entropy', strata=20, eps=0.02")


def test_scores_say_what_they_need_and_cost(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scores"]) == EXIT_OK
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.split("\t") == ["score", "options", "needs", "cost", "source", "summary"]
    rows = {name: cells for name, *cells in (line.split("\t") for line in lines)}
    assert [*rows] == [entry.name for entry in catalogue()]
    assert rows["forgetting"][:3] == ["-", "history, label", "checkpoints"]
    assert rows["entropy"][1] == "-", "it needs nothing"
    for entry in catalogue():
        assert rows[entry.name][3:] == [entry.source, entry.summary]


@pytest.mark.slow
def test_a_demo_that_is_interrupted_leaves_no_process_and_says_130(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "daemon", "demo", "--out", str(tmp_path / "demo")]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=Path.cwd(), start_new_session=True
    ) as process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if " started " in line:
                os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.returncode == 130
    assert "Traceback" not in said
    shutil.rmtree(tmp_path / "demo")
