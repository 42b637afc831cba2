"""Two stages for a file: `sluice select` makes and verifies them, `sluice score` shows scores."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from daemon import tables
from daemon.__main__ import main
from daemon.ports import EXIT_OK
from daemon.registry.registry import Registry
from daemon.stores import local
from scoring.models.table import table_files
from tests.offline.small import POLICY, labelled_rows, lay_out, write
from tests.streams import CLASSES

CASCADE = """\
  rolling: null
  capacity_rows: 30
  scores: [{kind: entropy}, {kind: el2n}]
  select: {kind: weighted, options: {score: el2n}}
  cascade:
    candidates: 40
    scores: [{kind: tracin}]
    select: {kind: weighted, options: {score: tracin}}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    lay_out(tmp_path)
    (tmp_path / "cascade.yaml").write_text(POLICY + CASCADE)
    for seed in (1, 2):
        folder = tmp_path / f"step-{seed}"
        folder.mkdir()
        for name, data in table_files(CLASSES, seed=seed).blobs.items():
            (folder / name).write_bytes(data)
    write(tmp_path / "more.jsonl", labelled_rows(400))
    return tmp_path


def given(root: Path) -> list[str]:
    return [
        str(root / "more.jsonl"), "--checkpoint", str(root / "checkpoint"),
        "--policy", str(root / "cascade.yaml"),
        "--history", f"{root / 'step-1'},{root / 'step-2'}",
    ]  # fmt: skip


@pytest.mark.parametrize("windows", ["1", "3"])
def test_a_file_is_selected_in_two_stages_and_verified(
    root: Path, windows: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = root / "kept"
    words = ["--keep", "30", "--noise-rate", "0.1", "--out", str(out), "--windows", windows]
    assert main(["select", *given(root), *words]) == EXIT_OK
    capsys.readouterr()
    assert main(["verify", "last", "-c", str(out / "sluice.yaml")]) == EXIT_OK
    assert len(re.findall("identical", capsys.readouterr().out)) == 3
    registry = Registry(local.build(local.Options(str(out / "store"))))
    made = [n for n in registry.store.list("shards/") if n.endswith("manifest.json")]
    assert len(made) == int(windows) + 1, "and the lesson"
    for name in made[1:]:
        manifest = registry.manifest(int(name.split("/")[1]))
        assert manifest.cascade.candidates == 40 and manifest.cold == ""
        assert 20 < manifest.arms["selected"] <= 30


def test_all_scores_of_a_file_are_shown(root: Path) -> None:
    out = root / "scores.parquet"
    assert main(["score", *given(root), "--out", str(out)]) == EXIT_OK
    columns, _ = tables.decode(out.read_bytes())
    known = [label is not None for label in columns["label"]]
    assert [step is not None for step in columns["score_tracin"]] == known and any(known)
