"""A slot head: what it says of each word, and what its tags are called.

A joint checkpoint says its tags in the order of the head's outputs: `slot_labels` in config.json,
or the entry of that name in an ONNX file's metadata, a JSON list. Words are those of `str.split`;
of a word the first token speaks (Attendu and Corbeil 2023, arXiv 2306.03208).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from scoring.models.base import BadModel, softmax
from scoring.models.lengths import Batch
from scoring.models.tokens import Tokens
from scoring.types import Floats

NAMES = "slot_labels"  # where a checkpoint says its tags
HEAD = ("slot_classifier.weight", "slot_classifier.bias")  # in a state dict: (S, d) and (S,)


def tags_of(said: object) -> tuple[str, ...]:
    """The names of the tags; none where nobody says them. BadModel for what is no list of names."""
    if said is None:
        return ()
    if not isinstance(said, list) or not all(isinstance(name, str) and name for name in said):
        raise BadModel(f"{NAMES} is no list of names: save the names of the slot tags as one")
    if len(set(said)) < len(said):
        raise BadModel(f"{NAMES} names a tag twice: give each output of the slot head its own name")
    return tuple(said)


def read_tags(text: str | None) -> tuple[str, ...]:
    """The same from JSON text. BadModel where it is none."""
    try:
        return tags_of(None if text is None else msgspec.json.decode(text))
    except msgspec.DecodeError as error:
        raise BadModel(f"{NAMES} is not JSON: save the names of the slot tags as a list") from error


def check_tags(tags: Sequence[str], outputs: int) -> None:
    """BadModel unless each output of the slot head has a name, or none has."""
    if tags and len(tags) != outputs:
        raise BadModel(
            f"{NAMES} names {len(tags)} tags, but the slot head gives {outputs}: name each, once"
        )


def by_word(
    tokens: Tokens,
    texts: Sequence[str],
    batches: Sequence[Batch],
    logits: Sequence[Floats],
    hidden: Sequence[Floats] | None,
) -> tuple[tuple[Floats, ...], tuple[Floats, ...] | None]:
    """Per batch (rows, length, S) and (rows, length, d) -> per text (T_i, S) probabilities and
    (T_i, d): the first token of each word."""
    firsts = tokens.first_pieces(texts)
    probs: dict[int, Floats] = {}
    read: dict[int, Floats] = {}
    for number, batch in enumerate(batches):
        for at, row in enumerate(batch.rows.tolist()):
            probs[row] = softmax(logits[number][at][firsts[row]])
            if hidden is not None:
                read[row] = hidden[number][at][firsts[row]]
    rows = range(len(texts))
    return tuple(probs[r] for r in rows), (
        None if hidden is None else tuple(read[r] for r in rows)
    )
