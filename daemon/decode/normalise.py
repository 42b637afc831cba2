"""Normalised text: what the model reads and what a repeat is recognised by, in text mode.

`nfkc-casefold-1` matches without case in the manner of Unicode's NFKC_Casefold (chapter 3.13 of
the standard), which also leaves out what cannot be seen:

1. control characters and separators become a space; format characters (bidi controls, joiners,
   soft hyphen) and the other default-ignorable code points are dropped;
2. NFKC, so that equivalent spellings are one from here on; case folding; NFKC, because folding
   may bring letters together that compose;
3. white space runs become one space, none at the ends.

The result is a fixpoint: normalising twice is normalising once.
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from collections.abc import Callable

Normaliser = Callable[[str], str]

# Default_Ignorable_Code_Point of DerivedCoreProperties.txt that category Cf does not cover:
# joiners that are marks, Hangul fillers, variation selectors. The property is stable.
_IGNORABLE = (
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2065, 0x2065),
    (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0xE0000, 0xE0FFF),
)  # fmt: skip


class NormaliserUnavailable(ValueError):
    """This process cannot normalise as an edition asks: it must not run that edition."""


def normaliser(name: str, unicode_version: str) -> Normaliser:
    """The normaliser of that name, if this interpreter brings the Unicode tables asked for.

    Raises NormaliserUnavailable: another table version would change keys, and so shards.
    """
    if name != "nfkc-casefold-1":
        raise NormaliserUnavailable(
            f"this version knows no normaliser {name!r}. Run the image that the edition names"
        )
    if unicode_version != unicodedata.unidata_version:
        raise NormaliserUnavailable(
            f"the edition asks for Unicode {unicode_version}, this interpreter has "
            f"{unicodedata.unidata_version}. Run an image with those tables, or publish an "
            f"edition whose `unicode` is {unicodedata.unidata_version}"
        )
    return _nfkc_casefold()


@functools.cache
def _nfkc_casefold() -> Normaliser:
    spaces, dropped, seen = (re.compile(f"[{inside}]+") for inside in _classes())
    normal = unicodedata.normalize

    def normalise(text: str) -> str:
        if not text.isprintable():  # a cheap gate: all of `spaces` and `dropped` is unprintable
            text = dropped.sub("", spaces.sub(" ", text))
        if text.isascii():  # here folding is lowering and every compatibility form is itself
            folded = text.lower()
        else:
            folded = normal("NFKC", normal("NFKC", seen.sub("", text)).casefold())
        folded = folded.strip()
        return " ".join(folded.split()) if "  " in folded else folded

    return normalise


def _classes() -> tuple[str, str, str]:
    """Insides of three character classes: what becomes a space, what is dropped, and the few
    dropped ones that count as printable, kept apart because most texts need only that search.
    """
    ignorable = {code for first, last in _IGNORABLE for code in range(first, last + 1)}
    spaces: list[int] = []
    dropped: list[int] = []
    seen: list[int] = []
    for code in range(sys.maxunicode + 1):  # 0.1 s, once: the tables themselves are the source
        category = unicodedata.category(chr(code))
        if category in ("Cc", "Zs", "Zl", "Zp") and code != ord(" "):
            spaces.append(code)
        elif category == "Cf" or code in ignorable:
            (seen if chr(code).isprintable() else dropped).append(code)
    return _inside(spaces), _inside(dropped), _inside(seen)


def _inside(codes: list[int]) -> str:
    """Ascending code points as the ranges of a character class."""
    firsts = [code for before, code in zip([-2, *codes], codes, strict=False) if code != before + 1]
    lasts = [code for code, after in zip(codes, [*codes[1:], -2], strict=True) if after != code + 1]
    return "".join(
        f"\\U{first:08x}-\\U{last:08x}" for first, last in zip(firsts, lasts, strict=True)
    )
