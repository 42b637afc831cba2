"""Utterances as a network trains on them: token ids, intents and, for each word, its tag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scoring.models.tokens import Tokens
from scoring.training.accuracy import indices
from scoring.training.dice import Dice, Ints64
from scoring.types import NO_LABEL, UNKNOWN_LABEL, Ints

OUTSIDE = "O"
WINDOW = 16  # batches whose rows are sorted by length together: little padding, much chance


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """n utterances of W_i words each. Words behind the cut have no position, hence no tag."""

    ids: tuple[Ints, ...]  # n arrays (L_i,), special tokens included
    firsts: tuple[Ints64, ...]  # n arrays (W_i,), the position of each word's first token
    labels: Ints  # (n,) index of the intent, UNKNOWN_LABEL where it is no class
    tags: tuple[Ints, ...]  # n arrays (W_i,), index of the tag; NO_LABEL where nobody said one
    lengths: Ints64  # (n,) tokens

    def __len__(self) -> int:
        return len(self.ids)


def examples(
    tokens: Tokens,
    texts: Sequence[str],
    intents: Sequence[str],
    tags: Sequence[Sequence[str] | None],
    classes: Sequence[str],
    names: Sequence[str],
) -> Examples:
    """n texts with their intents and a tag per word, or None; `names` are the tags known."""
    ids = tuple(np.array(each, np.int32) for each in tokens.encode(texts))
    firsts = tuple(tokens.first_pieces(texts))
    places = {name: place for place, name in enumerate(names)}
    said = [
        np.full(len(at), NO_LABEL, np.int32)
        if row is None
        else np.array([places.get(tag, UNKNOWN_LABEL) for tag in row[: len(at)]], np.int32)
        for at, row in zip(firsts, tags, strict=True)
    ]
    labels = indices(intents, classes).astype(np.int32)
    labels[labels < 0] = UNKNOWN_LABEL
    lengths = np.array([len(each) for each in ids], np.int64)
    return Examples(ids, firsts, labels, tuple(said), lengths)


def tag_names(tags: Sequence[Sequence[str] | None]) -> tuple[str, ...]:
    """The tags that occur, sorted, with OUTSIDE first; none where no row has any."""
    found = {tag for row in tags if row is not None for tag in row}
    return (OUTSIDE, *sorted(found - {OUTSIDE})) if found else ()


def alike(rows: Ints64, lengths: Ints64, size: int, dice: Dice) -> list[Ints64]:
    """All rows once, in batches of `size` whose lengths are near one another.

    Shuffled, sorted by length inside windows of WINDOW batches, and the batches shuffled again.
    """
    shuffled = rows[dice.permutation("order", len(rows))]
    batches = []
    for first in range(0, len(rows), WINDOW * size):
        window = shuffled[first : first + WINDOW * size]
        window = window[np.argsort(lengths[window], kind="stable")]
        batches += [window[at : at + size] for at in range(0, len(window), size)]
    return dice.shuffled("batches", batches)


def padded(given: Examples, rows: Ints64) -> tuple[Ints64, npt.NDArray[np.int64]]:
    """(b, longest) ids with 0 behind the end of each, and (b, longest) 1 where a token is."""
    longest = int(given.lengths[rows].max())
    ids = np.zeros((len(rows), longest), np.int64)
    mask = np.zeros_like(ids)
    for at, row in enumerate(rows.tolist()):
        length = len(given.ids[row])
        ids[at, :length] = given.ids[row]
        mask[at, :length] = 1
    return ids, mask


def words(given: Examples, rows: Ints64) -> tuple[Ints64, Ints64, Ints]:
    """Of every word of these rows: its row in the batch, its position, its tag. Row by row."""
    counts = [len(given.firsts[row]) for row in rows.tolist()]
    at = np.repeat(np.arange(len(rows)), counts)
    places = np.concatenate([given.firsts[row] for row in rows.tolist()])
    tags = np.concatenate([given.tags[row] for row in rows.tolist()])
    return at, places.astype(np.int64), tags
