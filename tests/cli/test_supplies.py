"""`sluice publish` names what scores need, says what it costs, and refuses in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daemon.__main__ import main
from daemon.ports import EXIT_CONFIG, EXIT_OK, EXIT_STATE
from scoring.models import table
from scoring.models.table import table_files
from tests.cli.test_commands import CONFIG
from tests.streams import CLASSES

SCORES = "[{kind: entropy}, {kind: forgetting}, {kind: rho_loss}, {kind: slot_trail_entropy}]"


def checkpoint(root: Path, seed: int) -> Path:
    folder = root / f"step-{seed}"
    folder.mkdir()
    for name, data in table_files(CLASSES, seed=seed).blobs.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four checkpoints, a sample of one's own answers with tags, and a configuration."""
    for seed in range(4):
        checkpoint(tmp_path, seed)
    texts = [f"say {n} again" for n in range(300)]
    answers = table.build(table_files(CLASSES), 1).run(texts).logits.argmax(axis=1)
    rows = [
        {"text": text, "label": CLASSES[(answer + (n % 4 == 3)) % 4], "tags": f"O B-n{n % 3} O"}
        for n, (text, answer) in enumerate(zip(texts, answers.tolist(), strict=True))
    ]
    (tmp_path / "sample.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "key").write_bytes(b"k" * 32)
    (tmp_path / "key").chmod(0o600)
    base = CONFIG.format(root=tmp_path, period="1s")
    (tmp_path / "sluice.yaml").write_text(
        f"{base}  scores: {SCORES}\n  select: {{kind: uniform}}\n"
    )
    (tmp_path / "recording").mkdir()
    return tmp_path


def publish(root: Path, seed: int, *more: str) -> int:
    named = ["-c", str(root / "sluice.yaml"), "--sample", str(root / "sample.jsonl")]
    return main(["publish", str(root / f"step-{seed}"), *named, "--from", "0", *more])


def test_checkpoints_are_named_by_folder_or_digest(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with (root / "sluice.yaml").open("a") as file:
        file.write("  calibrate: temperature\n  history: 4\n")
    folders = f"{root / 'step-1'},{root / 'step-2'}"
    assert publish(root, 0, "--history", folders, "--reference", str(root / "step-3")) == EXIT_OK
    told = capfd.readouterr().err
    assert "temperature " in told and "expected calibration error 0." in told
    assert "policy.scores run 4 checkpoints forward for each text" in told
    assert "policy.history asks for 4 checkpoints, the edition has 3" in told
    edition = json.loads((root / "store" / "editions" / "000000.json").read_bytes())
    assert len(edition["supplied"]["history"]) == 2
    assert len(edition["supplied"]["trails"]) == 4
    config = ["-c", str(root / "sluice.yaml")]
    assert main(["checkpoint", "show", *config, edition["checkpoint"][:16]]) == EXIT_OK
    shown = capfd.readouterr().out
    assert "edition 0: temperature " in shown and "after, of 300 rows" in shown
    starts = ",".join(digest[:12] for digest in edition["supplied"]["history"])
    again = ["--history", starts, "--reference", edition["supplied"]["reference"]]
    assert publish(root, 0, *again) == EXIT_OK
    second = json.loads((root / "store" / "editions" / "000001.json").read_bytes())
    assert second["supplied"] == edition["supplied"]


def test_trusted_rows_become_a_direction(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = (root / "sluice.yaml").read_text().replace(SCORES, "[{kind: influence}]")
    (root / "sluice.yaml").write_text(config)
    assert publish(root, 0) == EXIT_CONFIG
    assert "score 'influence' needs 'direction'" in capfd.readouterr().err
    trusted = root / "trusted.jsonl"
    lines = (root / "sample.jsonl").read_text().splitlines()
    trusted.write_text("\n".join(lines[::5]))
    assert publish(root, 0, "--trusted", str(trusted)) == EXIT_OK
    edition = json.loads((root / "store" / "editions" / "000000.json").read_bytes())
    assert edition["supplied"]["direction"]["classes"] == len(CLASSES)
    assert set(edition["half"]["histograms"]) == {"influence"}
    assert len(edition["half"]["histograms"]["influence"]) > 2
    trusted.write_text('{"text": "nobody said what this is"}')
    capfd.readouterr()
    assert publish(root, 0, "--trusted", str(trusted)) == EXIT_CONFIG
    assert "no label of the trusted rows is one" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("more", "code", "line"),
    [
        ((), EXIT_CONFIG, "score 'forgetting' needs 'history'"),
        (("--history", "{root}/step-1"), EXIT_CONFIG, "score 'rho_loss' needs 'reference'"),
        (("--history", "feed"), EXIT_STATE, "no checkpoints begin with 'feed'"),
        (("--history", "{root}/step-1,{root}/step-1"), EXIT_CONFIG, "names a checkpoint twice"),
    ],
)
def test_what_lacks_is_said_in_one_line(
    root: Path, capfd: pytest.CaptureFixture[str], more: tuple[str, ...], code: int, line: str
) -> None:
    assert publish(root, 0, *(text.format(root=root) for text in more)) == code
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert line in last
    assert not list((root / "store").glob("editions/*.json"))


def test_a_sample_whose_tags_do_not_fit_names_its_line(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with (root / "sample.jsonl").open("a") as file:
        file.write('\n{"text": "two words", "tags": ["O"]}')
    assert publish(root, 0) == EXIT_CONFIG
    assert "line 301 has 1 tags for 2 words" in capfd.readouterr().err
