"""Pictures that stretch: x in percent of whatever width there is, y and letters in pixels.

Curves cannot be given in percent: they live in an inner picture that is 1000 wide and is
stretched to the outer one; strokes do not stretch with it (`vector-effect` in the style sheet).
"""

from __future__ import annotations

from collections.abc import Sequence

from daemon.report.markup import Safe, el

WIDE = 1000.0
Point = tuple[float, float]  # x in [0, 1], y in pixels from the top


def at(x: float) -> str:
    """A place or a width as percent, from [0, 1]."""
    return f"{100 * x:.3f}".rstrip("0").rstrip(".") + "%"


def chart(label: str, height: int, *shapes: str | None, class_: str = "") -> Safe:
    """A picture with the sentence that says what it shows."""
    return el(
        "svg", *shapes, role="img", aria_label=label, width="100%", height=height,
        class_=f"chart {class_}".strip(), focusable="false",
    )  # fmt: skip


def stretched(height: int, *shapes: str | None) -> Safe:
    """The inner picture for curves."""
    return el(
        "svg", *shapes, viewBox=f"0 0 {WIDE:.0f} {height}", preserveAspectRatio="none",
        width="100%", height=height, class_="stretched",
    )  # fmt: skip


def rect(x: float, y: float, width: float, height: float, class_: str, *inside: str) -> Safe:
    """x and width in [0, 1]."""
    return el("rect", *inside, x=at(x), y=y, width=at(width), height=height, class_=class_)


def line(a: Point, b: Point, class_: str) -> Safe:
    return el("line", x1=at(a[0]), y1=a[1], x2=at(b[0]), y2=b[1], class_=class_)


def dot(point: Point, radius: float, class_: str) -> Safe:
    return el("circle", cx=at(point[0]), cy=point[1], r=radius, class_=class_)


def text(point: Point, words: str, class_: str = "", anchor: str | None = None) -> Safe:
    """`anchor`: start (the default), middle or end."""
    return el("text", words, x=at(point[0]), y=point[1], text_anchor=anchor, class_=class_ or None)


def tick(x: float, y: float, words: str) -> Safe:
    """A number of an axis; the outermost ones stay inside the picture."""
    anchor = "start" if x < 0.02 else "end" if x > 0.98 else "middle"
    return text((x, y), words, "tick", anchor)


def path(points: Sequence[Point], class_: str, *, closed: bool = False) -> Safe:
    """Straight lines from point to point, inside `stretched`."""
    places = "L".join(f"{WIDE * x:.1f} {y:.1f}" for x, y in points)
    return el("path", d=f"M{places}{'Z' if closed else ''}", class_=class_)


def funnel(top: tuple[float, float], bottom: tuple[float, float], class_: str) -> Safe:
    """From [0, top x] down to [0, bottom x], as water narrows; inside `stretched`."""
    (x1, y1), (x2, y2) = (WIDE * top[0], top[1]), (WIDE * bottom[0], bottom[1])
    middle = (y1 + y2) / 2
    curve = f"M0 {y1:.1f}H{x1:.1f}C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} {x2:.1f} {y2:.1f}"
    return el("path", d=f"{curve}H0Z", class_=class_)


HATCH = el(
    "svg",
    el(
        "defs",
        el(
            "pattern", el("path", d="M-1 1l2-2M0 6l6-6M5 7l2-2", class_="hatching"),
            id="hatch", width=6, height=6, patternUnits="userSpaceOnUse",
        ),
    ),
    width=0, height=0, aria_hidden="true", class_="defs",
)  # fmt: skip
"""A pattern that all pictures of a page share: doubt is hatched, not only coloured."""
