"""The page of joint trainings: goals and claims first, then every arm of every setting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from daemon.benchmark.courses import EVERY, WARM, arms
from daemon.benchmark.goals import shown
from daemon.benchmark.lessons import AUDITED, SETTINGS
from daemon.benchmark.pages import Run, table
from daemon.benchmark.statistics import Interval
from daemon.benchmark.trial_tables import Line, Rates

DYNAMIC = tuple(n for n, arm in arms().items() if arm.kind in ("dynamic", "weighted"))
SURE = 3  # seeds
HEADER = (
    "arm", "kept", "seeds", "rows", "wrong", "accuracy", "slot F1", "SEMER", "F-SEMER", "IRER",
    "accuracy to full", "slot F1 to full", "intent errors fewer than random, %",
    "SEMER lower than random, %", "tokens saved, %", "CPU saved, %", "CPU s",
)  # fmt: skip


class Goal(NamedTuple):
    """One line of the goals. `reached` follows from the figures alone."""

    where: str
    goal: str
    here: str
    reached: str


def page(lines: Sequence[Line], valid: Sequence[Line], run: Run) -> str:
    """`lines` are asked on test rows, `valid` on validation rows."""
    told = (
        f"{run.told()}. First layers of MiniLM, intent and slots together (docs/training.md), as "
        "many epochs for every arm. Rates and shares in percent, differences in points, with 95 % "
        "intervals of a paired bootstrap over seeds and utterances; of what is saved, the least "
        "and the most of the seeds. A token that is trained on counts three times, one that is "
        "only scored once; CPU seconds are those of training and scoring on a machine that did "
        "other work too.\n\n"
        "SEMER: wrong intents and edits of the slots over intents and slots of the truth; F-SEMER: "
        "its harmonic mean with the same over those of the answers; IRER: utterances with any "
        "mistake (Anand et al. 2023). Slot F1 as conlleval counts.\n\n"
        f"Schedules: {WARM} epoch on all rows, a new choice every {EVERY} epochs (other than that: "
        "the number behind the name), rows scored in bfloat16. `-tokens` (every 5) keeps a share "
        "of the tokens, not of the rows: the hardest ones are longer. `weighted` draws the rows of "
        "each epoch anew, the harder the likelier. Other arms choose once, by scores of "
        "checkpoints of another training whose time they are not charged.\n"
    )
    parts = ["# Intents and slots together\n", told, "## Goals\n"]
    parts.append(table(("where", "goal", "here", "reached"), _goals(lines)))
    for split, own in (("test", lines), ("validation", valid)):
        parts += _tables(own, split)
    return "\n".join(parts)


def _tables(lines: Sequence[Line], split: str) -> Iterator[str]:
    for place in dict.fromkeys(_place(line) for line in lines):
        corpus, setting, rows, epochs, layers = place
        about = (
            f"At most {rows} rows of the train split, {epochs} epochs, {layers} layer"
            f"{'s' * (layers > 1)} of the encoder; answers on {split} rows."
        )
        if setting == "weak":
            about += f" `default` knows {AUDITED} audited intents."
        yield f"## {corpus}: {setting}, {split}\n\n{SETTINGS[setting].capitalize()}. {about}\n"
        yield table(HEADER, (_cells(line) for line in lines if _place(line) == place))


def _place(line: Line) -> tuple[str, str, int, int, int]:
    return line.corpus, line.setting, line.rows, line.epochs, line.layers


def _cells(line: Line) -> Iterator[str]:
    yield from (line.arm, f"{line.budget:.0%}", str(line.seeds), f"{line.kept:.0f}")
    yield f"{line.wrong:.3f}"
    for name in ("accuracy", "slot_f1", "semer", "f_semer", "irer"):
        yield f"{100 * line.figures[name].estimate:.2f}"
    yield from (_told(line.to_full, name) for name in ("accuracy", "slot_f1"))
    yield from (_told(line.spared, name) for name in ("accuracy", "semer"))
    yield from ("" if saved is None else _share(saved) for saved in (line.tokens, line.cpu))
    yield f"{line.cpu_seconds:.0f}"


def _told(values: Rates, name: str) -> str:
    return shown(values[name]) if name in values else ""


def _share(value: Interval) -> str:
    return f"{100 * value.estimate:.1f} [{100 * value.low:.1f}, {100 * value.high:.1f}]"


def _goals(lines: Sequence[Line]) -> Iterator[Goal]:
    """What Attendu and Corbeil 2023 report, and what weak labels shall gain over random."""
    for line in lines:
        seeds = f"{line.seeds} seed{'s' * (line.seeds > 1)}"
        epochs = f"{line.epochs} epochs"
        where = f"{line.corpus}, {line.setting}, {epochs}, {line.arm} {line.budget:.0%}, {seeds}"
        if line.setting == "clean" and line.arm in DYNAMIC and line.to_full and line.cpu:
            yield from _dynamic(line, where)
        if line.setting == "weak" and line.spared and line.budget < 1:
            for name, what, least in (
                ("accuracy", "relative intent error", 0.10),
                ("semer", "SEMER", 0.04),
            ):
                goal = f">= {least:.0%} lower {what} than random"
                value = line.spared[name]
                yield Goal(where, goal, f"{shown(value)} %", _reached(line, value, least))


def _dynamic(line: Line, where: str) -> Iterator[Goal]:
    assert line.cpu and line.tokens  # the caller looked
    half = line.budget >= 0.5
    for name, what in (("accuracy", "accuracy"), ("slot_f1", "slot F1")):
        value = line.to_full[name]
        least = 0.0 if half else -0.01
        near = value
        if half and value.high >= 0:  # equal: the interval holds 0
            near = value._replace(estimate=max(value.estimate, 0.0))
        goal = f"{what} equal to full, within the interval" if half else f"{what}: at most -1 point"
        yield Goal(where, goal, f"{shown(value)} points", _reached(line, near, least))
    least = 0.41 if half else 0.66
    here = f"CPU {_share(line.cpu)} %, tokens {_share(line.tokens)} %"
    yield Goal(where, f">= {least:.0%} less time", here, _reached(line, line.cpu, least))


def _reached(line: Line, value: Interval, least: float) -> str:
    """Surely: the whole interval, of seeds enough to have one."""
    if value.estimate < least:
        return "**no**"
    return "yes, surely" if value.low >= least and line.seeds >= SURE else "yes"
