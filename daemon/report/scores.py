"""Scores: what was kept, beside the traffic and beside a random draw, and the lift between."""

from __future__ import annotations

import math
from collections.abc import Mapping

from daemon.report import figures, svg
from daemon.report.figures import signed
from daemon.report.frame import code, figure, legend, section
from daemon.report.markup import Safe, el, fact, join
from daemon.shards.shard import ShardManifest

STEPS = 64  # bins per unit in a manifest
ENOUGH = 200  # selected rows for which fine bins are not mere chance
TALL = 128
Outline = list[tuple[float, float]]  # (x in score units, share of rows), corners of a staircase


def draw(m: ShardManifest) -> Safe | None:
    """The section; None for a shard without scores."""
    if not m.histograms:
        return None
    lead = (
        "Each picture shows where rows lie on a score, from certain (left) to uncertain (right). "
        "Selection works where the gold line leaves the dashed one. Heights are square roots, so "
        "that what is rare can be seen."
    )
    return section(
        "scores", "Scores, against chance", lead,
        legend(
            ("water area", "traffic"), ("gold stroke", "selected"), ("chance", "random arm"),
        ),
        el("div", *(_card(m, name) for name in m.histograms), class_="grid"),
        _lift(m) if m.lift else None,
    )  # fmt: skip


def _card(m: ShardManifest, name: str) -> Safe:
    histograms = m.histograms[name]
    wide = STEPS // 16 if sum(histograms.get("selected", {}).values()) < ENOUGH else STEPS // 32
    last = max((step for h in histograms.values() for step in h), default=0)
    top = max(1.0, math.ceil((last + 1) / STEPS * 4) / 4)
    lines = {arm: staircase(histograms.get(arm, {}), wide, top)
             for arm in ("traffic", "selected", "random")}  # fmt: skip
    high = max((y for points in lines.values() for _, y in points), default=0.0) or 1.0
    room = TALL - 34
    drawn = {
        arm: [(x / top, TALL - 22 - math.sqrt(y / high) * room) for x, y in points]
        for arm, points in lines.items()
    }
    means = {arm: mean(histograms.get(arm, {})) for arm in drawn}
    label = f"Histogram of {name}. " + "; ".join(
        f"{arm} lies around {figures.real(value, 2)}" for arm, value in means.items() if value
    )
    ticks = [svg.tick(x / top, TALL - 6, f"{x:g}") for x in (0.0, top / 2, top)]
    picture = svg.chart(
        label, TALL,
        svg.stretched(
            TALL,
            svg.path(drawn["traffic"], "area water", closed=True) if drawn["traffic"] else None,
            svg.path(drawn["random"], "stroke chance") if drawn["random"] else None,
            svg.path(drawn["selected"], "stroke gold") if drawn["selected"] else None,
        ),
        svg.line((0, TALL - 21.5), (1, TALL - 21.5), "axis"),
        *ticks,
    )  # fmt: skip
    return figure(name, picture, _note(m, name))


def staircase(histogram: Mapping[int, int], wide: int, top: float) -> Outline:
    """The outline of a histogram over [0, top], `wide` bins taken as one; [] when empty."""
    total = sum(histogram.values())
    if not total:
        return []
    bins = math.ceil(top * STEPS / wide)
    sizes = [0] * bins
    for step, n in histogram.items():
        sizes[min(step // wide, bins - 1)] += n
    points: Outline = [(0.0, 0.0)]
    for index, size in enumerate(sizes):
        left, right = index * wide / STEPS, min(top, (index + 1) * wide / STEPS)
        points += [(left, size / total), (right, size / total)]
    return [*points, (top, 0.0)]


def mean(histogram: Mapping[int, int]) -> float | None:
    """Of the centres of the bins, in score units; None of nothing."""
    total = sum(histogram.values())
    return sum((s + 0.5) * n for s, n in histogram.items()) / total / STEPS if total else None


def _note(m: ShardManifest, name: str) -> Safe:
    if name not in m.lift:
        return Safe("too few rows for a lift")
    value, low, high = m.lift[name]
    return join(
        fact("lift", value, signed(value), name), " over random (",
        fact("lift_low", low, signed(low), name), " to ",
        fact("lift_high", high, signed(high), name), ")",
    )  # fmt: skip


def _lift(m: ShardManifest) -> Safe:
    """A row per score: the difference of means and its interval, beside no difference."""
    reach = figures.axis_top(max(abs(v) for three in m.lift.values() for v in three))
    place = {v: 0.5 + v / reach / 2 for three in m.lift.values() for v in three}
    shapes, height = [], 34 * len(m.lift) + 24
    for index, (name, (value, low, high)) in enumerate(m.lift.items()):
        y = 34 * index + 24
        sure = "gold" if low > 0 else "water" if high < 0 else "unsure"
        shapes += [
            svg.text((0, y - 8), name, "strong"),
            svg.line((place[low], y), (place[high], y), f"whisker {sure}"),
            svg.dot((place[value], y), 5, sure),
        ]
    ticks = [svg.tick(0.5 + x / 2, height - 2, signed(x * reach)) for x in (-1, 0, 1)]
    sentences = "; ".join(
        f"{name} {signed(v[0])}, from {signed(v[1])} to {signed(v[2])}"
        for name, v in m.lift.items()
    )
    picture = svg.chart(
        f"Lift over the random arm: {sentences}", height,
        svg.line((0.5, 4), (0.5, height - 16), "axis zero"), *shapes, *ticks,
    )  # fmt: skip
    note = join(
        "mean of the selected rows minus mean of the random arm, in score units, with 95 % "
        "intervals; ", code("0"), " is no better than chance",
    )  # fmt: skip
    return figure("Lift over random", picture, note)
