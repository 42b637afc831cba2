"""Texts to token ids: the Rust tokenizer decides, a cache of words answers most of the time.

Utterances repeat few words, so a dict from word to ids is ten times as fast as tokenising again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from scoring.models.base import BadModel

SIZE_MAX = 20_000_000  # bytes of tokenizer.json
WORDS_MAX = 1 << 16  # words kept; a full cache starts afresh
WORD_LENGTH_MAX = 64  # characters; longer ones would only fill the cache

_WORD = re.compile(r"\S+")
_PIECES = ("BertNormalizer", "BertPreTokenizer", "WordPiece")


class Tokens:
    """One tokenizer with truncation and without padding. Not for two threads at a time."""

    def __init__(self, tokenizer_json: bytes, max_length: int) -> None:
        """BadModel if the file is too large, malformed, or `max_length` leaves no room for text."""
        if len(tokenizer_json) > SIZE_MAX:
            raise BadModel(f"tokenizer.json is larger than {SIZE_MAX} bytes: not a real vocabulary")
        try:
            self._rust = Tokenizer.from_buffer(tokenizer_json)
            layout = msgspec.json.decode(tokenizer_json)
        except ValueError as error:  # also msgspec.DecodeError
            raise BadModel("tokenizer.json is malformed: publish the file again") from error
        if not _knows_unknown(layout["model"]):
            raise BadModel("tokenizer.json has no token for unknown words: add one and retrain")
        special = self._rust.num_special_tokens_to_add(is_pair=False)
        if max_length <= special:
            raise BadModel(f"max_length must exceed the {special} special tokens of a text")
        self._rust.no_padding()
        self._rust.no_truncation()
        ends = self._ends()
        self._rust.enable_truncation(max_length)
        self._content_max = max_length - special
        self._blank = [int((layout.get("padding") or {}).get("pad_id", 0))]
        self._words: dict[str, list[int]] = {"": []}  # between two spaces there is nothing
        self._ends_of_text = ends
        self._cacheable = None if ends is None else _cacheable(layout)

    @property
    def id_max(self) -> int:
        """The largest id that a text can get: the model's embedding must have a row for it."""
        return max(self._rust.get_vocab(with_added_tokens=True).values(), default=0)

    @property
    def cached_words(self) -> int:
        """How many words the cache holds now; at most WORDS_MAX."""
        return len(self._words)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids with special tokens, cut at `max_length`; one non-empty list per text. Any text."""
        found = [self._from_words(text) for text in texts]
        unknown = [index for index, ids in enumerate(found) if ids is None]
        for index, encoding in zip(
            unknown, self._rust.encode_batch_fast([_clean(texts[i]) for i in unknown]), strict=True
        ):
            found[index] = encoding.ids or self._blank
        return [ids or self._blank for ids in found]

    def first_pieces(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        """Per text the positions (among its ids) of the first token of each word: slots sit there.

        Words are what stands between white space, as annotators tag them (`str.split`): so many
        positions as words, less those behind the cut. A word that the tokenizer drops whole takes
        the token behind it. Special tokens belong to no word.
        """
        encodings = self._rust.encode_batch([_clean(text) for text in texts])
        return [
            np.fromiter(_firsts(text, encoding.offsets, encoding.special_tokens_mask), np.int64)
            for text, encoding in zip(texts, encodings, strict=True)
        ]

    def _ends(self) -> tuple[int, int] | None:
        """(first, last) id around every text, or None if this tokenizer adds anything else."""
        body = self._rust.encode("a", add_special_tokens=False).ids
        whole = self._rust.encode("a").ids
        if len(whole) == len(body) + 2 and whole[1:-1] == body:
            return whole[0], whole[-1]
        return None

    def _from_words(self, text: str) -> list[int] | None:
        """Ids by the cache, or None if the tokenizer has to read the text as a whole."""
        if self._ends_of_text is None or not text.isascii():
            return None
        first, last = self._ends_of_text
        ids = [first]
        words = self._words
        for word in text.split(" "):
            pieces = words.get(word)
            if pieces is None:
                pieces = self._learn(word)
                if pieces is None:
                    return None
                words = self._words
            ids += pieces
            if len(ids) > self._content_max:
                del ids[self._content_max + 1 :]
                break
        ids.append(last)
        return ids

    def _learn(self, word: str) -> list[int] | None:
        if self._cacheable is None or len(word) > WORD_LENGTH_MAX:
            return None
        if self._cacheable.fullmatch(word) is None:
            return None
        # A word of 64 characters may exceed max_length, but what is cut then is cut anyway.
        pieces: list[int] = self._rust.encode(word, add_special_tokens=False).ids
        if len(self._words) >= WORDS_MAX:
            self._words = {"": []}
        self._words[word] = pieces
        return pieces


def _cacheable(layout: dict[str, Any]) -> re.Pattern[str] | None:
    """Words whose ids do not depend on the words beside them, or None if there are no such words.

    BERT's normaliser acts on single characters and its pre-tokenizer cuts at every space, so
    printable ASCII between two spaces stands alone, unless an added token ("[SEP]") could start
    in it: added tokens are found in the raw text and may swallow spaces.
    """
    kinds = [(layout.get(part) or {}).get("type") for part in _PARTS]
    added = [token["content"] for token in layout.get("added_tokens") or []]
    starts = {content[:1] for content in added}
    plain = all(start.isascii() and start.isprintable() and not start.isalnum() for start in starts)
    if kinds != list(_PIECES) or not plain or "" in starts or " " in starts:
        return None
    allowed = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in starts)
    return re.compile(f"[{re.escape(allowed)}]+")


_PARTS = ("normalizer", "pre_tokenizer", "model")


def _knows_unknown(model: dict[str, Any]) -> bool:
    """Without a token for them, one unknown word makes these models raise."""
    if model.get("type") == "Unigram":
        return model.get("unk_id") is not None or bool(model.get("byte_fallback"))
    return model.get("type") == "BPE" or model.get("unk_token") in model["vocab"]


def _clean(text: str) -> str:
    """Lone surrogates become `?`: Rust strings cannot hold them."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _firsts(
    text: str, offsets: Sequence[tuple[int, int]], special: Sequence[int]
) -> Iterator[int]:
    """Positions of the first token that ends behind the start of each word."""
    places = [(at, end) for at, (_, end) in enumerate(offsets) if not special[at]]
    here = 0
    for word in _WORD.finditer(text):
        while here < len(places) and places[here][1] <= word.start():
            here += 1
        if here == len(places):
            return  # behind the cut
        yield places[here][0]
