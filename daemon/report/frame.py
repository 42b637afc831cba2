"""What sections share: their frame, legends, plain tables and folded details."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from daemon.report.markup import Safe, el, join

Cell = str | int


def section(name: str, title: str, lead: str, *content: str | None) -> Safe:
    """A part of the page: a heading, one paragraph in plain words, then pictures."""
    return el(
        "section",
        el("h2", title, id=f"{name}-title"),
        el("p", lead, class_="lead"),
        *content,
        id=name,
        aria_labelledby=f"{name}-title",
    )


def figure(title: str, picture: Safe, note: str | None = None, class_: str = "card") -> Safe:
    """A picture under its title."""
    caption = el("figcaption", el("strong", title), el("span", note) if note else None)
    return el("figure", caption, picture, class_=class_)


def legend(*entries: tuple[str, str]) -> Safe:
    """(class of the shape, what it means), as the pictures below use them."""
    items = [
        el("li", el("span", class_=f"key {class_}", aria_hidden="true"), words)
        for class_, words in entries
    ]
    return el("ul", *items, class_="legend", aria_label="Legend")


def details(summary: str, *content: str | None) -> Safe:
    return el("details", el("summary", summary), *content)


def pairs(entries: Iterable[tuple[str, str]]) -> Safe:
    """Terms and what they are."""
    return el("dl", *(el("div", el("dt", term), el("dd", what)) for term, what in entries))


def table(
    label: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, numbers: Iterable[int]
) -> Safe:
    """A plain table that scrolls by itself where the page is narrow; `numbers`: columns."""
    right = set(numbers)
    sides = ["number" if i in right else None for i in range(len(columns))]
    head = join(
        *(el("th", name, scope="col", class_=s) for name, s in zip(columns, sides, strict=True))
    )
    body = [
        el("tr", *(el("td", str(c) if isinstance(c, int) else c, class_=s)
                   for c, s in zip(row, sides, strict=True)))
        for row in rows
    ]  # fmt: skip
    whole = el("table", el("thead", el("tr", head)), el("tbody", *body))
    return el("div", whole, class_="scroll", role="region", aria_label=label, tabindex=0)


def code(text: str) -> Safe:
    return el("code", text)
