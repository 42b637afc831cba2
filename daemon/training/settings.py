"""What decides a training, to the last bit: its data, its options, the rows that they choose."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct

from daemon.corpus import Corpus, Row
from scoring.training.dice import Dice
from scoring.training.dynamics import Reduce
from scoring.training.schedules import Schedule

Model = Literal["head", "joint"]
EPOCHS: Mapping[Model, int] = {"head": 20, "joint": 10}


class Settings(Struct, frozen=True, kw_only=True):
    """Equal settings on equal machines give equal checkpoints."""

    data: str  # digest of the corpus
    model: Model
    schedule: Schedule
    epochs: int
    rows: int | None  # of the training split; None: all
    seed: int
    checkpoints: int
    # of the joint model alone
    layers: int
    threads: int
    reduce: Reduce
    coarse: bool = False

    def due(self, epoch: int) -> bool:
        """A checkpoint is written after this many epochs: evenly, and after the last one."""
        before, after = ((epoch - back) * self.checkpoints // self.epochs for back in (1, 0))
        return after > before


def digest(corpus: Corpus) -> str:
    """Of every row in order: other data is another training."""
    splits = (corpus.train, corpus.valid, corpus.test)
    return hashlib.sha256(msgspec.json.encode(splits)).hexdigest()


def drawn(corpus: Corpus, rows: int | None, seed: int) -> list[int]:
    """Places in the training split, ascending: all of them, or as many drawn at random."""
    total = len(corpus.train)
    if rows is None or rows >= total:
        return list(range(total))
    return sorted(Dice("rows", seed).permutation("drawn", total)[:rows].tolist())


def chosen(corpus: Corpus, places: list[int]) -> list[Row]:
    return [corpus.train[place] for place in places]
