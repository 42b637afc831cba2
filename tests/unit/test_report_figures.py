"""How a report writes and draws numbers: axes, outlines, gaps, colours."""

from __future__ import annotations

import re
from importlib import resources

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.learning.calibration import Calibration
from daemon.report import figures, scores, timeline
from daemon.shards.shard import Labelled, ShardManifest

EMPTY = ShardManifest(
    window=0, edition=0, checkpoint="", policy="", calibration_used=-1, roster=(), parts=(),
    labels=(), rows=0, rows_object="", rows_digest="", selection_digest="", cold="",
    suspect_below=None, counts={"records": 0}, traffic={}, kept={}, arms={}, taus={},
    contradictions=0, labelled=Labelled(), noise=None, histograms={}, lift={},
    calibration=Calibration(0),
)  # fmt: skip


HISTOGRAMS = st.dictionaries(st.integers(0, 90), st.integers(1, 1000), min_size=1)


@given(HISTOGRAMS, st.sampled_from([2, 4]))
def test_a_staircase_holds_the_whole_histogram(histogram: dict[int, int], wide: int) -> None:
    points = scores.staircase(histogram, wide, 1.5)
    assert sum(y for _, y in points[2:-1:2]) == pytest.approx(1.0)
    assert all(0 <= x <= 1.5 for x, _ in points)
    assert points[0][1] == points[-1][1] == 0.0


def test_time_lines_break_where_windows_are_missing() -> None:
    made = [msgspec.structs.replace(EMPTY, window=w) for w in (1, 2, 5, 500, 501)]
    on = timeline.axis(made)
    runs = on.runs(lambda m: float(m.window))
    assert [[v for _, v in run] for run in runs] == [[1, 2], [5], [500, 501]]
    assert 0 < on.places[0] < on.places[-1] < 1
    gaps = [(b - a) / on.width for a, b in zip(on.places, on.places[1:], strict=False)]
    assert [round(gap) for gap in gaps] == [1, 3, 3, 1]
    assert len(on.runs(lambda m: None if m.window == 2 else 1.0)) == 3


def _luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_can_be_told_apart_in_light_and_dark() -> None:
    style = resources.files("daemon.report").joinpath("style.css").read_text("utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(blocks) == 3  # light, dark, print
    for block in blocks[:2]:
        colour = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})\b", block))
        for behind in ("paper", "card"):
            for front, least in (("ink", 7), ("soft", 4.5), ("doubt", 4.5), ("water", 3),
                                 ("gold", 3), ("chance", 4.5), ("focus", 3), ("turned", 3)):
                pair = sorted(_luminance(colour[name]) + 0.05 for name in (front, behind))
                assert pair[1] / pair[0] >= least, (front, behind)


def test_figures_for_people() -> None:
    assert figures.percent(0.0) == "0\u202f%" and figures.percent(0.0001) == "<0.1\u202f%"
    assert figures.signed(-0.0001) == "0.000" and figures.signed(-0.25) == "\u22120.250"
    assert figures.listed(["a", "b", "c"]) == "a, b and c"
    assert figures.when(5, 300_000) == "1970-01-01 00:25 to 00:30 UTC"
    assert figures.when(10**15, 300_000) == ""
    assert figures.axis_top(0) == 1 and figures.axis_top(219) == 250
    assert figures.effective([5, 5, 0, 5]) == pytest.approx(3.0)


@given(st.floats(1e-6, 1e9))
def test_an_axis_is_never_too_short_nor_wasteful(value: float) -> None:
    assert value <= figures.axis_top(value) <= 2 * value
