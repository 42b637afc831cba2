"""Small time lines over the windows before: what changed, and when."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from daemon.report import figures, svg
from daemon.report.figures import count
from daemon.report.frame import details, figure, legend, section, table
from daemon.report.markup import Safe, el, fact, join
from daemon.shards.shard import ShardManifest
from scoring.types import Reason

TALL, TOP, FLOOR = 92, 16, 72
GAP = 3  # windows without a record take at most this much room
Value = Callable[[ShardManifest], float | None]
Written = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Axis:
    """Where each window stands, in [0, 1]."""

    windows: Sequence[ShardManifest]
    places: Sequence[float]
    width: float  # of one window

    def runs(self, value: Value) -> list[list[tuple[float, float]]]:
        """(place, value) of neighbouring windows that have one; a gap begins a new run."""
        out: list[list[tuple[float, float]]] = [[]]
        for index, m in enumerate(self.windows):
            found = value(m)
            gap = index > 0 and m.window != self.windows[index - 1].window + 1
            if (gap or found is None) and out[-1]:
                out.append([])
            if found is not None:
                out[-1].append((self.places[index], found))
        return [run for run in out if run]


@dataclass(frozen=True, slots=True)
class Line:
    """What is followed over time, and how its values are written."""

    title: str
    value: Value
    class_: str
    written: Written
    tick: Written  # as short as an axis can have it


def axis(windows: Sequence[ShardManifest]) -> Axis:
    """Windows side by side; what was silent in between leaves a gap, a long one no long gap."""
    steps = [min(b.window - a.window, GAP) for a, b in itertools.pairwise(windows)]
    slots = list(itertools.accumulate(steps, initial=0))
    wide = slots[-1] + 1
    return Axis(windows, [(slot + 0.5) / wide for slot in slots], 1 / wide)


def draw(windows: Sequence[ShardManifest], period_ms: int) -> Safe:
    """The section, over shards in ascending order: the last one is the reported."""
    if len(windows) < 2:
        return section("time", "Over time", "No earlier shard to compare this one with.")
    cold = sum(1 for m in windows if m.cold)
    lead = join(
        f"The last {count(len(windows))} shards, oldest left; this one is at the right end. ",
        f"{count(cold)} of them cold (shaded)." if cold else "None of them was cold.",
    )
    on = axis(windows)
    share = (figures.percent, figures.percent_tick)
    pictures = (
        _area(on, Line("Records", _records, "water", _whole, _whole)),
        _area(on, Line("Selected rows", _selected, "gold", _whole, _whole)),
        _band(on, Line("Wrong labels, by audit", _wrong, "doubt", *share)),
        _area(on, Line("Suspect share of records", _suspect, "doubt", *share)),
    )
    return section(
        "time", "Over time", lead,
        legend(("coldness", "cold window"), ("edition", "new edition"),
               ("band doubt", "95 % interval")),
        el("div", *pictures, class_="grid two"),
        details("The same as a table", _table(windows, period_ms)),
    )  # fmt: skip


def _records(m: ShardManifest) -> float:
    return float(m.counts.get("records", 0))


def _selected(m: ShardManifest) -> float:
    return float(m.arms.get("selected", 0))


def _wrong(m: ShardManifest) -> float | None:
    return m.noise.estimate if m.noise else None


def _suspect(m: ShardManifest) -> float | None:
    suspects = m.counts.get(Reason.SUSPECT, 0)
    return None if m.suspect_below is None else figures.ratio(suspects, m.counts["records"])


def _whole(value: float) -> str:
    return count(round(value))


def _area(on: Axis, line: Line) -> Safe:
    """A filled line from 0."""
    runs = on.runs(line.value)
    top = figures.axis_top(max((v for run in runs for _, v in run), default=0.0))
    shapes: list[Safe] = []
    for run in runs:
        points = [(x, _y(v / top)) for x, v in run]
        filled = [(points[0][0], float(FLOOR)), *points, (points[-1][0], float(FLOOR))]
        shapes.append(svg.path(filled, f"area {line.class_}", closed=True))
        shapes.append(svg.path(points, f"stroke {line.class_}"))
    return _drawn(on, line, top, shapes)


def _band(on: Axis, line: Line) -> Safe:
    """The audited rate in its interval."""
    rates = {m.window: m.noise for m in on.windows if m.noise}
    top = figures.axis_top(max((r.high for r in rates.values()), default=0.0) or 0.1)
    shapes = []
    lows = on.runs(lambda m: m.noise.low if m.noise else None)
    highs = on.runs(lambda m: m.noise.high if m.noise else None)
    for low, high in zip(lows, highs, strict=True):
        band = [(x, _y(v / top)) for x, v in (*high, *reversed(low))]
        shapes.append(svg.path(band, "band doubt", closed=True))
    shapes += [
        svg.path([(x, _y(v / top)) for x, v in run], "stroke doubt") for run in on.runs(line.value)
    ]
    return _drawn(on, line, top, shapes)


def _y(share: float) -> float:
    return FLOOR - share * (FLOOR - TOP)


def _drawn(on: Axis, line: Line, top: float, shapes: Sequence[Safe]) -> Safe:
    """Shading and marks behind, the line, then numbers and what a pointer finds."""
    values = [line.value(m) for m in on.windows]
    written, known = line.written, [v for v in values if v is not None]
    now = "unknown" if values[-1] is None else written(values[-1])
    ends = f", from {written(min(known))} to {written(max(known))}" if known else ""
    dots = [
        svg.dot((x, _y(v / top)), 3.5 if i == len(values) - 1 else 1.5, line.class_)
        for i, (x, v) in enumerate(zip(on.places, values, strict=True)) if v is not None
    ]  # fmt: skip
    pointed = [
        svg.rect(x - on.width / 2, 0, on.width, FLOOR, "pointed",
                 el("title", f"window {m.window}: {'unknown' if v is None else written(v)}"))
        for x, v, m in zip(on.places, values, on.windows, strict=True)
    ]  # fmt: skip
    first, last = on.windows[0].window, on.windows[-1].window
    picture = svg.chart(
        f"{line.title} over {len(values)} windows{ends}; in this window {now}.", TALL,
        *_background(on), svg.line((0, FLOOR + 0.5), (1, FLOOR + 0.5), "axis"),
        svg.stretched(TALL, *shapes), *dots,
        svg.text((0, 11), line.tick(top), "tick"), svg.text((1, 11), now, "strong", "end"),
        svg.tick(0, TALL - 6, str(first)), svg.tick(1, TALL - 6, str(last)), *pointed,
    )  # fmt: skip
    return figure(line.title, picture)


def _background(on: Axis) -> list[Safe]:
    """Cold windows shaded, a line where another edition begins."""
    half = on.width / 2
    shapes = [
        svg.rect(run[0][0] - half, TOP, run[-1][0] - run[0][0] + on.width, FLOOR - TOP, "coldness")
        for run in on.runs(lambda m: 1.0 if m.cold else None)
    ]
    for (_, before), (x, after) in itertools.pairwise(zip(on.places, on.windows, strict=True)):
        if after.edition != before.edition:
            shapes.append(svg.line((x - half, TOP), (x - half, FLOOR), "edition"))
            shapes.append(svg.tick(x - half, 11, f"e{after.edition}"))
    return shapes


def _table(windows: Sequence[ShardManifest], period_ms: int) -> Safe:
    columns = ("Window", "Time", "Edition", "State", "Records", "Selected", "Suspect", "Wrong")
    rows = [
        (
            str(m.window), figures.when(m.window, period_ms), str(m.edition), m.cold or "warm",
            fact("past_records", m.counts["records"], count(m.counts["records"]), str(m.window)),
            fact("past_selected", m.arms.get("selected", 0), count(m.arms.get("selected", 0)),
                 str(m.window)),
            count(m.counts.get(Reason.SUSPECT, 0)),
            f"{figures.percent(m.noise[0])} ({figures.interval(*m.noise[1:])})"
            if m.noise else "unknown",
        )
        for m in reversed(windows)
    ]  # fmt: skip
    return table("Shards over time", columns, rows, numbers=range(4, 8))
