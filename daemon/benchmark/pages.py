"""What a benchmark leaves: results as JSON, tables and verdicts as Markdown, plots as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from daemon.benchmark import claims, goals, plots
from daemon.benchmark.scenarios import SCENARIOS
from daemon.benchmark.statistics import Interval
from daemon.benchmark.tables import Line, Results, Scene
from daemon.ports import EXIT_WRITE, Fatal

PLOTTED = ("macro", "traffic")


class Run(NamedTuple):
    """How the results came about."""

    command: str
    machine: str
    now: float  # seconds since 1970

    def told(self) -> str:
        day = datetime.fromtimestamp(self.now, UTC)
        return f"`{self.command}`, {self.machine}, {day:%Y-%m-%d}"


def write(folder: Path, results: Results, run: Run) -> None:
    """All pages; what stood there is replaced. Raises Fatal where it cannot be written."""
    pages = {
        "results.json": msgspec.json.format(msgspec.json.encode(results), indent=1).decode(),
        "tables.md": tables(results, run),
        "goals.md": goals_page(results, run),
        "seeds.md": seeds_page(results, run),
    }
    for scene in results.scenes:
        for figure in PLOTTED:
            name = f"{scene.corpus}-{scene.scenario}-{figure}.svg"
            pages[name] = plots.plot(results, scene.corpus, scene.scenario, figure)
    put(folder, pages)


def put(folder: Path, pages: Mapping[str, str]) -> None:
    """Write files into a folder. Raises Fatal."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in pages.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise Fatal(f"cannot write to {folder}: {error.strerror}", code=EXIT_WRITE) from None


def tables(results: Results, run: Run) -> str:
    """Every scenario, every arm."""
    told = (
        f"{run.told()}. Accuracies in percent, differences in points, with 95 % intervals of a "
        "paired bootstrap over seeds and test rows. `kept`: share of the stream; `noise`: share of "
        "wrong labels among it. Every arm trains the same head for as many steps.\n"
    )
    parts = ["# What each way of choosing rows is worth\n", told]
    for scene in results.scenes:
        parts.append(_scene(scene))
        lines = [
            line
            for line in results.lines
            if (line.corpus, line.scenario) == (scene.corpus, scene.scenario)
        ]
        header = (
            "arm", "budget", "seeds", "kept", "noise", "macro", "traffic", "tail",
            "macro to random", "macro to everything", "select s", "train s",
        )  # fmt: skip
        parts.append(table(header, (_cells(line) for line in lines)))
        name = f"{scene.corpus}-{scene.scenario}"
        parts += [f"![{figure}]({name}-{figure}.svg)\n" for figure in PLOTTED]
    return "\n".join(parts)


def _scene(scene: Scene) -> str:
    best = sorted(scene.suspicion.items(), key=lambda item: -item[1])
    told = ", ".join(f"{name} {value:.4f}" for name, value in best[:8])
    noise = f"{scene.noise:.2%} wrong labels, audited upper bound {scene.audited:.2%}"
    return (
        f"## {scene.corpus}: {scene.scenario}\n\n{SCENARIOS[scene.scenario].meaning}. "
        f"{scene.events:.0f} events of {scene.texts:.0f} texts, {noise}, checkpoint "
        f"{100 * scene.checkpoint:.1f} % macro, {scene.seeds} seeds."
        + (f"\n\nAUROC for wrong labels, prequential: {told}." if told else "")
        + "\n"
    )


def _cells(line: Line) -> Iterator[str]:
    yield from (line.arm, f"{line.budget:.0%}", str(line.seeds))
    yield from (f"{line.kept:.1%}", f"{line.noise:.4f}")
    for figure in ("macro", "traffic", "tail"):
        yield f"{100 * line.figures[figure].estimate:.2f}"
    yield _difference(line.to_random.get("macro"))
    yield _difference(line.to_everything.get("macro"))
    yield from (f"{line.select_s:.2f}", f"{line.train_s:.2f}")


def _difference(value: Interval | None) -> str:
    return "" if value is None else goals.shown(value)


def table(header: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def goals_page(results: Results, run: Run) -> str:
    """The goals, reached or not."""
    rows = [(goal.scenario, goal.goal, goal.ours, _reached(goal)) for goal in goals.goals(results)]
    told = (
        f"{run.told()}. Policy `{goals.OURS}`, the same for every row, chosen on validation rows "
        "(docs/results/default.md). Differences in points. `yes, surely`: the whole interval.\n"
    )
    header = ("scenario", "goal", "ours", "reached")
    return "\n".join(("# Goals\n", told, table(header, rows)))


def _reached(goal: goals.Goal) -> str:
    if goal.reached is None:
        return "not measured"
    return ("yes, surely" if goal.certain else "yes") if goal.reached else "**no**"


def seeds_page(results: Results, run: Run) -> str:
    """The claims of the papers."""
    rows: list[tuple[str, ...]] = [
        (row.claim.paper, row.claim.claim, row.claim.published, row.ours, row.seconds, row.verdict)
        for row in claims.found(results)
    ]
    rows += [(*row, "", "in joint.md") for row in claims.ELSEWHERE]
    rows += [(*row, "", "not testable here") for row in claims.UNTESTABLE]
    told = (
        f"{run.told()}. Differences of accuracy in points with 95 % intervals; `verdict` follows "
        "from the interval alone (daemon/benchmark/claims.py). Frozen sentence features and a "
        "linear head: what needs a fine-tuned encoder is not reproduced by this page.\n"
    )
    header = ("paper", "claim", "published", "here", "select + train, s", "verdict")
    return "\n".join(("# Claims of the papers\n", told, table(header, rows)))
