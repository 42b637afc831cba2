"""sluice select: the daemon's own selection, of a file; prequential, or under another's pins."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.__main__ import main
from daemon.derived.history import History
from daemon.monitors import noise
from daemon.offline import numbers, selection, terms
from daemon.offline.terms import Candidates
from daemon.ports import EXIT_OK
from daemon.registry.registry import Registry
from daemon.running.engines import Engine, Engines
from daemon.shards.shard import ShardManifest
from daemon.stores import local
from scoring.types import Terms
from tests.offline.small import (
    DAY_MS,
    DEAD,
    Row,
    answers,
    call,
    kept,
    killed,
    labelled_rows,
    lay_out,
    private,
    run_daemon,
    selected,
    shards,
    write,
)
from tests.streams import CLASSES


@pytest.fixture
def root(tmp_path: Path) -> Path:
    lay_out(tmp_path)
    return tmp_path


def history(folder: Path) -> History:
    """What the store of a selection has settled."""
    store = local.build(local.Options(str(folder / "store")))
    key = (folder / "key").read_bytes()
    return History(Registry(store), Engines(store, key, threads=1))


def past(folder: Path) -> Registry:
    return Registry(local.build(local.Options(str(folder / "store"))))


def manifest(folder: Path, window: int) -> ShardManifest:
    return history(folder).registry.manifest(window)


def in_memory(
    engine: Engine, rows: list[Row], key: bytes, rate: float, capacity: int
) -> tuple[list[str], Terms]:
    """The same rows by the functions alone, with rules that the rows themselves taught."""
    policy = engine.edition.policy
    labels, texts = [row["label"] for row in rows], [row["text"] for row in rows]
    scored = engine.scorer.score(texts, labels)
    names = terms.names_of(scored, labels, policy, CLASSES)
    candidates = Candidates(scored, terms.text_keys(texts, policy, key), names)
    rules = terms.rules_for(candidates, policy, CLASSES, key, rate)
    found = selection.select(candidates, rules, capacity)
    return [rows[at]["id"] for at in found.rows], rules.terms


def test_one_window_is_what_the_functions_select_in_memory(root: Path) -> None:
    """Rules too: what all rows taught (a publish takes fewer), and noise that was assumed."""
    rows = labelled_rows(2_500, texts=1_500)
    file = write(root / "rows.jsonl", rows)
    words = [str(file), "--keep", "20%", "--noise-rate", "0.1", "--seed", "3"]
    assert call(root, "select", *words, "--out", str(root / "kept")) == EXIT_OK
    settled = history(root / "kept")
    window = settled.windows()[-1]
    engine = settled.engines.of(settled.registry.editions[0])
    expected, learnt = in_memory(engine, rows, numbers.seeded(3), 0.1, 500)
    found = manifest(root / "kept", window)
    assert kept(root / "kept") == expected and settled.rules(window)[1].terms == learnt
    assert not found.cold and found.counts["suspect"] > 0 and found.arms["review"] > 0
    assert found.arms["random"] == 10 and 0 < len(expected) <= 500
    for command in ("verify", "report"):
        out = ["-o", str(root / "page.html")] if command == "report" else []
        given = [command, "last", "-c", str(root / "kept" / "sluice.yaml"), *out]
        assert main(given) == EXIT_OK
    assert private(root / "kept") and private(root / "kept" / "kept.txt")


def test_the_seed_is_the_draw_and_the_order_of_rows_is_none(root: Path) -> None:
    rows = labelled_rows(400, texts=4_000)
    texts = {row["id"]: row["text"] for row in rows}
    found = []
    for number, (order, seed) in enumerate(((rows, "0"), (rows[::-1], "0"), (rows, "1"))):
        file, out = write(root / f"{number}.parquet", order), root / f"kept{number}"
        words = [str(file), "--keep", "60", "--noise-rate", "0.1", "--seed", seed]
        assert call(root, "select", *words, "--out", str(out)) == EXIT_OK
        found.append(sorted(texts[name] for name in kept(out)))
    assert found[0] == found[1] != found[2]


@pytest.mark.slow
def test_a_killed_selection_goes_on_lane_by_lane(root: Path) -> None:
    """Lanes of 300 rows: a stop costs one of them, and changes nothing."""
    file = write(root / "rows.jsonl", labelled_rows(1_000))
    words = ["select", str(file), "--checkpoint", str(root / "checkpoint"), "--keep", "10%"]
    words += ["--noise-rate", "0.1", "--out"]
    assert main([*words, str(root / "whole")]) == EXIT_OK
    parts = 4 * 2  # of the lesson, and of the gap behind it
    assert killed("parts", parts + 2, *words, str(root / "again")) == DEAD
    made = list((root / "again" / "store" / "parts").rglob("000000000003.parquet"))
    assert len(made) == 2 and not (root / "again" / "kept.txt").exists()
    assert killed("parts", 2, *words, str(root / "again")) == EXIT_OK, "two of four were there"
    # of the whole run all rows are one lane
    assert kept(root / "again") == kept(root / "whole")


def test_shares_of_a_file_are_prequential(root: Path) -> None:
    """Rows of the last share change nothing before it; the first share taught the first ones."""
    rows = labelled_rows(500)
    other = rows[:400] + labelled_rows(500, seed=9)[400:]
    seen = []
    for number, order in enumerate((rows, other)):
        file, out = write(root / f"{number}.jsonl", order), root / f"kept{number}"
        words = [str(file), "--keep", "20%", "--windows", "5", "--noise-rate", "0.1"]
        assert call(root, "select", *words, "--out", str(out)) == EXIT_OK
        seen.append([selected(columns) for columns in shards(out).values()])
    assert len(seen[0]) == 5 and seen[0][:4] == seen[1][:4] and seen[0][4] != seen[1][4]
    settled = history(root / "kept0")
    assert [settled.pin(w).calibration for w in settled.windows()] == [-1, 0, 0, 0, 3, 4]


def test_a_recorded_stream_is_selected_again_under_its_pins(root: Path) -> None:
    """The default policy through the daemon, in three lanes, with audit answers that the file does
    not have: the same ids, window by window."""
    rows = labelled_rows(900)
    run_daemon(root, rows)
    config = ["--pins", str(root / "sluice.yaml"), "--map", "event_time=at", "--windows", "1d"]
    file = write(root / "rows.jsonl.zst", rows[::-1])
    words = ["select", str(file), *config, "--lane", "lane"]
    assert call(root, *words, "--out", str(root / "kept")) == EXIT_OK
    origin, again = past(root), past(root / "kept")
    theirs = {window: sorted(selected(c)) for window, c in shards(root).items()}
    ours = {window: sorted(selected(c)) for window, c in shards(root / "kept").items()}
    assert theirs == ours and len(ours) == 6 and all(ours.values())
    first, last = min(ours), max(ours)
    below = [origin.manifest(window).suspect_below for window in (first, last)]
    assert below[0] != below[1], "answers moved the threshold"
    assert again.manifest(last).suspect_below == below[1]
    assert again.manifest(last).calibration != origin.manifest(last).calibration
    part = write(root / "part.jsonl", [row for row in rows if row["at"] // DAY_MS == last])
    assert call(root, "select", str(part), *config, "--out", str(root / "part")) == EXIT_OK
    text = {row["id"]: row["text"] for row in rows}
    of_part = sorted(text[name] for name in kept(root / "part"))
    assert of_part == sorted(text[name] for name in ours[last]), "nothing is learnt from the file"


def test_audit_answers_set_the_threshold_and_few_of_them_nothing(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = labelled_rows(400)
    truth = {row["id"]: label for row, label in zip(rows, answers(rows), strict=True)}
    file = write(root / "rows.jsonl", rows)
    checked = [{"id": row["id"], "label": truth[row["id"]]} for row in rows[::3]]
    labelled = [row for row in rows[::3] if row["label"] is not None]
    wrong = sum(row["label"] != truth[row["id"]] for row in labelled)
    audit = write(root / "audit.parquet", [*checked, {"id": "of another file", "label": "music"}])
    words = ["select", str(file), "--keep", "20%", "--audit"]
    assert call(root, *words, str(audit), "--out", str(root / "kept")) == EXIT_OK
    bound = noise.wilson(wrong, len(labelled))
    assert f"label noise {bound.estimate:.3f}" in capsys.readouterr().err
    settled = history(root / "kept")
    found = settled.registry.manifest(settled.windows()[-1])
    assert settled.registry.editions[0].policy.quarantine.assumed_rate == bound.high
    traffic = settled.registry.manifest(settled.windows()[0]).calibration.traffic
    assert (traffic.answered, traffic.wrong) == (len(labelled) << 10, wrong << 10)
    assert found.suspect_below and not found.cold and found.noise is not None
    few = write(root / "few.jsonl", checked[:20])
    assert call(root, *words, str(few), "--out", str(root / "cold")) == EXIT_OK
    assert "answers of 50 that are needed" in capsys.readouterr().err
    assert set(next(iter(shards(root / "cold").values()))["cold"]) == {"no_noise_rate"}
