"""A corpus with its features: computed once for each text, kept in a store between runs."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from daemon.corpus import Corpus
from daemon.ports import Missing, Store
from scoring.training.accuracy import indices
from scoring.training.dice import Ints64
from scoring.training.heads import fit
from scoring.types import Floats

CHUNK = 2_000  # texts of one object

Encode = Callable[[Sequence[str]], Floats]


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """A corpus in numbers. `asked` are the rows that answers are counted on: test, or valid."""

    name: str
    classes: tuple[str, ...]
    said: tuple[str, ...]  # texts of the train split
    train: Floats  # (n, d)
    train_classes: Ints64  # (n,)
    golden: Floats  # (g, d) trusted rows that no arm may choose from
    golden_classes: Ints64  # (g,)
    asked: Floats  # (m, d)
    asked_classes: Ints64  # (m,)
    near: Ints64  # (k, k) classes by likeness, itself left out at the end

    def nearest(self, count: int) -> Ints64:
        """(k, count) the classes that each one is confused with most."""
        return self.near[:, : min(count, len(self.classes) - 1)]


def texts(corpus: Corpus, name: str, encode: Encode, *, split: str) -> Texts:
    """`split`: "test", or "valid" for tuning. A corpus cut by `without_test` has no test to see.

    Rows whose intent the train split does not have are left out. For "valid" the golden rows are
    every third of the split, and answers are counted on the others: none is both.
    """
    classes = corpus.classes
    train = encode([row.text for row in corpus.train])
    own = indices([row.intent for row in corpus.train], classes)
    parts = {}
    for part, rows in (("valid", corpus.valid), ("test", corpus.test)):
        known = [row for row in rows if row.intent in set(classes)]
        vectors = encode([row.text for row in known])
        parts[part] = vectors, indices([row.intent for row in known], classes)
    golden, asked = parts["valid"], parts["test"]
    if split == "valid":
        third = np.arange(len(golden[1])) % 3 == 0
        asked = golden[0][~third], golden[1][~third]
        golden = golden[0][third], golden[1][third]
    said = tuple(row.text for row in corpus.train)
    near = _near(train, own, classes)
    return Texts(name, classes, said, train, own, *golden, *asked, near)


def without_test(corpus: Corpus) -> Corpus:
    """What tuning may see."""
    return Corpus(corpus.train, corpus.valid, ())


def _near(train: Floats, own: Ints64, classes: tuple[str, ...]) -> Ints64:
    """(k, k - 1) by the cosine of the weights of a head that was trained on clean labels."""
    head = fit(train, [classes[place] for place in own.tolist()], classes)
    centroids = head.weight / np.maximum(np.linalg.norm(head.weight, axis=1, keepdims=True), 1e-9)
    alike = np.round(centroids @ centroids.T, 5)
    np.fill_diagonal(alike, -2)
    return np.argsort(-alike, axis=1, kind="stable")[:, :-1].astype(np.int64)


class Kept:
    """An encoder whose features are kept: chunks of distinct texts, created once."""

    def __init__(self, store: Store, build: Callable[[], Encode]) -> None:
        """`build` makes the encoder, when the first text is missing."""
        self._store, self._build = store, build
        self._encode: Encode | None = None

    def __call__(self, texts: Sequence[str]) -> Floats:
        """(n, d) float32, in the order of the texts."""
        distinct = sorted(set(texts))
        chunks = [
            self._chunk(distinct[start : start + CHUNK]) for start in range(0, len(distinct), CHUNK)
        ]
        places = {text: place for place, text in enumerate(distinct)}
        if not chunks:
            return np.zeros((0, 1), np.float32)
        found: Floats = np.concatenate(chunks)[[places[text] for text in texts]]
        return found

    def _chunk(self, texts: list[str]) -> Floats:
        digest = hashlib.blake2b("\x1f".join(texts).encode(), digest_size=16).hexdigest()
        name = f"features/{digest}.npy"
        try:
            loaded: Floats = np.load(io.BytesIO(self._store.get(name)), allow_pickle=False)
        except Missing:
            if self._encode is None:
                self._encode = self._build()
            loaded = self._encode(texts)
            file = io.BytesIO()
            np.save(file, loaded, allow_pickle=False)
            self._store.create(name, file.getvalue())
        return loaded
