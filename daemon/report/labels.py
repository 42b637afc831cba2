"""How many labels are wrong: the audit, and the quarantine that follows from it."""

from __future__ import annotations

import math

from daemon.learning.calibration import SCALE
from daemon.report import figures, svg
from daemon.report.figures import count
from daemon.report.frame import figure, section
from daemon.report.headline import noise_words
from daemon.report.markup import Safe, fact, join
from daemon.shards.shard import ShardManifest
from scoring.types import GRID

BINS = 32
TALL = 128
ROOTS = "; heights are square roots"


def draw(m: ShardManifest) -> Safe:
    """The section."""
    answers = m.calibration.traffic
    memory = (
        f" It rests on about {count(answers.answered // SCALE)} audit answers, newer ones "
        "weighing more." if answers.answered else ""
    )  # fmt: skip
    return section(
        "labels", "Labels, right and wrong", join(noise_words(m), memory),
        figure("Wrong labels, by audit", _strip(m)) if m.noise else None,
        _plausibility(m),
    )  # fmt: skip


def _strip(m: ShardManifest) -> Safe:
    """The estimate in its interval, on a scale from 0."""
    assert m.noise is not None
    estimate, low, high = m.noise
    top = min(1.0, figures.axis_top(max(0.1, high * 1.1)))
    label = f"{figures.percent(estimate)} wrong, 95 % interval {figures.interval(low, high)}"
    ticks = [svg.tick(x, 66, figures.percent_tick(x * top)) for x in (0.0, 0.5, 1.0)]
    return svg.chart(
        label, 70,
        svg.line((0, 46), (1, 46), "axis"),
        svg.rect(low / top, 28, (high - low) / top, 18, "band doubt"),
        svg.line((estimate / top, 22), (estimate / top, 46), "mark doubt"),
        svg.text((min(max(estimate / top, 0.16), 0.84), 14), figures.percent(estimate),
                 "strong", "middle"),
        *ticks,
    )  # fmt: skip


def _plausibility(m: ShardManifest) -> Safe:
    """How plausible the given labels are to the checkpoint, and where suspicion begins."""
    # the newest first: that of a checkpoint with supplies has a longer name
    halves = (h for h in m.calibration.halves if h.checkpoint.startswith(m.checkpoint))
    half = next(halves, None)
    sizes = [0] * BINS
    for step, n in half.plausibility.items() if half else ():
        sizes[min(step * BINS // GRID, BINS - 1)] += n
    high, total = max(sizes) or 1, sum(sizes) or 1
    floor = TALL - 22
    tall = [math.sqrt(n / high) * (floor - 26) for n in sizes]
    bars = [
        svg.rect((i + 0.06) / BINS, floor - y, 0.88 / BINS, y, "water")
        for i, y in enumerate(tall) if y
    ]  # fmt: skip
    border = None if m.suspect_below is None else min(1.0, m.suspect_below / GRID)
    below = sum(sizes[: round((border or 0) * BINS)]) / total
    words = (
        "No threshold: nothing is quarantined"
        if border is None
        else (f"Labels below {figures.real(border)} are suspect, about {figures.percent(below)}")
    )
    fence = () if border is None else (
        svg.rect(0, 18, border, floor - 18, "band doubt"),
        svg.line((border, 18), (border, floor), "mark doubt"),
        svg.text((border, 11), "suspect below this", "doubtful",
                 "start" if border < 0.4 else "end"),
    )  # fmt: skip
    picture = svg.chart(
        f"Histogram of the plausibility of given labels. {words}.", TALL, *bars, *fence,
        svg.line((0, floor + 0.5), (1, floor + 0.5), "axis"),
        *(svg.tick(x, TALL - 6, words) for x, words in
          ((0.0, "0 contradicted"), (0.5, "0.5"), (1.0, "1 plausible"))),
    )  # fmt: skip
    return figure("Plausibility of the labels given", picture, _threshold(m))


def _threshold(m: ShardManifest) -> Safe:
    if m.suspect_below is None:
        why = "while the noise rate is unknown" if not m.noise else "for lack of judged labels"
        if m.cold:
            why = "in a cold window"
        none = fact("suspect_below", None, "no threshold")
        return join(none, f": nothing is quarantined {why}{ROOTS}")
    step = m.suspect_below
    return join(
        "suspect below ", fact("suspect_below", step, figures.real(step / GRID)),
        f" (step {step} of {GRID}); labels remembered of this checkpoint{ROOTS}",
    )  # fmt: skip
