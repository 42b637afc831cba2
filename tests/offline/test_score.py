"""sluice score: the scores of the stream, in any format, whatever stopped it on the way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from daemon.__main__ import main
from daemon.lanes.candidate import Prepared
from daemon.learning.rules import Rules
from daemon.offline import scored
from daemon.offline.dataset import DataSet, Row
from daemon.ports import EXIT_CONFIG, EXIT_OK, EXIT_STATE
from daemon.running.engines import Engine
from scoring.types import CODES, GRID, REASONS, Reason
from tests.offline.small import DEAD, call, killed, labelled_rows, lay_out, lines, write
from tests.selection import lane_split, ledger_rows, run
from tests.streams import say, small_policy


@pytest.fixture
def root(tmp_path: Path) -> Path:
    lay_out(tmp_path)
    return tmp_path


def table(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return found


def test_a_row_has_the_scores_of_the_ledger(root: Path) -> None:
    """Refusals of the decoder too; those of the policy are none here: nothing is selected."""
    rows = labelled_rows(90, noise=0.2)
    values = [say(n, row["text"].replace(" ", "  "), row["label"]) for n, row in enumerate(rows)]
    values[7], values[8] = b"{", b'{"id": "a", "text": 7}'
    store = run(lane_split(values, 1), small_policy())
    (root / "rows.jsonl").write_bytes(b"\n".join(values))
    assert call(root, "score", str(root / "rows.jsonl"), "--out", str(root / "out.parquet")) == 0
    made = table(root / "out.parquet")
    decided = sorted(ledger_rows(store, 5), key=lambda row: row["position"])
    assert len(made) == len(decided) == 90

    def steps(value: float | None) -> int:
        return -1 if value is None else round(value * GRID)

    for row, there in zip(made, decided, strict=True):
        unread = row["reason"] is not None
        reason = REASONS[there["reason"]]
        assert unread == (reason in (Reason.NOT_JSON, Reason.BAD_TEXT)), "of the decoder alone"
        if unread:
            assert CODES[Reason(row["reason"])] == there["reason"]
            assert row["id"] is row["plausibility"] is row["score_entropy"] is None
            continue
        assert steps(row["plausibility"]) == there["plausibility"]
        for name in ("entropy", "margin", "el2n"):
            assert steps(row[f"score_{name}"]) == there[f"score_{name}"]
    assert [row["row"] for row in made] == list(range(1, 91))
    assert "text" not in made[0]


def test_every_format_gives_the_same_table(root: Path) -> None:
    rows = labelled_rows(60)
    seen = []
    for name in ("a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.parquet"):
        out = root / f"{name}.out"
        file = write(root / name, rows)
        assert call(root, "score", str(file), "--scores", "entropy,loss", "--out", str(out)) == 0
        seen.append(table(out))
    assert seen[0] == seen[1] == seen[2] == seen[3]
    assert list(seen[0][0]) == [
        "row", "id", "label", "argmax", "score_entropy", "score_loss", "plausibility", "reason"
    ]  # fmt: skip


def test_a_killed_run_goes_on_and_gives_the_same_bytes(root: Path) -> None:
    file = write(root / "rows.jsonl", labelled_rows(1_000))
    words = ["score", str(file), "--checkpoint", str(root / "checkpoint"), "--texts", "--out"]
    assert main([*words, str(root / "whole")]) == EXIT_OK
    assert killed("scored", 3, *words, str(root / "again")) == DEAD
    chunks = list((root / "again.work").rglob("*.parquet"))
    assert len(chunks) == 3 and not (root / "again").exists()
    assert killed("scored", 2, *words, str(root / "again")) == EXIT_OK, "three of five were there"
    assert (root / "again").read_bytes() == (root / "whole").read_bytes()
    assert not (root / "again.work").exists()


def test_chunks_of_another_file_are_not_taken(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scored, "CHUNK", 200)
    real, calls = scored.prepared, 0

    def counting(engine: Engine, rules: Rules, rows: Sequence[Row]) -> Prepared:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return real(engine, rules, rows)

    monkeypatch.setattr(scored, "prepared", counting)
    file = write(root / "rows.jsonl", labelled_rows(1_000))
    assert call(root, "score", str(file), "--out", str(root / "out")) == 130
    write(file, labelled_rows(1_000, seed=1))
    assert call(root, "score", str(file), "--out", str(root / "out")) == EXIT_OK
    assert calls == 4 + 5, "all five again"


def test_rows_without_an_id_get_one_of_number_and_content(root: Path) -> None:
    rows = [{"text": f"say {n // 2}", "label": "music"} for n in range(20)]
    rows[4]["id"] = "mine"
    names = []
    for name in ("a", "b"):
        (root / f"{name}.jsonl").write_bytes(
            b"\xef\xbb\xbf" + lines(rows).replace(b"\n", b"\r\n\n")
        )
        assert call(root, "score", str(root / f"{name}.jsonl"), "--out", str(root / name)) == 0
        names.append([row["id"] for row in table(root / name)])
    assert names[0] == names[1] and len(set(names[0])) == 20 and names[0][4] == "mine"
    assert names[0][0].startswith("row-1-") and names[0][1].startswith("row-3-"), (
        "lines are counted"
    )


def test_where_and_map_choose_rows_and_fields(root: Path) -> None:
    rows = [
        {"q": {"said": r["text"]}, "intent": r["label"], "split": ("train", "test")[n % 2], "n": n}
        for n, r in enumerate(labelled_rows(40))
    ]
    file = write(root / "rows.parquet", rows)
    words = ["--map", "text=q.said", "--map", "id=n", "--map", "label=intent"]
    out = root / "out"
    assert call(root, "score", str(file), *words, "--where", "split=test", "--out", str(out)) == 0
    found = table(out)
    assert [row["row"] for row in found] == list(range(2, 41, 2))
    assert [row["id"] for row in found] == [str(n) for n in range(1, 40, 2)]
    assert [row["label"] for row in found] == [row["intent"] for row in rows[1::2]]


BAD = [
    (["--scores", "entropie"], "unknown kind", EXIT_CONFIG),
    (["--scores", "vog"], "vog", EXIT_CONFIG),
    (["--scores", "el2n", "--map", "label="], "needs a label", EXIT_CONFIG),
    (["--where", "split=nowhere"], "holds no row", 78),
    (["--where", "split"], "PATH=VALUE", EXIT_CONFIG),
    (["--map", "texts=a"], "FIELD=PATH", EXIT_CONFIG),
    (["--map", "text=a..b"], "no path", EXIT_CONFIG),
    (["--map", "text=nowhere"], "none of", 78),
    (["--checkpoint", "nowhere"], "no folder", EXIT_CONFIG),
    (["--checkpoint", "0" * 64], "source: is missing", EXIT_CONFIG),
    (["--policy", "nowhere.yaml"], "no policy file", EXIT_CONFIG),
]


@pytest.mark.parametrize(("words", "said", "code"), BAD)
def test_wrong_calls_end_with_a_line_and_a_code(
    root: Path, words: list[str], said: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(root / "rows.jsonl", labelled_rows(30))
    assert call(root, "score", str(file), "--out", str(root / "out"), *words) == code
    err = capsys.readouterr().err
    assert said in err.splitlines()[-1] and err.splitlines()[-1].startswith("sluice: ")
    assert not any(f"say {n}" in err for n in range(400)) and not (root / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "code", "said"),
    [
        ("a.csv", b"id,text", EXIT_CONFIG, "no format"),
        ("a.jsonl", b"\n \n", 78, "holds no row"),
        ("a.jsonl.gz", b"no gzip", 78, "cannot be read"),
        ("a.parquet", b"PAR1 no parquet", 78, "cannot be read"),
        ("a.jsonl", b"{broken\n[1]\n", 78, "none of 2 rows"),
    ],
)
def test_files_that_cannot_be_read_say_so(
    root: Path, name: str, content: bytes, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / name).write_bytes(content)
    assert call(root, "score", str(root / name), "--out", str(root / "out")) == code
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_rows_that_can_be_read_may_come_late(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scored, "CHUNK", 50)
    file, out = root / "rows.jsonl", root / "out"
    file.write_bytes(b"[]\n" * 120 + lines(labelled_rows(200)))
    assert call(root, "score", str(file), "--out", str(out)) == EXIT_OK
    assert [row["reason"] is None for row in table(out)] == [False] * 120 + [True] * 200


def column(path: Path, values: pa.Array) -> Path:
    """Rows as Parquet, and a column `odd` beside them, which nobody maps."""
    rows = pa.Table.from_pylist(labelled_rows(len(values)))
    pq.write_table(rows.append_column("odd", values), path)
    return path


ODD = {
    "letters": pa.Array.from_buffers(
        pa.string(), 9, pa.array([b"\xff\xfe"] * 9, pa.binary()).buffers()
    ),
    "late": pa.array([2**62] * 9, pa.timestamp("us")),
    "long": pa.array([2**62] * 9, pa.duration("ms")),
    "day": pa.array([2**30] * 9, pa.date32()),
    "fine": pa.array([[1]] * 9, pa.list_(pa.timestamp("ns"))),
    "zone": pa.array([5] * 9, pa.timestamp("us", "Mars/Tharsis")),
}


@pytest.mark.parametrize("odd", ODD)
def test_a_column_that_json_cannot_say_is_named(
    root: Path, odd: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = column(root / "rows.parquet", ODD[odd])
    for words in (["score"], ["select", "--keep", "10%"]):
        out = ["--out", str(root / words[0])]
        assert call(root, words[0], str(file), *words[1:], *out) == EXIT_STATE
        last = capsys.readouterr().err.splitlines()[-1]
        assert "column 'odd' holds" in last and "write it as text" in last
        assert str(2**62) not in last and "Mars" not in last


@pytest.mark.parametrize(
    ("fine", "coarse"),
    [
        (pa.timestamp("ns"), pa.timestamp("us")),
        (pa.timestamp("ns", "Europe/Vienna"), pa.timestamp("us", "Europe/Vienna")),
        (pa.duration("ns"), pa.duration("us")),
    ],
)
def test_nanoseconds_are_cut(tmp_path: Path, fine: pa.DataType, coarse: pa.DataType) -> None:
    """Rows and their ids are those of the same times in microseconds."""
    times = [1_700_000_000_123_456_789, 1_999, None, 5_000]
    cut = [None if time is None else time // 1_000 for time in times]
    ours, theirs = (
        list(DataSet(column(tmp_path / f"{name}.parquet", values), "no").rows())
        for name, values in (("ns", pa.array(times, fine)), ("us", pa.array(cut, coarse)))
    )
    assert ours == theirs and len(ours) == 4


def test_a_result_is_never_overwritten_and_labels_are_spoken_of(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(root / "rows.jsonl", labelled_rows(300))
    assert call(root, "score", str(file), "--out", str(root / "out")) == EXIT_OK
    assert "labels are no class of the checkpoint" in capsys.readouterr().err
    assert call(root, "score", str(file), "--out", str(root / "out")) == EXIT_CONFIG
    assert "exists already" in capsys.readouterr().err
