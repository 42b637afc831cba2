"""Mistakes of joint answers, a row of counts for each utterance, and the rates made of their sums.

The rates are those of Anand, Tan and Minakova 2023 (arXiv 2311.16298), section 4: SEMER, the
mistakes over intents and slots of the truth; F-SEMER, its harmonic mean with the same over those
of the answers; IRER, utterances with any mistake. A slot mistake is an edit of the sequence of
slots, as a word error is one of words: a substitution, a deletion or an insertion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from scoring.training.chunks import Chunk, chunks
from scoring.training.dice import Floats64

ROWS, INTENT, SLOTS, WANTED, SAID, FOUND, ANY = range(7)
Counts = npt.NDArray[np.int64]  # (..., 7), a column for each of these
RATES = ("accuracy", "slot_f1", "semer", "f_semer", "irer")
UP = ("accuracy", "slot_f1")  # the others are better where they are lower
Tags = Sequence[str]


def mistakes(
    intents: Sequence[str],
    tags: Sequence[Tags],
    said_intents: Sequence[str],
    said_tags: Sequence[Tags],
) -> Counts:
    """(n, 7) of n utterances: the truth, then the answers; tags are BIO, one for each word."""
    rows = zip(intents, tags, said_intents, said_tags, strict=True)
    return np.array([_row(*row) for row in rows], np.int64).reshape(-1, 7)


def _row(intent: str, tags: Tags, said_intent: str, said_tags: Tags) -> tuple[int, ...]:
    wanted, said = chunks(tags), chunks(said_tags)
    wrong, edits = int(intent != said_intent), distance(sorted(wanted), sorted(said))
    found = len(wanted & said)
    return 1, wrong, edits, len(wanted), len(said), found, int(wrong or edits > 0)


def distance(one: Sequence[Chunk], other: Sequence[Chunk]) -> int:
    """Least number of substitutions, deletions and insertions (Levenshtein 1966)."""
    row = list(range(len(other) + 1))
    for place, left in enumerate(one, start=1):
        corner, row[0] = row[0], place
        for at, right in enumerate(other, start=1):
            best = min(row[at] + 1, row[at - 1] + 1, corner + (left != right))
            corner, row[at] = row[at], best
    return row[-1]


def rates(sums: npt.NDArray[np.generic]) -> Mapping[str, Floats64]:
    """(..., 7) sums over utterances, of at least one, to (...,) of each of RATES, in 0 ... ."""
    total = np.moveaxis(np.asarray(sums, np.float64), -1, 0)
    both = total[INTENT] + total[SLOTS]
    semer = both / (total[ROWS] + total[WANTED])
    turned = both / (total[ROWS] + total[SAID])
    chunked = total[WANTED] + total[SAID]
    return {
        "accuracy": 1 - total[INTENT] / total[ROWS],
        "slot_f1": np.where(chunked > 0, 2 * total[FOUND] / np.maximum(chunked, 1), 1.0),
        "semer": semer,
        "f_semer": 2 * semer * turned / np.maximum(semer + turned, 1e-300),
        "irer": total[ANY] / total[ROWS],
    }
