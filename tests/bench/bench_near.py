"""What near repeats could be recognised by: how often a key is right, and how many it finds.

Run: python -m tests.bench.bench_near shared/data/snips shared/data/atis shared/data/clinc150

Different texts of a corpus whose keys are equal are a folded pair. It is right where both have one
intent and, in a corpus with slots, the same slots. To be found are pairs that are right and whose
sets of character trigrams overlap: Jaccard similarity of at least 0.7, or 0.8, exactly, by a prefix
filter (Bayardo, Ma and Srikant 2007). Without a folder only the cost of folding is printed.
"""

from __future__ import annotations

import hashlib
import re
import sys
import timeit
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator
from fractions import Fraction
from functools import partial
from time import process_time
from typing import NamedTuple

from daemon import corpus
from daemon.corpus import Row
from daemon.decode import near
from daemon.decode.near import Fold, folding
from daemon.decode.normalise import normaliser

NORMALISE = normaliser("nfkc-casefold-1", unicodedata.unidata_version)
SEVEN, EIGHT = Fraction(7, 10), Fraction(8, 10)
Key = Callable[[str], Hashable]
Meaning = tuple[str, tuple[tuple[str, str], ...]]  # intent, slots


def known(identity: near.Identity) -> Fold:
    fold = folding(identity)
    assert fold is not None
    return fold


def english(text: str) -> str:
    return known("near-en")(text, None)


def without(text: str, words: frozenset[str]) -> str:
    """The text without these words, unless nothing is left."""
    return " ".join(word for word in text.split() if word not in words) or text


def singular(word: str) -> str:
    """The S stemmer (Harman 1991)."""
    if len(word) < 4 or not word.endswith("s"):
        return word
    if word.endswith("ies") and word[-4] not in "ae":
        return word[:-3] + "y"
    if word.endswith("es") and word[-3] not in "aeo":
        return word[:-1]
    return word if word[-2] in "us" else word[:-1]


def bag(text: str) -> str:
    return " ".join(sorted(set(text.split())))


def digits(text: str) -> str:
    return re.sub(r"\d", "0", text)


def trigrams(text: str) -> frozenset[str]:
    return frozenset(text[at : at + 3] for at in range(len(text) - 2)) or frozenset({text})


def minima(text: str, count: int) -> Hashable:
    """Min-hash (Broder 1997): equal with probability J ** count."""
    grams = [gram.encode() for gram in trigrams(f" {text} ")]
    return tuple(
        min(hashlib.blake2b(gram, digest_size=8, salt=bytes([n])).digest() for gram in grams)
        for n in range(count)
    )


ARTICLES = frozenset({"the", "a", "an"})
KEYS: dict[str, Key] = {
    "`near`: marks": lambda text: known("near")(text, None),
    "`near-en`: and fillers, openings": english,
    "and articles": lambda text: without(english(text), ARTICLES),
    "and plurals": lambda text: " ".join(map(singular, english(text).split())),
    "and any digit": lambda text: digits(english(text)),
    "and sorted words": lambda text: bag(english(text)),
    "sorted words": lambda text: bag(known("near")(text, None)),
    "sorted words, any digit": lambda text: bag(digits(known("near")(text, None))),
    "min-hash, 1": lambda text: minima(text, 1),
    "min-hash, 2": lambda text: minima(text, 2),
    "min-hash, 3": lambda text: minima(text, 3),
    "`near-en`, then min-hash, 6": lambda text: minima(english(text), 6),
}


class Told(NamedTuple):
    """Different normalised texts, and what each means."""

    texts: list[str]
    meanings: list[Meaning]
    slots: bool


def told(path: str) -> Told:
    """All splits; of equal texts the first counts."""
    found = corpus.read(path)
    first: dict[str, Meaning] = {}
    rows = [*found.train, *found.valid, *found.test]
    for row in rows:
        first.setdefault(NORMALISE(row.text), (row.intent, slots(row)))
    return Told(list(first), list(first.values()), any(row.tags for row in rows))


def slots(row: Row) -> tuple[tuple[str, str], ...]:
    """(name, value) of each slot, in order of the names; values as `near-en` reads them."""
    found: list[tuple[str, list[str]]] = []
    for word, tag in zip(row.text.split(), row.tags or (), strict=False):
        if tag.startswith("B-") or (tag.startswith("I-") and not found):
            found.append((tag[2:], []))
        if tag != "O":
            found[-1][1].append(word)
    return tuple(sorted((name, english(NORMALISE(" ".join(said)))) for name, said in found))


def similar(texts: list[str], least: Fraction) -> Iterator[tuple[int, int, Fraction]]:
    """Pairs of at least this Jaccard similarity: sets that agree share one of their rarest."""
    sets = [trigrams(f" {text} ") for text in texts]
    often = Counter(gram for one in sets for gram in one)
    index: dict[str, list[int]] = defaultdict(list)
    for at in sorted(range(len(texts)), key=lambda at: len(sets[at])):
        mine = sorted(sets[at], key=lambda gram: (often[gram], gram))
        prefix = mine[: len(mine) - -(-least * len(mine) // 1) + 1]
        others = {o for gram in prefix for o in index[gram] if len(sets[o]) >= least * len(mine)}
        for gram in prefix:
            index[gram].append(at)
        for other in others:
            both = len(sets[at] & sets[other])
            overlap = Fraction(both, len(mine) + len(sets[other]) - both)
            if overlap >= least:
                yield other, at, overlap


def pairs(numbers: Counter[Hashable]) -> int:
    return sum(count * (count - 1) // 2 for count in numbers.values())


def report(name: str, said: Told) -> None:
    """One table for a corpus."""
    close = [p for p in similar(said.texts, SEVEN) if said.meanings[p[0]] == said.meanings[p[1]]]
    closer = [pair for pair in close if pair[2] >= EIGHT]
    print(f"\n{name}: {len(said.texts)} texts; of pairs that mean the same {len(close)}",
          f"overlap by 0.7, {len(closer)} by 0.8\n\n| key | texts joined | pairs "
          "| same intent | and same slots | found of 0.7 | of 0.8 | texts changed |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    for label, key in KEYS.items():
        keys = [key(text) for text in said.texts]
        folded = pairs(Counter(keys))
        intent = pairs(Counter(zip(keys, (m[0] for m in said.meanings), strict=True)))
        right = pairs(Counter(zip(keys, said.meanings, strict=True)))
        other = sum(k != text for k, text in zip(keys, said.texts, strict=True))
        cells = [
            label,
            str(len(keys) - len(set(keys))),
            str(folded),
            percent(intent, folded),
            percent(right, folded) if said.slots else "",
            *(percent(sum(keys[a] == keys[b] for a, b, _ in s), len(s)) for s in (close, closer)),
            "" if "min-hash" in label or "sorted" in label else percent(other, len(keys)),
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


def percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""


def _all(key: Key, texts: list[str]) -> None:
    for text in texts:
        key(text)


def cost() -> None:
    """Microseconds of a text, of what people say to assistants."""
    texts = ["turn on the light", "can you play some jazz, please?", "what's the weather in rome"]
    for label, key in list(KEYS.items())[:2]:
        taken = min(timeit.repeat(partial(_all, key, texts * 2_000), timer=process_time, number=1))
        print(f"{label}: {taken / 2_000 / len(texts) * 1e6:.1f} us per text")


def main(paths: list[str]) -> None:
    cost()
    for path in paths:
        report(path.rstrip("/").rsplit("/", 1)[-1], told(path))


if __name__ == "__main__":
    main(sys.argv[1:])
