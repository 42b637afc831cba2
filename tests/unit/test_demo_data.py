"""The demo's corpora: public formats read strictly, and the made-up house."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.corpus import Corpus, Row, hashed_split, read
from daemon.demo import house
from daemon.demo.house import home, tagged, unclaimed
from daemon.demo.stream import slots
from daemon.ports import EXIT_CONFIG, Fatal

SECRET = "zanzibar"  # must never come back in an error

Lines = dict[str, list[str]]


def lines(path: Path, *rows: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def folder(place: Path, dot: str = "/", **changes: list[str]) -> Path:
    """Three splits; `train_label=[...]` replaces the lines of one file."""
    rows: Lines = {
        "seq.in": ["play bach ", "stop"],
        "seq.out": ["O B-artist ", "O"],
        "label": ["play", "stop"],
    }
    for split in ("train", "valid", "test"):
        for name, default in rows.items():
            given = changes.get(f"{split}_{name.replace('.', '')}", default)
            lines(place / f"{split}{dot}{name}", *given)
    return place


def refused(path: Path, *words: str) -> None:
    with pytest.raises(Fatal) as caught:
        read(path)
    assert caught.value.code == EXIT_CONFIG
    assert all(word in str(caught.value) for word in words)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("dot", ["/", "."])
def test_folders_of_parallel_lines(tmp_path: Path, dot: str) -> None:
    read_back = read(folder(tmp_path, dot))
    rows = (Row("play bach", "play", ("O", "B-artist")), Row("stop", "stop", ("O",)))
    assert read_back == Corpus(rows, rows, rows)
    assert read_back.classes == ("play", "stop")


def test_a_folder_without_tags(tmp_path: Path) -> None:
    for path in folder(tmp_path).glob("*/seq.out"):
        path.unlink()
    assert read(tmp_path).train[0] == Row("play bach", "play", None)


def test_clinc_by_folder_by_file_and_with_out_of_scope(tmp_path: Path) -> None:
    full = {
        "train": [["pay my bill", "pay"], ["hi", "greet"]],
        "val": [["hello", "greet"]],
        "test": [["pay", "pay"]],
        "oos_train": [["why", "oos"]],
    }
    (tmp_path / "data_full.json").write_text(json.dumps(full))
    other = {**full, "train": [["a", "x"], ["b", "y"]]}
    (tmp_path / "data_imbalanced.json").write_text(json.dumps(other))
    assert read(tmp_path).classes == ("greet", "pay")
    assert read(tmp_path) == read(tmp_path / "data_full.json")
    assert read(tmp_path).valid == (Row("hello", "greet"),)
    assert read(tmp_path / "data_imbalanced.json").classes == ("x", "y")
    assert read(tmp_path, keep_out_of_scope=True).classes == ("greet", "oos", "pay")


def test_jsonl_with_and_without_splits(tmp_path: Path) -> None:
    rows = [
        {"text": "a  b", "intent": "x", "split": "train", "tags": ["O", "B-n"]},
        {"text": "c", "intent": "y", "split": "train"},
        {"text": "d", "intent": "y", "split": "dev"},
        *({"text": f"row {i}", "intent": "x"} for i in range(200)),
    ]
    made = read(lines(tmp_path / "d.jsonl", *map(json.dumps, rows), ""))
    assert made.train[0] == Row("a b", "x", ("O", "B-n"))
    assert made.valid[0] == Row("d", "y")
    hashed = (len(made.train) - 2, len(made.valid) - 1, len(made.test))
    assert sum(hashed) == 200
    assert hashed[0] > 130
    assert min(hashed[1:]) > 5
    assert all(hashed_split(row.text) == "test" for row in made.test)


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ("{" + SECRET, 3),
        (f'["{SECRET}"]', 3),
        (json.dumps({"text": SECRET}), 3),
        (json.dumps({"text": " ", "intent": SECRET}), 3),
        (json.dumps({"text": SECRET, "intent": 3}), 3),
        (json.dumps({"text": f"{SECRET} b", "intent": "x", "tags": ["O"]}), 3),
        (json.dumps({"text": SECRET, "intent": "x", "tags": [1]}), 3),
        (json.dumps({"text": SECRET, "intent": "x", "split": SECRET}), 3),
        (json.dumps({"text": SECRET, "intent": "x", "split": ["train"]}), 3),
        (json.dumps({"text": f"{SECRET} \ud83d", "intent": "x"}), 3),
        (json.dumps({"text": SECRET, "intent": "x\udc00", "split": "train"}), 3),
        (json.dumps({"text": SECRET, "intent": "x", "tags": ["\ud83d"]}), 3),
        pytest.param("[" * 100_000, 3, id="deep"),
        pytest.param(f'{{"text": "{SECRET}", "n": {"1" * 5_000}}}', 3, id="digits"),
    ],
)
def test_a_bad_jsonl_row_is_named_by_its_line_alone(tmp_path: Path, row: str, line: int) -> None:
    good = [json.dumps({"text": t, "intent": t, "split": "train"}) for t in "ab"]
    refused(lines(tmp_path / "d.jsonl", *good, row), "d.jsonl", f"line {line}")


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    rows = [json.dumps({"text": t, "intent": t, "split": "train"}) for t in "ab"]
    plain, marked = lines(tmp_path / "a.jsonl", *rows), tmp_path / "b.jsonl"
    marked.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes())
    assert read(marked) == read(plain)


def test_folders_are_refused_by_line(tmp_path: Path) -> None:
    tags = folder(tmp_path / "a", train_seqout=["O B-artist", f"O {SECRET}"])
    refused(tags, "seq.out", "line 2")
    refused(folder(tmp_path / "b", train_label=["play", ""]), "number of lines")
    refused(folder(tmp_path / "c", test_label=["", SECRET]), "line 1")
    (folder(tmp_path / "d") / "valid" / "label").unlink()
    refused(tmp_path / "d", "label")
    (folder(tmp_path / "e") / "test" / "seq.in").unlink()
    refused(tmp_path / "e", "test/seq.in", "does not exist")
    refused(tmp_path / "nowhere", "nowhere")


def test_corpora_that_train_nothing_are_refused(tmp_path: Path) -> None:
    refused(lines(tmp_path / "empty.jsonl"), "no training rows")
    one = json.dumps({"text": SECRET, "intent": "x", "split": "train"})
    refused(lines(tmp_path / "one.jsonl", one), "single intent")
    (tmp_path / "latin.jsonl").write_bytes(b"\xff\xfe")
    refused(tmp_path / "latin.jsonl", "UTF-8")
    (tmp_path / "x.json").write_text('{"train": [["' + SECRET)
    refused(tmp_path / "x.json", "no JSON")
    (tmp_path / "x.json").write_text(json.dumps({"train": [["a", "b"], [SECRET]]}))
    refused(tmp_path / "x.json", "row 2")
    (tmp_path / "x.json").write_text(json.dumps({"train": [["a", "b"], [SECRET, "\ud83d"]]}))
    refused(tmp_path / "x.json", "row 2", "half of a character")
    (tmp_path / "x.json").write_text("[" * 100_000)
    refused(tmp_path / "x.json", "nests too deeply")
    (tmp_path / "x.json").write_text(json.dumps({SECRET: []}))
    refused(tmp_path / "x.json", "split")


def test_the_house_is_a_function_of_its_seed() -> None:
    one = home(seed=3, rows=1_500)
    assert one == home(seed=3, rows=1_500)
    assert one != home(seed=4, rows=1_500)


def test_the_house_speaks_of_many_intents_and_repeats_no_text() -> None:
    made = home(rows=2_000)
    rows = [*made.train, *made.valid, *made.test]
    assert len(made.classes) >= 30
    assert 1_500 < len(rows) <= 2_000
    texts = Counter(row.text.casefold() for row in rows)
    assert max(texts.values()) == 1  # nor does any text belong to two intents
    for split in (made.valid, made.test):
        assert {row.intent for row in split} == set(made.classes)
    assert all(row.tags is not None and len(row.tags) == len(row.text.split()) for row in rows)
    assert sum(any(tag != "O" for tag in row.tags or ()) for row in rows) > len(rows) / 2
    assert not any(mark in row.text for row in rows for mark in "{}<>[]()|")


def test_a_text_of_two_intents_belongs_to_none() -> None:
    found = {"a": {"Stop it": ("O", "O"), "go": ("O",)}, "b": {"stop IT": ("O", "O")}}
    assert unclaimed(found) == {"a": [Row("go", "a", ("O",))], "b": []}


def test_a_language_without_templates_is_refused() -> None:
    with pytest.raises(Fatal, match="home-assistant-intents"):
        home("tlh")


def test_small_houses_keep_every_wide_intent() -> None:
    sizes = Counter(row.intent for row in home(rows=10).train)
    assert len(sizes) >= 30
    assert max(sizes.values()) <= house.MINIMUM_TEXTS


words = st.text(st.characters(categories=["L", "N", "Zs"]), max_size=12)


@given(st.lists(st.tuples(words, st.sampled_from([None, "area", "name"])), max_size=6))
def test_every_word_has_a_tag(pieces: list[tuple[str, str | None]]) -> None:
    text, tags = tagged(pieces)
    assert text == " ".join("".join(piece for piece, _ in pieces).split())
    assert len(tags) == len(text.split())
    for before, tag in zip(("O", *tags), tags, strict=False):
        assert not tag.startswith("I-") or before[2:] == tag[2:]


def test_tags_mark_where_a_value_starts() -> None:
    pieces = [("dim the ", None), ("living room", "area"), ("'s ", None), ("lamp", "name")]
    text, tags = tagged(pieces)
    assert text == "dim the living room's lamp"
    assert tags == ("O", "O", "B-area", "I-area", "B-name")
    assert slots(Row(text, "x", tags)) == {"area": "living room's", "name": "lamp"}
    assert tagged([("a ", "n"), ("b", "n")])[1] == ("B-n", "B-n")  # two values side by side


def test_slots_of_a_name_that_comes_twice() -> None:
    row = Row("a b c d e", "x", ("B-n", "I-n", "B-n", "I-n", "I-m"))
    assert slots(row) == {"n": "a b"}
    assert slots(Row("a", "x")) == {}
