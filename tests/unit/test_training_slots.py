"""F1 of slots, and utterances as a network trains on them."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.models.tokens import Tokens
from scoring.training.chunks import chunk_f1, chunks
from scoring.training.dice import Dice
from scoring.training.examples import alike, examples, padded, tag_names, words
from scoring.types import NO_LABEL, UNKNOWN_LABEL
from tests import tiny_bert

TAGS = ("O", "B-a", "I-a", "B-b", "I-b")
# f1_score of seqeval 1.2.2, a port of conlleval, on the utterances that these seeds draw
SEQEVAL = (
    0.517241, 0.692308, 0.787879, 0.611111, 0.756757, 0.8,
    0.914286, 0.914286, 0.6, 0.653061, 0.8, 0.85,
)  # fmt: skip


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("", set()),
        ("O O", set()),
        ("B-a", {(0, 1, "a")}),
        ("B-a I-a O B-a", {(0, 2, "a"), (3, 4, "a")}),
        ("B-a B-a", {(0, 1, "a"), (1, 2, "a")}),
        ("O I-a I-a", {(1, 3, "a")}),  # conlleval takes it for a chunk
        ("B-a I-b I-b", {(0, 1, "a"), (1, 3, "b")}),
        ("B-x-y I-x-y odd I-x-y", {(0, 2, "x-y"), (3, 4, "x-y")}),
    ],
)
def test_chunks_by_hand(tags: str, found: set[tuple[int, int, str]]) -> None:
    assert chunks(tags.split()) == found


def test_f1_by_hand() -> None:
    truth = [["B-a", "I-a", "O"], ["B-b", "O", "O"]]
    assert chunk_f1(truth, truth) == 1
    # 2 wanted, 3 given, 1 right: of the other the end is wrong
    assert chunk_f1(truth, [["B-a", "O", "O"], ["B-b", "O", "B-a"]]) == pytest.approx(2 / 5)
    assert chunk_f1([["O"]], [["O"]]) == 1
    assert chunk_f1([["O"]], [["B-a"]]) == 0


@pytest.mark.parametrize(("seed", "f1"), list(enumerate(SEQEVAL)))
def test_f1_is_that_of_the_public_implementation(seed: int, f1: float) -> None:
    rng = random.Random(seed)
    truth = [[rng.choice(TAGS) for _ in range(rng.randint(1, 9))] for _ in range(6)]
    said = [[t if rng.random() < 0.7 else rng.choice(TAGS) for t in row] for row in truth]
    assert chunk_f1(truth, said) == pytest.approx(f1, abs=1e-6)


def test_examples_point_at_the_first_token_of_each_word() -> None:
    tokens = Tokens(tiny_bert.tokenizer_json(), 8)
    texts = ("play music", "stopping lights now", "a a a a a a a a")
    tags = (("O", "B-a"), ("O", "B-new", "O"), None)
    found = examples(tokens, texts, ("x", "y", "z"), tags, ("x", "y"), TAGS)
    assert found.labels.tolist() == [0, 1, UNKNOWN_LABEL]
    assert found.firsts[0].tolist() == [1, 2]
    assert found.tags[0].tolist() == [0, 1]
    assert found.tags[1].tolist() == [0, UNKNOWN_LABEL, 0]
    assert len(found.tags[2]) == 6  # eight tokens, two of them special: the cut
    assert set(found.tags[2].tolist()) == {NO_LABEL}
    ids, mask = padded(found, np.array([2, 0]))
    assert ids.shape == mask.shape == (2, 8)
    assert mask.sum(axis=1).tolist() == [8, 4]
    assert ids[1, 4:].tolist() == [0, 0, 0, 0]
    row, place, tag = words(found, np.array([1, 0]))
    assert row.tolist() == [0, 0, 0, 1, 1]
    assert tag.tolist() == [0, UNKNOWN_LABEL, 0, 0, 1]
    assert [found.ids[0][p] for p in place[3:]] == found.ids[0][1:3].tolist()


def test_tags_start_with_outside() -> None:
    assert tag_names([("B-b", "O"), None, ("B-a",)]) == ("O", "B-a", "B-b")
    assert tag_names([None]) == ()


@given(st.integers(1, 400), st.integers(1, 40), st.integers(0, 9))
@settings(max_examples=40)
def test_batches_hold_every_row_once_with_their_likes(count: int, size: int, seed: int) -> None:
    lengths = Dice("lengths", seed).below("l", 500, 20) + 2
    rows = np.sort(Dice("rows", seed).permutation("r", 500)[:count])
    batches = alike(rows, lengths, size, Dice("x", seed))
    assert sorted(np.concatenate(batches).tolist()) == rows.tolist()
    assert max(map(len, batches)) <= size
    assert [b.tolist() for b in alike(rows, lengths, size, Dice("x", seed))] == [
        b.tolist() for b in batches
    ]


def test_batches_need_little_padding() -> None:
    lengths = Dice("lengths").below("l", 4096, 30) + 2
    batches = alike(np.arange(4096), lengths, 32, Dice("x"))
    padding = sum(int(lengths[b].max()) * len(b) for b in batches) / int(lengths.sum())
    assert padding < 1.1  # in order of the shuffle alone it would be 1.8
    other = alike(np.arange(4096), lengths, 32, Dice("y"))
    assert [b.tolist() for b in other] != [b.tolist() for b in batches]
