"""Near repeats: texts that ask for the same in nearly the same words become one text.

A bucket key that is itself a text. What is kept once, and what the model reads, is a function of
one text and its locale alone, so order, batches and lanes change nothing (law 2), and all texts of
a bucket have one score, one weight and one rank. No two texts are ever compared.

`near` folds what no language means anything by: marks at the edges of words, lone dashes, the curl
of an apostrophe, a hyphen between letters. `near-en` also leaves out, of texts in English, fillers,
apostrophes, and what a request opens with. A text of which nothing would be left stays as it is.

Traps, each of them measured (tests/bench/bench_near.py): sorted words make "from boston to denver"
and its way back one; a digit for any digit loses what was asked for; min-hash of character n-grams
(Broder 1997) joins other intents long before it joins most repeats, and no model can read it; the
s of plurals (Harman 1991) and articles join few texts, and change what the model reads of most.

What a name folds never changes, for keys would: other words are another name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

from msgspec import Meta

Identity = Annotated[
    Literal["text", "id", "near", "near-en"],
    Meta(description="what is kept once; near, near-en: near repeats too"),
]
Fold = Callable[[str, str | None], str]  # normalised text, locale -> key text

_OPENING, _CLOSING = "\u201c\u2018\u201e\u00ab([{\u00bf\u00a1,;:!?", ".,!?;:)]}\u3002\u3001\u061f"
_LEADING = rf"(?:[\"'{re.escape(_OPENING)}]|\.(?!\d))+"  # .5 is a number
_TRAILING = rf"(?:[{re.escape(_CLOSING)}]|(?<!\d)[\"'\u201d\u2019\u00bb])+"  # 6" is a length
_EDGES = re.compile(rf"(?<![^ ])(?:{_LEADING}|[-\u2013\u2014]+(?= |$))|{_TRAILING}(?= |$)")
_HYPHEN = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")
_APOSTROPHE = re.compile(r"(?<=[a-z])'(?=[a-z])")
_MARKED = re.compile(r"[^\w ]")

_FILLERS = frozenset(  # not "er", "mm" or "now": a place, a length, a time
    ("um", "umm", "uh", "uhh", "uhm", "erm", "hm", "hmm", "please", "pls", "kindly")
)
_FIRST = frozenset(("hey", "hi", "hello", "ok", "okay", "oh", "ah", "so", "well"))  # of a text
_OPENINGS: tuple[tuple[str, ...], ...] = tuple(
    tuple(opening.split())
    for opening in (
        "can you", "could you", "would you", "will you", "i want to", "i want you to", "i wanna",
        "i need to", "i need you to", "i would like to", "i would like you to", "id like to",
        "id like you to", "go ahead and",
    )
)  # fmt: skip
_BY_FIRST: Mapping[str, Sequence[tuple[str, ...]]] = {
    first: sorted((o for o in _OPENINGS if o[0] == first), key=len, reverse=True)
    for first in {opening[0] for opening in _OPENINGS}
}


def by_text(identity: Identity) -> bool:
    """Texts are kept once, and the model reads the key text, so that repeats score alike."""
    return identity != "id"


def folding(identity: Identity) -> Fold | None:
    """What makes the key text of a normalised text; None where the normalised text is it.

    The result is a fixpoint: of folding, and of the normaliser. It is never empty, nor longer.
    """
    return {"near": _near, "near-en": _near_english}.get(identity)


def unfolded(text: str, _locale: str | None) -> str:
    """The normalised text itself."""
    return text


def _near(text: str, _locale: str | None) -> str:
    if not _MARKED.search(text):
        return text
    bare = _HYPHEN.sub(" ", text.replace("\u2019", "'"))
    while (less := " ".join(_EDGES.sub("", bare).split())) != bare:
        bare = less
    return bare or text


def _near_english(text: str, locale: str | None) -> str:
    """Of a locale that is not English as `near`; a text without one is taken for English."""
    bare = _near(text, locale)
    if locale is not None and locale.lower().replace("_", "-").partition("-")[0] != "en":
        return bare
    words = (_APOSTROPHE.sub("", bare) if "'" in bare else bare).split()
    left = [word for word in words if word not in _FILLERS]
    if not left:
        return " ".join(words)
    while cut := _opening(left):
        left = left[cut:]
    return " ".join(left)


def _opening(words: list[str]) -> int:
    """How many words the request opens with, before what it asks for."""
    if words[0] in _FIRST:
        return 1 if len(words) > 1 else 0
    for opening in _BY_FIRST.get(words[0], ()):
        if len(words) > len(opening) and tuple(words[: len(opening)]) == opening:
            return len(opening)
    return 0
