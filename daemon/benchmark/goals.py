"""The goals, one row each: what is asked, what was measured, whether it is reached.

A goal is reached when the estimate reaches it; `certain` says that the whole interval does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from daemon.benchmark.statistics import Interval
from daemon.benchmark.tables import Line, Results

POINT = 0.01
OURS, CONTROL = "recommended", "random"
FLIPPED = ("flips-10", "near-10")


class Goal(NamedTuple):
    """One line of the table."""

    scenario: str
    goal: str
    ours: str
    reached: bool | None  # None: not measured
    certain: bool = False


def goals(found: Results) -> Iterator[Goal]:
    """All that these results can answer."""
    yield from _accuracies(found)
    yield from _traffic(found)
    yield from _noise(found)
    yield from _others(found)


def shown(value: Interval) -> str:
    """In points, with its interval."""
    return f"{100 * value.estimate:+.2f} [{100 * value.low:+.2f}, {100 * value.high:+.2f}]"


def at_least(scenario: str, goal: str, value: Interval | None, least: float) -> Goal:
    """A difference that should not be smaller than `least`."""
    if value is None:
        return Goal(scenario, goal, "not measured", None)
    return Goal(scenario, goal, shown(value), value.estimate >= least, value.low >= least)


def against(found: Results, scenario: str, budget: float, to: str, figure: str) -> Interval | None:
    """Of the recommended policy to random rows or to everything."""
    line = found.line(scenario, OURS, budget)
    differences = {} if line is None else getattr(line, f"to_{to}")
    value: Interval | None = differences.get(figure)
    return value


def _accuracies(found: Results) -> Iterator[Goal]:
    for scenario, budget, points, short in (
        ("flips-10", 0.5, 3.5, 0.5),
        ("flips-10", 0.1, 3.0, None),
        ("near-10", 0.5, 2.5, 1.0),
        ("near-10", 0.2, 2.5, 1.0),
    ):
        name = f"{budget:.0%} kept: macro >= {points} points above everything"
        value = against(found, scenario, budget, "everything", "macro")
        yield at_least(scenario, name, value, points * POINT)
        if short is not None:
            name = f"{budget:.0%} kept: macro within {short} points of the oracle"
            gap = to_oracle(found, scenario, budget)
            yield at_least(scenario, name, gap, -short * POINT)
    for budget in (0.5, 0.2):
        value = against(found, "clean", budget, "everything", "macro")
        goal = Goal("clean", f"{budget:.0%} kept: macro not below everything", "not measured", None)
        if value is not None:
            goal = goal._replace(ours=shown(value), reached=value.high >= 0, certain=value.low >= 0)
        yield goal


def to_oracle(found: Results, scenario: str, budget: float) -> Interval | None:
    """Difference to the oracle, as far as the differences to everything tell: a bound of it."""
    ours = against(found, scenario, budget, "everything", "macro")
    oracle = found.line(scenario, "oracle", 1.0)
    if ours is None or oracle is None or "macro" not in oracle.to_everything:
        return None
    best = oracle.to_everything["macro"]
    # estimates subtract; the interval adds half widths, wider than the paired one
    half = max(ours.high - ours.estimate, best.estimate - best.low)
    gap = ours.estimate - best.estimate
    return Interval(gap, gap - half, gap + half)


def _traffic(found: Results) -> Iterator[Goal]:
    for scenario in ("clean", *FLIPPED):
        for budget in (0.5, 0.2):
            name = f"{budget:.0%} kept: traffic-weighted >= -0.3 points to random"
            value = against(found, scenario, budget, "random", "traffic")
            yield at_least(scenario, name, value, -0.3 * POINT)
            if scenario != "clean":
                name = f"{budget:.0%} kept: traffic-weighted above everything"
                value = against(found, scenario, budget, "everything", "traffic")
                yield at_least(scenario, name, value, 0.0)


def _noise(found: Results) -> Iterator[Goal]:
    for scenario, least in (("flips-20", 0.97), ("near-20", 0.93)):
        scene = found.scene(scenario)
        name = f"AUROC of the suspect score >= {least}, prequential"
        if scene is None:
            yield Goal(scenario, name, "not measured", None)
            continue
        value = scene.suspicion["plausibility"]
        yield Goal(scenario, name, f"{value:.4f}", value >= least, value >= least)
        line = found.line(scenario, OURS, 0.5)
        if line is not None:
            name = "wrong labels kept <= 1/10 of the stream's share"
            fine = line.noise <= scene.noise / 10
            yield Goal(scenario, name, f"{line.noise:.4f} of {scene.noise:.4f}", fine, fine)


def _others(found: Results) -> Iterator[Goal]:
    for scenario in ("clean", *FLIPPED):
        value = against(found, scenario, 0.5, "random", "tail")
        name = "50% kept: tail intents better than random by more than the interval"
        yield at_least(scenario, name, value, 1e-9)
    for scenario in ("early-2000", "early-400", "worse-20", "worse-40"):
        value = against(found, scenario, 0.5, "random", "macro")
        yield at_least(scenario, "50% kept: the policy still beats random", value, 1e-9)
    yield weak(found.line("weak", OURS, 0.5), found.line("weak", CONTROL, 0.5))


def weak(ours: Line | None, random: Line | None) -> Goal:
    """Relative intent error under labels of a teacher."""
    name = "50% kept: >= 10 % lower relative intent error than random (plain)"
    if ours is None or random is None:
        return Goal("weak", name, "not measured", None)
    error = 1 - random.figures["plain"].estimate
    gain = ours.to_random["plain"]
    relative = Interval(*(each / max(error, 1e-9) for each in gain))
    return Goal("weak", name, shown(relative), relative.estimate >= 0.1, relative.low >= 0.1)
