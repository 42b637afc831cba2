"""Tuning: the knobs of the default policy, on validation rows of a corpus whose test split is cut.

One knob moves at a time, away from a centre. The choice is a person's and is the default of
daemon/policy.py; this page is what it was made on, and shows all its moves together as `chosen`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import msgspec
import numpy as np

from daemon.benchmark import arms, cells, ours, pages, runs
from daemon.benchmark.arms import Arm
from daemon.benchmark.cells import Cell, Key
from daemon.benchmark.features import Texts
from daemon.benchmark.ours import Choice
from daemon.benchmark.stages import AUDITED, Stage
from daemon.monitors import noise
from daemon.policy import Policy
from daemon.ports import Clock, Store

SCENARIOS = (
    "clean", "flips-10", "near-10", "flips-20", "near-20", "early-2000", "early-400", "copied-10",
    "mixed-10",
)  # fmt: skip
BUDGETS = (0.5, 0.1)
BOUNDS = ("everything", "oracle", "random")
CENTRE = ours.default(eps=0.1, exponent=0.5)  # where knobs are moved from
FEW = 50  # audit answers: what `policy.quarantine.minimum_answers` asks for


RATES: Mapping[str, Callable[[int, int], float]] = {  # (wrong, answers): what is put aside
    "estimate": lambda wrong, answers: wrong / answers,
    "succession": lambda wrong, answers: (wrong + 1) / (answers + 2),
    "bound": lambda wrong, answers: noise.wilson(wrong, answers).high,
    "bound-0.8": lambda wrong, answers: 0.8 * noise.wilson(wrong, answers).high,
}


def variants() -> Mapping[str, Arm]:
    """The bounds, what was chosen, and the centre with one knob moved."""
    made: dict[str, Arm] = {name: arms.arms()[name] for name in BOUNDS}
    made["alone"] = arms.arms()["default-alone"]
    policies: dict[str, Policy] = {"chosen": ours.default(), "centre": CENTRE}
    policies |= {f"margin-{m}": _moved(margin=m) for m in (0.8, 0.9, 1.1, 1.3)}
    policies |= {f"exponent-{e}": _moved(exponent=e) for e in (0.0, 0.25, 0.75)}
    policies |= {f"eps-{e}": _moved(eps=e) for e in (0.3, 1.0)}
    policies |= {f"score-{s}": _moved(score=s) for s in ("margin", "el2n")}
    made |= {n: Arm("ours", partial(_plain, p)) for n, p in policies.items()}
    made |= {
        f"{answers}-{name}": Arm("ours", partial(_told, answers, rate))
        for answers in (AUDITED, FEW)
        for name, rate in RATES.items()
    }
    made |= {f"counted-{p}": Arm("ours", partial(_counted, p)) for p in (0.5, 1.0)}
    made |= {f"evened-{e}": Arm("ours", partial(_evened, e)) for e in (0.25, 0.5, 1.0)}
    made |= {
        f"odds-{s:.3f}": Arm("ours", partial(_judged, s)) for s in (0.0, 0.01, 0.03, 0.1, 0.3)
    }
    return made | {"by-margin": Arm("ours", partial(_judged, None))}


def _moved(
    score: str = "entropy", eps: float = 0.1, exponent: float = 0.5, margin: float = 1.0
) -> Policy:
    """The centre with one knob elsewhere."""
    return ours.default(score, eps, exponent, margin)


def _plain(policy: Policy, stage: Stage, capacity: int) -> Choice:
    choice = ours.choose(stage, policy, capacity)
    return Choice(choice.rows, None, choice.suspects)


def _told(
    answers: int, rate: Callable[[int, int], float], stage: Stage, capacity: int
) -> Choice:
    """What was chosen, with so many audit answers and another share made of them."""
    asked = stage.audit[:answers]
    wrong = int((stage.given[asked] != stage.truth[asked]).sum())
    choice = ours.choose(stage, ours.default(), capacity, rate=rate(wrong, len(asked)))
    return Choice(choice.rows, None, choice.suspects)


def _counted(power: float, stage: Stage, capacity: int) -> Choice:
    choice = ours.choose(stage, ours.default(), capacity)
    assert choice.records is not None  # the product counts
    return Choice(choice.rows, choice.records**power, choice.suspects)


def _evened(exponent: float, stage: Stage, capacity: int) -> Choice:
    return ours.evened(stage, ours.choose(stage, ours.default(), capacity), exponent)


def _judged(smoothing: float | None, stage: Stage, capacity: int) -> Choice:
    """What was chosen, with suspects by odds so smoothed, or (None) by the normalised margin."""
    return _plain(ours.default(), ours.judged(stage, smoothing), capacity)


def keys(corpora: Mapping[str, Texts], seeds: int) -> Iterator[Key]:
    """All cells, seeds first."""
    for seed in range(seeds):
        for corpus in corpora:
            for scenario in SCENARIOS:
                for name, arm in variants().items():
                    for budget in BUDGETS if arm.budgets else (1.0,):
                        yield Key(corpus, "valid", scenario, seed, name, budget)


def measure(
    corpora: Mapping[str, Texts],
    store: Store,
    clock: Clock,
    seeds: int,
    *,
    until: float | None = None,
    advance: Callable[[int], None] = lambda _steps: None,
) -> bool:
    """Measure what is missing. False: the time was up."""
    known = variants()
    every = list(keys(corpora, seeds))
    return runs.work(every, known, corpora, store, clock, until=until, advance=advance)


def page(store: Store, corpora: Mapping[str, Texts], run: pages.Run) -> str:
    """Means over seeds of every variant, as Markdown."""
    told = (
        f"{run.told()}. Means over seeds: macro / traffic-weighted accuracy in percent. One knob "
        "moves away from `centre` at a time. No row of a test split was read.\n"
    )
    parts = ["# The default policy's knobs, on validation rows\n", told]
    for corpus in corpora:
        for scenario in SCENARIOS:
            found = _cells(store, corpus, scenario)
            header = ("variant", "seeds", *(f"{b:.0%} kept" for b in BUDGETS), "noise at 50%")
            rows = [_row(name, arm, found) for name, arm in variants().items()]
            parts += [f"## {corpus}: {scenario}\n", pages.table(header, rows)]
    return "\n".join(parts)


def _cells(store: Store, corpus: str, scenario: str) -> dict[tuple[str, float], list[Cell]]:
    made: dict[tuple[str, float], list[Cell]] = {}
    for name in store.list(f"cells-{cells.VERSION}/{corpus}/valid/{scenario}/"):
        *_, arm, budget = name.split("/")
        cell = msgspec.json.decode(store.get(name), type=Cell)
        made.setdefault((arm, float(budget.removesuffix(".json"))), []).append(cell)
    return made


def _row(name: str, arm: Arm, found: Mapping[tuple[str, float], list[Cell]]) -> list[str]:
    shown, seeds, noise = [], [], ""
    for budget in BUDGETS:
        there = found.get((name, budget if arm.budgets else 1.0), [])
        seeds.append(str(len(there)))
        if not there:
            shown.append("")
            continue
        macro = 100 * float(np.mean([cell.macro for cell in there]))
        traffic = 100 * float(np.mean([cell.traffic for cell in there]))
        shown.append(f"{macro:.2f} / {traffic:.2f}")
        noise = noise or f"{float(np.mean([cell.noise for cell in there])):.4f}"
    return [name, " / ".join(seeds), *shown, noise]
