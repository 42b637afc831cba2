"""What `sluice train` trains: a learner with what can be asked of it between epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from daemon.corpus import Row
from scoring.training.accuracy import shares
from scoring.training.chunks import chunk_f1
from scoring.training.course import Learner

Tags = tuple[str, ...]


class Answers(NamedTuple):
    """Of n rows. `tags`: one for each word; None where there is no slot head."""

    intents: tuple[str, ...]
    tags: tuple[Tags, ...] | None


class Subject(Protocol):
    """A model in training."""

    @property
    def learner(self) -> Learner: ...

    def answers(self, rows: Sequence[Row]) -> Answers:
        """What it says of n >= 1 rows; their own intents and tags are not read."""

    def files(self) -> dict[str, bytes]:
        """A checkpoint that `sluice publish` takes, by file name."""


class Grades(NamedTuple):
    """Shares in [0, 1] of one split. The last two are None without slots to compare."""

    accuracy: float  # right intents over rows
    macro: float  # the same, as the mean over intents
    slot_f1: float | None  # micro F1 of chunks
    whole: float | None  # rows whose intent and tags are all right


def grade(subject: Subject, rows: Sequence[Row]) -> Grades:
    """Of n >= 1 rows with their true intents, and true tags where they have any."""
    said = subject.answers(rows)
    right = [intent == row.intent for intent, row in zip(said.intents, rows, strict=True)]
    truth = [row.tags for row in rows]
    plain, macro = shares(np.array(right, np.float32), [row.intent for row in rows])
    if said.tags is None or None in truth:
        return Grades(plain, macro, None, None)
    both = [ok and tags == true for ok, tags, true in zip(right, said.tags, truth, strict=True)]
    f1 = chunk_f1([tags or () for tags in truth], said.tags)
    return Grades(plain, macro, f1, sum(both) / len(both))
