"""Several corpora in one benchmark: names, a folder of pages for each, one page of all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daemon import __main__ as command_line
from daemon.benchmark import pupils, sets
from daemon.commands import bench
from daemon.ports import Fatal
from tests.tiny_corpus import CORPUS, encode


def written(folder: Path, name: str) -> str:
    rows = [
        json.dumps({"text": row.text, "intent": row.intent, "split": split})
        for split in ("train", "valid", "test")
        for row in getattr(CORPUS, split)
    ]
    path = folder / f"{name}.jsonl"
    path.write_text("\n".join(rows), encoding="utf-8")
    return str(path)


def test_two_corpora_have_folders_and_a_page_in_common(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "_encoder", lambda: encode)
    monkeypatch.setattr(pupils, "STEPS", 60)
    data = [written(tmp_path, "here"), written(tmp_path, "there")]
    common = ["--work", str(tmp_path), "--seeds", "1", "--scenarios", "once", "--budgets", "0.5"]
    arms = ["--arms", "everything,random,el2n.top"]
    assert command_line.main(["bench", "selection", "--data", *data, *common, *arms]) == 0
    out = tmp_path / "docs" / "results"
    names = {"results.json", "tables.md", "goals.md", "seeds.md"}
    for name in ("here", "there"):
        assert names < {path.name for path in (out / name).iterdir()}
        lines = json.loads((out / name / "results.json").read_text(encoding="utf-8"))["lines"]
        assert {line["corpus"] for line in lines} == {name}
        assert len(lines) == 3
    assert {path.name for path in out.iterdir()} == {"here", "there", sets.PAGE}
    page = (out / sets.PAGE).read_text(encoding="utf-8")
    assert "| arm | kept | here | there |" in page
    rows = [line for line in page.splitlines() if line.startswith("| el2n.top")]
    assert len(rows) == 1
    here, there = rows[0].split("|")[3:5]
    assert here == there  # the same rows under two names
    assert "[" in here
    assert "(tables.md)" not in page and "here/tables.md" in page


def test_what_only_one_corpus_has_is_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "_encoder", lambda: encode)
    monkeypatch.setattr(pupils, "STEPS", 20)
    here, there = written(tmp_path, "here"), written(tmp_path, "there")
    common = ["--work", str(tmp_path), "--seeds", "1", "--scenarios", "once", "--budgets", "0.5"]
    one = ["bench", "selection", "--data", here, *common, "--arms", "random,el2n.top"]
    assert command_line.main(one) == 0
    assert (tmp_path / "docs" / "results" / "tables.md").is_file()  # one corpus: no folder
    both = ["bench", "selection", "--data", here, there, *common, "--arms", "random"]
    assert command_line.main(both) == 0
    page = (tmp_path / "docs" / "results" / sets.PAGE).read_text(encoding="utf-8")
    assert "| random |" in page
    assert "el2n.top" not in page


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(Fatal, match="two corpora are called snips"):
        list(sets.named(["a/snips", "b/snips"]))
    assert list(sets.named(["a/snips", "b c"])) == [("snips", "a/snips"), ("b-c", "b c")]
