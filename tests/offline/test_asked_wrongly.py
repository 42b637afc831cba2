"""sluice select asked for what cannot be: a line, a hint, a code, and nothing that looks done."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.offline import numbers
from daemon.ports import EXIT_CONFIG, EXIT_OK, EXIT_STATE
from tests.offline.small import call, kept, labelled_rows, lay_out, run_daemon, shards, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    lay_out(tmp_path)
    return tmp_path


BAD = [
    ([], "no --keep", EXIT_CONFIG),
    (["--keep", "10%", "--windows", "1d"], "event_time", EXIT_CONFIG),
    (["--keep", "10%", "--windows", "1d", "--map", "event_time=text"], "no time", EXIT_STATE),
    (["--keep", "10%", "--windows", "99"], "99 windows of 60 rows", EXIT_CONFIG),
    (["--keep", "10%", "--where", "split=none"], "holds no row", EXIT_STATE),
    (["--keep", "10%", "--map", "text=nowhere"], "none of", EXIT_STATE),
    (["--keep", "10%", "--audit", "AUDIT"], "says no label", EXIT_STATE),
    (["--keep", "10%", "--policy", "LABELS", "--map", "label="], "no row has one", EXIT_STATE),
    (["--pins", "nowhere.yaml", "--keep", "10%"], "and --pins", EXIT_CONFIG),
    (["--pins", "nowhere.yaml"], "no configuration file", EXIT_CONFIG),
    (["--keep", "10%", "--key", "/nowhere"], "cannot be read", EXIT_CONFIG),
]


@pytest.mark.parametrize(("words", "said", "code"), BAD)
def test_what_cannot_be_selected_says_why(
    root: Path, words: list[str], said: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(root / "rows.jsonl", labelled_rows(60))
    places = {"AUDIT": root / "audit.jsonl", "LABELS": root / "labels.yaml"}
    places["AUDIT"].write_text('{"id": "u1"}\n')
    places["LABELS"].write_text((root / "policy.yaml").read_text() + "  select: {kind: tempered}\n")
    given = [str(places.get(word, word)) for word in words]
    if "--pins" in words:  # the store knows the checkpoint
        given += ["--map", "event_time=at"]
    assert call(root, "select", str(file), *given, "--out", str(root / "kept")) == code
    last = capsys.readouterr().err.splitlines()[-1]
    assert said in last and last.startswith("sluice: ")
    assert not (root / "kept" / "kept.txt").exists()


@pytest.mark.parametrize("text", ["0", "0%", "101%", "half", "-3", "5%%", "", "1e3"])
def test_a_budget_is_a_number_or_a_share(text: str) -> None:
    with pytest.raises(Exception, match="must be a share"):
        numbers.keep(text)


def test_shares_are_of_the_rows_and_rounded_up() -> None:
    assert numbers.keep("50%").rows(101, 1) == 51
    assert numbers.keep("10%").rows(101, 4) == 3
    assert numbers.keep("7").rows(3, 1) == 7
    assert numbers.keep("0.001%").rows(10, 1) == 1
    for percent in range(1, 101):
        assert numbers.keep(f"{percent}%").rows(100, 1) == percent
        assert numbers.keep(f"{percent}%").rows(1_000, 10) == percent


@pytest.mark.parametrize("text", ["0", "1x", "-1", "", "1000000"])
def test_windows_are_a_number_or_a_period(text: str) -> None:
    with pytest.raises(Exception, match="must be a number of windows"):
        numbers.windows(text)


def test_a_folder_belongs_to_one_selection(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(root / "rows.jsonl", labelled_rows(60))
    words = ["select", str(file), "--noise-rate", "0.1", "--out"]
    (root / "mine").mkdir()
    (root / "mine" / "file").touch()
    assert call(root, *words, str(root / "mine"), "--keep", "10%") == EXIT_CONFIG
    assert call(root, *words, str(root / "kept"), "--keep", "50%") == EXIT_OK
    before = kept(root / "kept")
    assert call(root, *words, str(root / "kept"), "--keep", "50%") == EXIT_OK, "asked again"
    assert kept(root / "kept") == before
    assert call(root, *words, str(root / "kept"), "--keep", "40%") == EXIT_CONFIG
    assert "holds the selection of something else" in capsys.readouterr().err


def test_a_folder_goes_on_that_was_killed_before_it_was_claimed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(root / "rows.jsonl", labelled_rows(60))
    words = ["select", str(file), "--keep", "50%", "--noise-rate", "0.1", "--out"]

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as first:
        first.setattr(Path, "replace", stop)
        for name in ("kept", "other"):
            assert call(root, *words, str(root / name)) == 130
            assert [place.name for place in (root / name).iterdir()] == [".asked.json~"]
    assert call(root, *words, str(root / "kept")) == EXIT_OK and kept(root / "kept")
    (root / "other" / "file").touch()
    assert call(root, *words, str(root / "other")) == EXIT_CONFIG, "that is of somebody else"


def test_without_a_noise_rate_nothing_is_quarantined_and_that_is_said(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(root / "rows.jsonl", labelled_rows(200))
    assert call(root, "select", str(file), "--keep", "30", "--out", str(root / "kept")) == EXIT_OK
    assert "the label noise is unknown: nothing is quarantined" in capsys.readouterr().err
    (columns,) = shards(root / "kept").values()
    assert set(columns["cold"]) == {"no_noise_rate"} and not any(
        "review" in arms for arms in columns["arms"]
    )


def test_more_room_than_rows_and_one_class_keep_all_and_say_so(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row for row in labelled_rows(300, noise=0.0) if row["label"] == "music"]
    file, texts = write(root / "rows.jsonl", rows), {row["text"] for row in rows}
    words = ["--keep", "5000", "--noise-rate", "0", "--out", str(root / "kept")]
    assert call(root, "select", str(file), *words) == EXIT_OK
    err = capsys.readouterr().err
    assert "room for 5000 rows" in err and "all labels are of one class" in err
    assert len(kept(root / "kept")) == len(texts), "each text once"


def test_windows_that_nobody_pinned_are_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = labelled_rows(200)
    run_daemon(root, rows)
    late = [{**row, "at": row["at"] + (1 << 40)} for row in rows]
    for given, words, said in (
        (late, ["--map", "event_time=at"], "windows of the file have no pin"),
        (rows, ["--map", "event_time=at", "--windows", "5"], "not the period of the store"),
        (rows, [], "event_time says of none"),
        (rows, ["--map", "text=text"], "only event_time may be mapped"),
        (rows, ["--map", "event_time=at", "--lane", "id"], "names no lane"),
    ):
        file = write(root / "rows.jsonl", given)
        pins = ["--pins", str(root / "sluice.yaml"), "--out", str(root / "kept")]
        assert call(root, "select", str(file), *words, *pins) in (EXIT_CONFIG, EXIT_STATE)
        assert said in capsys.readouterr().err.splitlines()[-1]
