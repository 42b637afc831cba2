"""The goals, one row each: what is asked, what was measured, whether it is reached.

A goal is reached when the estimate reaches it; `certain` says that the whole interval does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from daemon.benchmark.arms import arms
from daemon.benchmark.statistics import Interval
from daemon.benchmark.tables import Line, Results

POINT = 0.01
OURS, CONTROL = "default", "random"
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
    """Of the default policy to random rows, to everything or to the oracle."""
    return _of(found, scenario, OURS, budget, to, figure)


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
            value = against(found, scenario, budget, "oracle", "macro")
            yield at_least(scenario, name, value, -short * POINT)
    for budget in (0.5, 0.2):
        value = against(found, "clean", budget, "everything", "macro")
        goal = Goal("clean", f"{budget:.0%} kept: macro not below everything", "not measured", None)
        if value is not None:
            goal = goal._replace(ours=shown(value), reached=value.high >= 0, certain=value.low >= 0)
        yield goal


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
    yield from _controls(found)
    yield weak(found.line("weak", OURS, 0.5), found.line("weak", CONTROL, 0.5))


def _controls(found: Results) -> Iterator[Goal]:
    """What arms of the papers should do, and that no arm of ours is below random."""
    for arm, kind in arms().items():
        for budget in (0.5, 0.2) if kind.group == "ours" else ():
            value = _of(found, "clean", arm, budget, "random")
            if value is not None:
                name = f"{budget:.0%} kept: {arm} not below random (interval)"
                yield Goal("clean", name, shown(value), value.high >= 0, value.low >= 0)
    for scenario, arm, budget, to, name, sign in (
        ("untrained", "grand.top", 0.5, "random", "GraNd at init does not beat random", -1),
        ("untrained", "input_norm.top", 0.5, "random", "input norm does not beat random", -1),
        ("steps-50", "el2n.top", 0.5, "random", "after one epoch EL2N beats random", 1),
        ("clean", "dealrec", 0.02, "random", "influence, effort and coverage >= random", 1),
        ("clean", "influence.coverage", 0.02, "random",
         "the same by our policy (each text once, groups balanced) >= random", 1),
        ("clean", "dealrec-greedy", 0.02, "random", "random > greedy top", -1),
        ("flips-5", "el2n.band", 0.75, "everything", "without the top few %: better than all", 1),
        ("flips-10", "el2n.band", 0.75, "everything", "without the top few %: better than all", 1),
    ):
        value = _of(found, scenario, arm, budget, to)
        goal = Goal(scenario, f"{budget:.0%} kept: {name}", "not measured", None)
        if value is not None:
            best, worst = (value.high, value.low) if sign > 0 else (-value.low, -value.high)
            reached = sign * value.estimate >= 0 or (sign < 0 and best >= 0)
            goal = goal._replace(ours=shown(value), reached=reached, certain=worst >= 0)
        yield goal


def _of(
    found: Results, scenario: str, arm: str, budget: float, to: str, figure: str = "macro"
) -> Interval | None:
    line = found.line(scenario, arm, budget)
    differences = {} if line is None else getattr(line, f"to_{to}")
    value: Interval | None = differences.get(figure)
    return value


def weak(ours: Line | None, random: Line | None) -> Goal:
    """Relative intent error under labels of a teacher."""
    name = "50% kept: >= 10 % lower relative intent error than random (plain)"
    if ours is None or random is None:
        return Goal("weak", name, "not measured", None)
    error = 1 - random.figures["plain"].estimate
    gain = ours.to_random["plain"]
    relative = Interval(*(each / max(error, 1e-9) for each in gain))
    return Goal("weak", name, shown(relative), relative.estimate >= 0.1, relative.low >= 0.1)
