"""Plots of accuracy over the share kept: one curve for each arm, with its band. SVG, no library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from daemon.benchmark.arms import arms
from daemon.benchmark.statistics import Interval
from daemon.benchmark.tables import Results

Place = Callable[[float], float]

WIDTH, HEIGHT = 860, 480
LEFT, RIGHT, TOP, BOTTOM = 64, 220, 40, 56
LINES = ("everything", "oracle")  # bounds: no budget, a level
SPAN = 0.2  # of accuracy at most: what is worse lies on the bottom line
COLOURS = (  # Okabe and Ito 2008: told apart by everybody
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7", "#999933",
    "#882255", "#44AA99",
)  # fmt: skip
DRAWN = (
    "random", "cbrs", "el2n.top", "cleanlab", "facility-location", "k-center", "badge",
    "uncertainty", "default",
)  # fmt: skip


class Curve(NamedTuple):
    """Points by share kept, in percent."""

    name: str
    points: Sequence[tuple[float, Interval]]
    colour: str
    level: bool = False


def plot(found: Results, corpus: str, scenario: str, figure: str) -> str:
    """One SVG document; an arm with a single budget is a dot."""
    curves = []
    for name in (*LINES, *DRAWN):
        lines = sorted(
            (line.budget, line.figures[figure])
            for line in found.lines
            if (line.corpus, line.scenario, line.arm) == (corpus, scenario, name)
            and figure in line.figures
        )
        if lines:
            place = DRAWN.index(name) if name in DRAWN else 0
            curves.append(Curve(name, lines, COLOURS[place], name in LINES))
    return draw(curves, f"{corpus}, {scenario}: {figure} accuracy over the share kept")


def draw(curves: Sequence[Curve], title: str) -> str:
    """Budgets on a logarithmic axis would hide the large ones: the axis is their rank."""
    budgets = sorted({b for c in curves if not c.level for b, _ in c.points}) or [1.0]
    places = {budget: place for place, budget in enumerate(budgets)}
    values = [v for c in curves for _, i in c.points for v in (i.low, i.high)] or [0.0, 1.0]
    low, high = min(values), max(values)
    low = max(low, high - SPAN)
    low, high = low - 0.02 * (high - low + 0.01), high + 0.02 * (high - low + 0.01)

    def x(budget: float) -> float:
        span = max(len(budgets) - 1, 1)
        return LEFT + (WIDTH - LEFT - RIGHT) * (places[budget] + 0.0) / span

    def y(value: float) -> float:
        inside = min(max(value, low), high)
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - inside) / (high - low)

    body = [_axis(budgets, low, high, x, y)]
    for number, curve in enumerate(curves):
        body.append(_curve(curve, x, y))
        body.append(_legend(curve, TOP + 8 + 22 * number))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="13"><title>{escape(title)}</title>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
        f'<text x="{LEFT}" y="22" font-size="15">{escape(title)}</text>{"".join(body)}</svg>\n'
    )


def _curve(curve: Curve, x: Place, y: Place) -> str:
    if curve.level:
        level = y(curve.points[0][1].estimate)
        dash = "6 4" if curve.name == "everything" else "2 3"
        return (
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{level:.1f}" y2="{level:.1f}" '
            f'stroke="#555" stroke-dasharray="{dash}"/>'
        )
    upper = [f"{x(b):.1f},{y(i.high):.1f}" for b, i in curve.points]
    lower = [f"{x(b):.1f},{y(i.low):.1f}" for b, i in reversed(curve.points)]
    middle = [f"{x(b):.1f},{y(i.estimate):.1f}" for b, i in curve.points]
    dots = "".join(
        f'<circle cx="{x(b):.1f}" cy="{y(i.estimate):.1f}" r="3" fill="{curve.colour}"/>'
        for b, i in curve.points
    )
    wide = 2.5 if arms()[curve.name].group == "ours" else 1.3
    return (
        f'<polygon points="{" ".join(upper + lower)}" fill="{curve.colour}" opacity="0.12"/>'
        f'<polyline points="{" ".join(middle)}" fill="none" stroke="{curve.colour}" '
        f'stroke-width="{wide}"/>{dots}'
    )


def _legend(curve: Curve, top: float) -> str:
    left = WIDTH - RIGHT + 20
    colour = "#555" if curve.level else curve.colour
    dash = ("6 4" if curve.name == "everything" else "2 3") if curve.level else "none"
    return (
        f'<line x1="{left}" x2="{left + 26}" y1="{top}" y2="{top}" stroke="{colour}" '
        f'stroke-width="2.5" stroke-dasharray="{dash}"/>'
        f'<text x="{left + 34}" y="{top + 4}">{escape(curve.name)}</text>'
    )


def _axis(budgets: Sequence[float], low: float, high: float, x: Place, y: Place) -> str:
    parts = []
    for step in range(6):
        value = low + (high - low) * step / 5
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" '
            f'stroke="#eee"/><text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">'
            f"{100 * value:.1f}</text>"
        )
    parts += [
        f'<text x="{x(b):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{100 * b:g} %</text>'
        for b in budgets
    ]
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    parts.append(
        f'<text x="{middle:.0f}" y="{HEIGHT - 14}" text-anchor="middle">'
        "budget, share of the stream</text>"
    )
    return "".join(parts)
