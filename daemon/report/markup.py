"""HTML and SVG that cannot be broken by what they show: all text is escaped where it enters."""

from __future__ import annotations

import html
import re

# Characters that reorder or hide what stands around them (Unicode TR9; CVE-2021-42574 shows why):
# controls, line separators, marks and overrides of direction, lone surrogates. Joiners stay, emoji
# and several scripts need them.
UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
JOINT = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[_./:-])(?=\w)")
VOID = frozenset({"wbr"})

Attribute = str | int | float | bool | None


class Safe(str):
    """Markup that may stand in a page as it is."""

    __slots__ = ()


def shown(text: str) -> str:
    """The text with every unseen character written out, as [U+202E]; a line break is a space."""
    return UNSEEN.sub(_written, text)


def _written(found: re.Match[str]) -> str:
    character = found.group()
    return " " if character in "\t\n\r" else f"[U+{ord(character):04X}]"


def escape(text: str) -> Safe:
    """As content or attribute; Safe passes."""
    return text if isinstance(text, Safe) else Safe(html.escape(shown(text)))


def join(*pieces: str | None) -> Safe:
    """One after the other; None is nothing."""
    return Safe("".join(escape(piece) for piece in pieces if piece is not None))


def el(name: str, *children: str | None, **attributes: Attribute) -> Safe:
    """An element. `class_` is `class`, `data_fact` is `data-fact`; None and False leave one out."""
    written = "".join(
        _attribute(key, value)
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in VOID:
        return Safe(f"<{name}{written}>")
    return Safe(f"<{name}{written}>{join(*children)}</{name}>")


def _attribute(key: str, value: Attribute) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    # a number of a chart needs no more digits than a screen has pixels
    text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return f' {name}="{escape(text)}"'


def said(text: str, class_: str | None = None) -> Safe:
    """Words of others (an utterance, a label): of their own direction, whatever stands around."""
    return el("bdi", text, dir="auto", class_=class_)


def name(text: str) -> Safe:
    """A label or a group: as `said`, and free to break where its words meet."""
    pieces = [el("wbr") if piece is None else escape(piece) for piece in _pieces(text)]
    return el("bdi", *pieces, dir="auto")


def _pieces(text: str) -> list[str | None]:
    words = JOINT.split(text)
    return [piece for word in words for piece in (None, word)][1:]


def fact(name: str, value: float | str | None, text: str, of: str | None = None) -> Safe:
    """A figure of the manifest as people read it, and the exact value for machines."""
    exact = "" if value is None else repr(value) if isinstance(value, float) else str(value)
    return el("data", text, value=exact, data_fact=name, data_of=of)
