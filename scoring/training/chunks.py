"""Chunks of tagged words, and F1 over them: a slot counts when its words and its name are right.

As conlleval counts them (Tjong Kim Sang & Buchholz 2000, CoNLL shared task): a chunk begins at
B-, and at I- where no chunk of that name goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Chunk = tuple[int, int, str]  # first word, end (half open), name


def chunks(tags: Sequence[str]) -> set[Chunk]:
    """The chunks of one utterance. What begins with neither B- nor I- is in none, like "O"."""
    found: set[Chunk] = set()
    begun, name = 0, ""
    for place, tag in enumerate((*tags, "O")):
        kind, _, here = tag.partition("-")
        if kind not in ("B", "I"):
            here = ""
        if name and (here != name or kind == "B"):
            found.add((begun, place, name))
            name = ""
        if here and not name:
            begun, name = place, here
    return found


def chunk_f1(truth: Iterable[Sequence[str]], answers: Iterable[Sequence[str]]) -> float:
    """Micro F1 in [0, 1] over utterances of equal lengths; 1 where neither side has a chunk."""
    right = wanted = given = 0
    for one, other in zip(truth, answers, strict=True):
        expected, found = chunks(one), chunks(other)
        right += len(expected & found)
        wanted += len(expected)
        given += len(found)
    return 2 * right / (wanted + given) if wanted + given else 1.0
