"""The benchmark on a tiny world: what it compares is what it says, and any stop loses one cell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from daemon import __main__ as command_line
from daemon.benchmark import (
    arms,
    cells,
    ours,
    pupils,
    runs,
    stages,
    tuning,
    worlds,
)
from daemon.benchmark.cells import Cell, Key
from daemon.benchmark.runs import Plan
from daemon.benchmark.scenarios import SCENARIOS, Scenario
from daemon.clock import SystemClock
from daemon.commands import bench
from daemon.ports import Store
from daemon.stores.memory import MemoryStore
from scoring.types import Floats
from tests.tiny_corpus import CORPUS, INTENTS, TINY, encode, numbers


@pytest.fixture(scope="module")
def stage() -> stages.Stage:
    return stages.stage(worlds.make(numbers(), TINY, 1))


def test_worlds_of_a_seed_are_paired() -> None:
    clean = worlds.make(numbers(), msgspec.structs.replace(TINY, flips=0.0), 3)
    flipped = worlds.make(numbers(), TINY, 3)
    near = worlds.make(numbers(), msgspec.structs.replace(TINY, flips_to="near"), 3)
    assert (clean.rows == flipped.rows).all()
    assert (clean.rows == near.rows).all()
    assert not clean.wrong.any()
    assert (flipped.wrong == near.wrong).all()
    assert 0.06 < flipped.wrong.mean() < 0.14
    close = numbers().nearest(worlds.NEAREST)
    wrong = np.flatnonzero(near.wrong)
    assert all(near.given[row] in close[near.truth[row]] for row in wrong)
    assert (worlds.make(numbers(), TINY, 4).rows != clean.rows).any()


def test_late_intents_are_unheard_at_first_and_unknown_to_the_checkpoint() -> None:
    world = worlds.make(numbers(), msgspec.structs.replace(TINY, late_intents=2), 0)
    late = np.flatnonzero(~world.early)
    half = world.first + (len(world.rows) - world.first) // 2
    assert len(late) == 2
    assert not np.isin(world.truth[:half], late).any()
    assert np.isin(world.truth[half:], late).any()
    made = stages.stage(world)
    assert len(made.classes) == INTENTS - 2
    choice = ours.choose(made, ours.default(), 100)
    assert np.isin(made.given[choice.rows], late).any()


def test_a_teacher_errs_and_the_first_events_stay_true() -> None:
    world = worlds.make(numbers(), msgspec.structs.replace(TINY, flips=0.0, weak=True), 0)
    assert not world.wrong[: world.first].any()
    assert len(world.rows) <= TINY.events


def test_stages_are_prequential_and_audited(stage: stages.Stage) -> None:
    assert len(stage.rows) == TINY.events - TINY.first
    assert stage.wrong == (stage.given != stage.truth)[stage.audit].sum()
    assert len(stage.audit) == 500
    assert {"entropy", "el2n", "rho_loss", "tracin", "aum", "pvi"} <= set(stage.scored.scores)


def test_worse_checkpoints_are_worse() -> None:
    def answers(scenario: Scenario) -> float:
        made = stages.stage(worlds.make(numbers(), scenario, 0))
        right = made.head.logits(made.world.texts.asked).argmax(axis=1)
        return float((right == made.world.texts.asked_classes).mean())

    good = answers(TINY)
    assert answers(msgspec.structs.replace(TINY, worse_by=0.3)) < good - 0.1
    assert answers(msgspec.structs.replace(TINY, checkpoint_steps=0)) < 0.6 < good


def test_a_pupil_is_repeatable_and_never_shown_rows_of_no_weight() -> None:
    texts = numbers()
    one = pupils.fit(texts.train, texts.train_classes, INTENTS, seed=2, steps=50)
    assert (one.weight == pupils.fit(texts.train, texts.train_classes, INTENTS, seed=2,
                                     steps=50).weight).all()  # fmt: skip
    spoilt = texts.train.copy()
    spoilt[::2] = np.nan
    weights = np.tile(np.array([0, 1], np.float32), len(spoilt) // 2)
    shown = pupils.fit(spoilt, texts.train_classes, INTENTS, seed=2, steps=50, weights=weights)
    assert np.isfinite(shown.weight).all()


class Ticking(SystemClock):
    """Every look at it takes a second."""

    def __init__(self) -> None:
        self._looks = 0.0

    def monotonic(self) -> float:
        self._looks += 1
        return self._looks


def cells_of(store: Store) -> dict[str, Cell]:
    names = list(store.list("cells-"))
    decoded = {name: msgspec.json.decode(store.get(name), type=Cell) for name in names}
    return {n: msgspec.structs.replace(c, select_s=0.0, train_s=0.0) for n, c in decoded.items()}


def test_a_run_that_was_stopped_goes_on_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "SCENARIOS", {"tiny": TINY})
    monkeypatch.setattr(pupils, "STEPS", 60)
    plan = Plan("test", ("tiny",), 2, ("everything", "random", "default"), (0.1, 0.5))
    corpora = {"tiny": numbers()}
    whole, cut = MemoryStore(), MemoryStore()
    assert runs.measure(plan, corpora, whole, SystemClock())
    assert not runs.measure(plan, corpora, cut, Ticking(), until=12)
    assert 0 < len(cells_of(cut)) < len(cells_of(whole)) == 2 * 5
    assert runs.measure(plan, corpora, cut, SystemClock())
    assert cells_of(cut) == cells_of(whole)
    halves = MemoryStore()
    for part in (1, 2):
        assert runs.measure(replace(plan, part=(part, 2)), corpora, halves, SystemClock())
    assert cells_of(halves) == cells_of(whole)


def written(folder: Path) -> Path:
    """The corpus as a file of JSON lines."""
    lines = [
        json.dumps({"text": row.text, "intent": row.intent, "split": split})
        for split in ("train", "valid", "test")
        for row in getattr(CORPUS, split)
    ]
    path = folder / "tiny.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_the_command_leaves_pages_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "_encoder", lambda: encode)
    monkeypatch.setattr(pupils, "STEPS", 200)
    command = [
        "bench", "selection", "--data", str(written(tmp_path)), "--work", str(tmp_path / "work"),
        "--seeds", "2", "--scenarios", "once,once-flips-10", "--budgets", "0.5",
        "--arms", "everything,oracle,random,el2n.top,el2n.band,default",
    ]  # fmt: skip
    assert command_line.main(command) == 0
    out = tmp_path / "work" / "docs" / "results"
    assert capfd.readouterr().out.strip() == str(out)
    names = {path.name for path in out.iterdir()}
    assert {"results.json", "tables.md", "goals.md", "seeds.md"} < names
    assert "tiny-once-macro.svg" in names
    lines = json.loads((out / "results.json").read_text())["lines"]
    assert {line["seeds"] for line in lines} == {2}
    assert len(lines) == 2 * 6
    verdicts = (out / "seeds.md").read_text()
    assert "reproduced" in verdicts
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    stored = sorted(str(path) for path in (tmp_path / "work").rglob("*.json"))
    monkeypatch.setattr(bench, "_encoder", lambda: pytest.fail("features are kept"))
    assert command_line.main(command) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert sorted(str(path) for path in (tmp_path / "work").rglob("*.json")) == stored


def test_tuning_reads_no_test_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def spy(texts: Sequence[str]) -> Floats:
        read.extend(texts)
        return encode(texts)

    monkeypatch.setattr(bench, "_encoder", lambda: spy)
    monkeypatch.setattr(pupils, "STEPS", 50)
    monkeypatch.setattr(tuning, "SCENARIOS", ("once",))
    monkeypatch.setattr(tuning, "BUDGETS", (0.5,))
    data = str(written(tmp_path))
    command = ["bench", "tuning", "--data", data, "--work", str(tmp_path), "--seeds", "1"]
    assert command_line.main(command) == 0
    assert any(text.startswith("valid") for text in read)
    assert not any(text.startswith("test") for text in read)
    assert "chosen" in (tmp_path / "docs" / "results" / "tuning.md").read_text()
    assert not list((tmp_path / "store" / f"cells-{cells.VERSION}" / "tiny").glob("test*"))


def test_golden_rows_of_tuning_are_not_asked() -> None:
    texts = numbers("valid")
    both = np.vstack([texts.golden, texts.asked])
    assert len(both) == len(np.unique(both, axis=0)) == len(CORPUS.valid)
    assert (numbers("test").golden.shape[0], texts.golden.shape[0]) == (54, 18)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--scenarios", "cleen"], "there is no scenario cleen. One of: clean"),
        (["--arms", "randum"], "there is no arm randum"),
        (["--budgets", "2"], "invalid _shares value"),
        (["--part", "3/2"], "invalid _part value"),
    ],
)
def test_a_wrong_name_is_told(
    words: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(bench, "_encoder", lambda: encode)
    data = ["--data", str(written(tmp_path)), "--work", str(tmp_path / "work")]
    try:
        code = command_line.main(["bench", "selection", *data, *words])
    except SystemExit as ended:
        code = int(str(ended.code))
    assert code == 64
    assert told in capfd.readouterr().err


def test_a_corpus_without_test_rows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "_encoder", lambda: encode)
    path = written(tmp_path)
    text = path.read_text(encoding="utf-8").replace('"test"', '"valid"')
    path.write_text(text, encoding="utf-8")
    code = command_line.main(["bench", "selection", "--data", str(path), "--work", str(tmp_path)])
    assert code == 64
    assert "tiny has no test rows" in capfd.readouterr().err


def test_names_of_cells_are_names_of_objects() -> None:
    key = Key("clinc150", "test", "clean", 3, "el2n.top", 0.02)
    assert key.name == f"cells-{cells.VERSION}/clinc150/test/clean/003/el2n.top/0.0200.json"
    assert set(runs.QUICK_SCENARIOS) <= set(SCENARIOS)
    assert set(runs.QUICK_ARMS) <= set(arms.arms())
