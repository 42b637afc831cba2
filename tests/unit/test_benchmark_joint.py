"""The benchmark of joint training on tiny rows: lessons, choices, costs, and a run that goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from daemon import __main__ as command_line
from daemon.benchmark import courses, joint, lessons, trial_pages, trial_tables, trials
from daemon.benchmark.lessons import Lesson
from daemon.benchmark.pages import Run
from daemon.benchmark.schools import School
from daemon.benchmark.statistics import Interval
from daemon.benchmark.trial_tables import Line
from daemon.benchmark.trials import Key, Plan, Trial
from daemon.clock import SystemClock
from daemon.corpus import Corpus, Row
from daemon.ports import Fatal
from daemon.stores.memory import MemoryStore
from scoring.training.mistakes import RATES
from scoring.training.schedules import Schedule
from tests import tiny_bert

SAY = {"on": "turn on the", "set": "set an", "play": "play some music"}
WORDS = ("light", "music", "weather", "timer", "song", "kitchen", "b", "c", "d", "e")


def rows(first: int, last: int) -> tuple[Row, ...]:
    made = []
    for intent, start in SAY.items():
        for what, where in list(product(WORDS, WORDS))[first:last]:
            before = len(start.split())
            tags = (*["O"] * before, "B-thing", "O", "B-place")
            made.append(Row(f"{start} {what} in {where}", intent, tags))
    return tuple(made)


CORPUS = Corpus(rows(0, 85), rows(85, 90), rows(90, 97))
CLOCK = SystemClock()
SMALL = {"rows": 250, "epochs": 4, "layers": 1}


@pytest.fixture(autouse=True, scope="module")
def _small_encoder(tmp_path_factory: pytest.TempPathFactory) -> object:
    folder = tmp_path_factory.mktemp("encoder")
    for name, data in {
        "config.json": json.dumps(tiny_bert.config()).encode(),
        "model.safetensors": tiny_bert.weights(),
        "tokenizer.json": tiny_bert.tokenizer_json(),
    }.items():
        (folder / name).write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("daemon.training.joint.weights_folder", lambda: folder)
        patch.setattr(lessons, "CONFIDENT", 0.34)  # a teacher of few rows is hardly surer
        yield


def lesson(setting: str, seed: int = 0) -> Lesson:
    return lessons.make(CORPUS, setting, seed=seed, clock=CLOCK, **SMALL)


def test_flips_move_intents_alone_and_lessons_are_paired() -> None:
    clean, flipped = lesson("clean"), lesson("flips-10")
    assert clean.truth == clean.given == flipped.truth
    assert lesson("clean", 1).truth != clean.truth
    wrong = [row for row, right in zip(flipped.given, flipped.right, strict=True) if not right]
    assert 12 <= len(wrong) <= 40
    pairs = zip(flipped.given, flipped.truth, strict=True)
    assert all((one.text, one.tags) == (two.text, two.tags) for one, two in pairs)
    checked, found = flipped.audit()
    assert checked == lessons.AUDITED
    assert len(wrong) - 50 <= found <= len(wrong)


def test_weak_labels_are_of_other_rows_than_those_that_are_annotated() -> None:
    made = lesson("weak")
    assert len(made.gold) == 25
    assert set(made.gold) <= set(CORPUS.train)
    assert not {row.text for row in made.gold} & {row.text for row in made.given}
    assert [row.text for row in made.given] == [row.text for row in made.truth]
    assert all(len(row.tags or ()) == len(row.text.split()) for row in made.given)
    assert 10 < len(made.given) <= 200
    assert not all(made.right)  # a teacher of few rows errs


def test_a_teacher_that_is_sure_of_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lessons, "CONFIDENT", 1.1)
    with pytest.raises(Fatal, match="the teacher is sure of nothing"):
        lesson("weak")


def test_every_arm_takes_as_many_rows_as_it_may() -> None:
    known = courses.arms()
    made = lesson("flips-10")
    scored = lessons.judged(made, courses.reads(tuple(known)), CLOCK)
    assert set(scored.scores) == set(courses.SCORES)
    chosen = {}
    for name, arm in known.items():
        if arm.choose is None:
            continue
        taken = arm.choose(made, scored, 75)
        assert len(np.unique(taken)) == len(taken)
        if arm.budgets:
            assert len(taken) == 75 or name == "default"  # which keeps a text once
        chosen[name] = taken
    assert np.array(made.right)[chosen["oracle"]].all()
    assert len(chosen["oracle"]) == sum(made.right)
    error = scored.scores["joint_el2n"]
    top, easy = (error[chosen[f"joint_el2n.{kind}"]].mean() for kind in ("top", "easy"))
    assert top > error[chosen["random"]].mean() > easy


def test_tokens_are_those_of_the_schedule() -> None:
    shared = {"epochs": 4, "seed": 0, "layers": 1}
    whole = [len(row.text.split()) + 2 for row in CORPUS.train]  # [CLS], [SEP]; a token a word

    def spent(schedule: Schedule) -> int:
        return School(CORPUS.train, CORPUS.classes, schedule, **shared).run(CLOCK)[0].tokens

    assert spent(Schedule()) == 3 * 4 * sum(whole)
    kept_all = Schedule(kind="dynamic", keep=1.0, warm=1, every=2)  # scored before epochs 1 and 3
    assert spent(kept_all) == (3 * 4 + 2) * sum(whole)
    half = spent(Schedule(kind="random", keep=0.5, warm=1, every=1))
    assert half == pytest.approx(3 * 2.5 * sum(whole), rel=0.05)


def test_what_is_annotated_is_part_of_every_training() -> None:
    made = lesson("weak")
    arm = courses.arms()["random"]
    assert arm.choose is not None
    taken = [made.given[place] for place in arm.choose(made, None, round(0.5 * len(made.given)))]
    trial = trials.tried(made, None, arm, 0.5, CLOCK)
    read = sum(len(row.text.split()) + 2 for row in (*made.gold, *taken))
    assert (trial.rows, trial.tokens) == (len(taken), 3 * 4 * read)


def test_nobody_scores_what_it_said_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[tuple[Row, ...]] = []

    class Noted(School):
        def __init__(self, rows: Sequence[Row], *rest: Any, **named: Any) -> None:
            trained.append(tuple(rows))
            super().__init__(rows, *rest, **named)

    monkeypatch.setattr(lessons, "School", Noted)
    made = lesson("weak")
    lessons.judged(made, ("entropy",), CLOCK)
    teacher, judge = trained
    assert judge == made.gold
    assert not set(teacher) & set(made.gold)
    assert not {row.text for row in teacher} & {row.text for row in made.given}


def plan(seeds: int = 2) -> Plan:
    arms = {"clean": ("full", "dynamic-norm"), "weak": ("random", "joint_el2n.easy")}
    return Plan(arms, (0.5,), seeds, *SMALL.values())


def answers(store: MemoryStore) -> dict[str, Trial]:
    found = {name: msgspec.json.decode(store.get(name), type=Trial) for name in store.list("")}
    return {
        name: msgspec.structs.replace(trial, seconds=0.0, cpu_seconds=0.0)
        for name, trial in found.items()
    }


class Ticking(SystemClock):
    """Every look at it takes a second."""

    looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return float(self.looks)


def test_a_run_that_was_stopped_goes_on_to_the_same() -> None:
    whole, cut = MemoryStore(), MemoryStore()
    corpora = {"tiny": CORPUS}
    assert trials.measure(plan(), corpora, whole, CLOCK)
    assert not trials.measure(plan(), corpora, cut, Ticking(), until=12)
    assert 0 < len(answers(cut)) < len(answers(whole)) == 2 * 4
    assert trials.measure(plan(), corpora, cut, CLOCK)
    assert answers(cut) == answers(whole)


def test_lines_hold_arms_against_the_same_seeds() -> None:
    store, asked = MemoryStore(), len(CORPUS.test)
    for seed, arm, wrong in ((0, "full", 0), (0, "random", 4), (1, "random", 21), (2, "full", 0)):
        counts = np.zeros((asked, 7), np.int64)
        counts[:, 0] = 1
        counts[:wrong, 1] = counts[:wrong, 6] = 1
        packed = trials.packed(counts)
        trial = Trial(50, 0.0, 600 if arm == "full" else 300, 1.0, 1.0 + seed,
                      {"valid": packed, "test": packed})  # fmt: skip
        key = Key("tiny", "clean", 100, 4, 1, seed, arm, 1.0 if arm == "full" else 0.5)
        store.create(key.name, msgspec.json.encode(trial))
    full, random = trial_tables.lines(store, ("tiny",), "test")
    assert (full.arm, full.seeds, random.seeds) == ("full", 2, 2)
    assert random.figures["accuracy"].estimate == pytest.approx(1 - 25 / (2 * asked))
    assert random.to_full["accuracy"].estimate == pytest.approx(-4 / asked)  # of seed 0 alone
    assert not full.to_full and not full.to_random
    assert random.tokens == (0.5, 0.5, 0.5)
    page = trial_pages.page([full, random], [], Run("bench", "here", 0.0))
    assert "## tiny: clean, test" in page


def test_goals_follow_from_the_figures() -> None:
    def verdicts(gain: Interval, cpu: Interval, seeds: int, budget: float) -> list[str]:
        figures = dict.fromkeys(RATES, gain)
        line = Line("tiny", "clean", 100, 4, 1, "dynamic-mean", budget, seeds, 50.0, 0.0, figures,
                    {}, figures, {}, cpu, cpu, 1.0)  # fmt: skip
        page = trial_pages.page([line], [], Run("bench", "here", 0.0))
        rows = [row for row in page.splitlines() if row.startswith("| tiny, clean")]
        return [row.split("|")[-2].strip() for row in rows]

    equal, worse = Interval(-0.01, -0.02, 0.001), Interval(-0.03, -0.04, -0.02)
    fast, slow = Interval(0.7, 0.68, 0.72), Interval(0.4, 0.39, 0.41)
    assert verdicts(equal, fast, 3, 0.5) == ["yes", "yes", "yes, surely"]
    assert verdicts(equal, fast, 1, 0.5) == ["yes", "yes", "yes"]
    assert verdicts(worse, slow, 3, 0.5) == ["**no**", "**no**", "**no**"]
    assert verdicts(equal, fast, 3, 0.2) == ["yes", "yes", "yes, surely"]
    assert verdicts(worse, slow, 3, 0.2) == ["**no**", "**no**", "**no**"]


def test_the_command_leaves_a_page(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = [
        json.dumps({"text": row.text, "intent": row.intent, "tags": row.tags, "split": split})
        for split in ("train", "valid", "test")
        for row in getattr(CORPUS, split)
    ]
    (tmp_path / "tiny.jsonl").write_text("\n".join(lines), encoding="utf-8")
    command = [
        "bench", "joint", "--data", str(tmp_path / "tiny.jsonl"), "--work", str(tmp_path),
        "--seeds", "1", "--rows", "300", "--epochs", "4", "--budgets", "0.5",
        "--scenarios", "clean", "--arms", "full,dynamic-mean",
    ]  # fmt: skip
    assert command_line.main(command) == 0
    told = capfd.readouterr()
    assert told.out.strip() == str(tmp_path / "docs" / "results")
    assert "s of CPU" in told.err
    page = (tmp_path / "docs" / "results" / "joint.md").read_text(encoding="utf-8")
    assert ">= 41% less time" in page
    assert "## tiny: clean, test" in page and "## tiny: clean, validation" in page
    assert len(json.loads((tmp_path / "docs" / "results" / "joint.json").read_text())) == 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"settings": ("cleen",)}, "there is no scenario cleen"),
        ({"arms": ("randum",)}, "there is no arm randum"),
    ],
)
def test_a_wrong_name_is_told(changes: dict[str, object], told: str) -> None:
    asked = joint.Asked(None, None, None, 1, 100, 4, 1)._replace(**changes)
    with pytest.raises(Fatal, match=told):
        joint.plan(asked, {"tiny": CORPUS})


def test_rows_without_tags_are_refused() -> None:
    bare = Corpus(CORPUS.train, CORPUS.valid, (Row("turn on", "on"),))
    with pytest.raises(Fatal, match="tiny has no rows or no tags"):
        joint.plan(joint.Asked(None, None, None, 1, 100, 4, 1), {"tiny": bare})


def test_what_is_planned_exists() -> None:
    made = joint.plan(joint.Asked(None, None, None, 1, 100, 4, 1), {"tiny": CORPUS})
    assert set(made.arms) == set(lessons.SETTINGS)
    assert joint.size(made, {"tiny": CORPUS}) == 19 + 18 + 14
