"""The page on training is true: its commands run, and leave the files that it names."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from daemon.__main__ import main
from daemon.commands.train import COLUMNS
from daemon.demo import encoder
from tests import tiny_bert
from tests.docs.small import blocks, read

PAGE = "docs/training.md"
STARTS = {"on": "turn on the", "set": "set an", "play": "play some music"}


def test_the_commands_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, data in {
        "config.json": json.dumps(tiny_bert.config()).encode(),
        "model.safetensors": tiny_bert.weights(),
        "tokenizer.json": tiny_bert.tokenizer_json(),
    }.items():
        (tmp_path / name).write_bytes(data)
    monkeypatch.setattr(encoder, "weights_folder", lambda: tmp_path)  # a small one is enough here
    rows = [json.loads(block) for block in blocks(PAGE, "json")]
    rows += [
        {"text": f"{start} light {number}", "intent": intent, "split": split}
        for intent, start in STARTS.items()
        for number in range(8)
        for split in ("train", "valid", "test")
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    lines = [line for block in blocks(PAGE, "sh") for line in block.splitlines()]
    assert len(lines) == 2
    for line in lines:
        assert main(shlex.split(line)[1:]) == 0, line
        assert capsys.readouterr().out.startswith("\t".join(COLUMNS))
    files = re.findall(r"^\| `(\S+)` \| (?:the|what|of a)", read(PAGE), re.MULTILINE)
    assert files == ["training.json", "state.npz", "result.json", "rows.csv"]
    assert all((tmp_path / "fewer" / name).is_file() for name in files)
    assert len(list((tmp_path / "trained" / "checkpoints").glob("epoch-*"))) == 4


def test_the_columns_of_the_page_are_those_of_the_table() -> None:
    named = re.findall(r"^\| (`[^|]+`) \|", read(PAGE).partition("## Two models")[0], re.MULTILINE)
    assert [name.strip("`") for row in named for name in row.split(", ")] == list(COLUMNS[2:])
