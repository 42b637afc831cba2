"""Several corpora: their names, a folder of pages for each, and one page of all side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from daemon.benchmark import pages
from daemon.benchmark.arms import arms
from daemon.benchmark.goals import shown
from daemon.benchmark.pages import Run
from daemon.benchmark.scenarios import SCENARIOS
from daemon.benchmark.statistics import Interval
from daemon.benchmark.tables import Results
from daemon.ports import EXIT_CONFIG, Fatal

PAGE = "sets.md"


def named(paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(name, path) of each. Raises Fatal for two of one name."""
    names = [name(path) for path in paths]
    for own, path in zip(names, paths, strict=True):
        if names.count(own) > 1:
            hint = "Rename one: results are kept by name"
            raise Fatal(f"two corpora are called {own}", code=EXIT_CONFIG, hint=hint)
        yield own, path


def name(path: str) -> str:
    """A name for results: of the folder, or of the file without its end."""
    place = Path(path).absolute()
    return re.sub(r"[^A-Za-z0-9_-]+", "-", place.stem if place.is_file() else place.name)


def corpora(results: Results) -> tuple[str, ...]:
    """Those that have results, in their order."""
    return tuple(dict.fromkeys(scene.corpus for scene in results.scenes))


def only(results: Results, corpus: str) -> Results:
    """What was measured of one corpus."""
    return Results(
        tuple(line for line in results.lines if line.corpus == corpus),
        tuple(scene for scene in results.scenes if scene.corpus == corpus),
    )


def write(folder: Path, results: Results, run: Run) -> None:
    """Of one corpus its pages; of several a folder each, and PAGE. Raises Fatal."""
    names = corpora(results)
    if len(names) < 2:
        pages.write(folder, results, run)
        return
    for each in names:
        pages.write(folder / each, only(results, each), run)
    pages.put(folder, {PAGE: page(results, run)})


def page(results: Results, run: Run) -> str:
    """Every arm and share that two corpora have in common, one column for each corpus."""
    names = corpora(results)
    links = ", ".join(f"[{each}]({each}/tables.md)" for each in names)
    told = (
        f"{run.told()}. Macro accuracy in percent, and in points its difference to as many random "
        f"rows with a 95 % interval (seeds in brackets). All figures of each: {links}.\n"
    )
    parts = ["# The same arms on several sets\n", told]
    for scenario, about in SCENARIOS.items():
        rows = list(_rows(results, names, scenario))
        if rows:
            header = ("arm", "kept", *names)
            parts += [f"## {scenario}\n\n{about.meaning}.\n", pages.table(header, rows)]
    return "\n".join(parts)


def _rows(results: Results, names: tuple[str, ...], scenario: str) -> Iterator[list[str]]:
    found = {
        (line.arm, line.budget, line.corpus): line
        for line in results.lines
        if line.scenario == scenario
    }
    for arm in arms():
        for budget in sorted({key[1] for key in found if key[0] == arm}):
            lines = [found.get((arm, budget, each)) for each in names]
            if sum(line is not None for line in lines) < 2:
                continue
            cells = [
                "" if line is None else _cell(line.figures["macro"], line.to_random, line.seeds)
                for line in lines
            ]
            yield [arm, f"{budget:.0%}", *cells]


def _cell(macro: Interval, to_random: dict[str, Interval], seeds: int) -> str:
    difference = f", {shown(to_random['macro'])}" if "macro" in to_random else ""
    return f"{100 * macro.estimate:.2f}{difference} ({seeds})"
