"""sluice bench: what each way of choosing rows is worth, measured on your data.

    sluice bench selection --data FOLDER --quick
    sluice bench selection --data FOLDER --seeds 10 --budget-minutes 60 --out results

FOLDER holds SNIPS, ATIS or CLINC150; a file is JSONL of {"text", "intent", "tags"?, "split"?}.
A stream is simulated from its train split (traffic, repeats, wrong labels); every arm chooses from
it, trains the same head for as many steps, and answers the test split. What was measured is kept in
--work, so the same command goes on where it was stopped; --part 1/2 and 2/2 share the work between
two processes. Tables, plots and the verdicts on published claims are written to --out.

    sluice bench joint --data SNIPS ATIS --seeds 5

trains a small encoder to intents and slots instead, with schedules and with choices of rows: SEMER,
slot F1 and what training costs. It needs torch, corpora with tags, and hours.
"""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path
from typing import NamedTuple

from daemon import corpus as corpora
from daemon.benchmark import features, pages, runs, sets, tables, tuning
from daemon.benchmark.arms import arms
from daemon.benchmark.features import Texts
from daemon.benchmark.scenarios import SCENARIOS
from daemon.clock import SystemClock
from daemon.commands.session import count
from daemon.console import Console
from daemon.ports import EXIT_CONFIG, EXIT_OK, Clock, Fatal, Store
from daemon.stores import local

QUICK_SEEDS = 3


def add(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument
    tuned = "tuning: knobs, on validation rows alone; joint: intents and slots, trained together"
    option("what", choices=("selection", "tuning", "joint"), help=tuned)
    option("--data", nargs="+", required=True, metavar="PATH", help="folders or files of rows")
    option("--work", default="bench", metavar="FOLDER", help="what was measured (default: bench)")
    option("--out", metavar="FOLDER", help="pages (default: docs/results in --work)")
    option("--seeds", type=count(1), default=10, help="paired worlds (default: 10)")
    option("--budget-minutes", type=count(1), help="stop measuring after so long")
    option("--quick", action="store_true", help="3 seeds, 4 scenarios, the main arms")
    option("--scenarios", type=_names, metavar="A,B", help=", ".join(SCENARIOS))
    option("--arms", type=_names, metavar="A,B", help="default: all; joint: the main ones")
    option("--budgets", type=_shares, metavar="0.1,0.5", help="shares of the stream")
    option("--rows", type=count(300), default=2_000, help="joint: rows to train on (default: 2000)")
    option("--epochs", type=count(4), default=10, help="joint: epochs (default: 10)")
    option("--layers", type=count(1), default=1, help="joint: of the encoder (default: 1)")
    option("--part", type=_part, default=(1, 1), metavar="I/N", help="every N-th world, from I on")


class Bench(NamedTuple):
    """What every benchmark works with."""

    store: Store
    clock: Clock
    until: float | None  # of the monotonic clock
    out: Path
    run: pages.Run


def run(arguments: argparse.Namespace, console: Console) -> int:
    clock = SystemClock()
    began = clock.monotonic()
    store = local.build(local.Options(str(Path(arguments.work) / "store")))
    until = began + 60 * arguments.budget_minutes if arguments.budget_minutes else None
    out = Path(arguments.out or Path(arguments.work) / "docs" / "results")
    run_ = pages.Run(_told(arguments), _machine(), clock.now())
    kind = {"selection": _selection, "tuning": _tuning, "joint": _joint}[arguments.what]
    done = kind(arguments, console, Bench(store, clock, until, out, run_))
    minutes, used = (clock.monotonic() - began) / 60, os.times()
    rest = "" if done else "; the same command goes on"
    told = f"{minutes:.1f} min, {used.user + used.system:.0f} s of CPU"
    console.say(f"bench: {'done' if done else 'the time is up'} after {told}{rest}")
    console.write(f"{out}\n")
    return EXIT_OK


def _selection(arguments: argparse.Namespace, console: Console, bench: Bench) -> bool:
    texts = _texts(arguments.data, bench.store, console, tune=False)
    plan = _plan(arguments)
    plan.check()
    with console.progress("measuring", runs.size(plan, tuple(texts))) as bar:
        done = runs.measure(
            plan, texts, bench.store, bench.clock, until=bench.until, advance=bar.advance
        )
    sets.write(bench.out, tables.results(bench.store, texts, plan.split), bench.run)
    return done


def _tuning(arguments: argparse.Namespace, console: Console, bench: Bench) -> bool:
    texts = _texts(arguments.data, bench.store, console, tune=True)
    seeds = arguments.seeds
    with console.progress("tuning", sum(1 for _ in tuning.keys(texts, seeds))) as bar:
        done = tuning.measure(
            texts, bench.store, bench.clock, seeds, until=bench.until, advance=bar.advance
        )
    pages.put(bench.out, {"tuning.md": tuning.page(bench.store, texts, bench.run)})
    return done


def _joint(arguments: argparse.Namespace, console: Console, bench: Bench) -> bool:
    from daemon.benchmark import joint  # which needs torch

    read = {name: corpora.read(path) for name, path in sets.named(arguments.data)}
    asked = joint.Asked(
        arguments.scenarios, arguments.arms, arguments.budgets, arguments.seeds,
        arguments.rows, arguments.epochs, arguments.layers,
    )  # fmt: skip
    plan = joint.plan(asked, read)
    with console.progress("training", joint.size(plan, read)) as bar:
        done = joint.measure(
            plan, read, bench.store, bench.clock, until=bench.until, advance=bar.advance
        )
    pages.put(bench.out, joint.files(bench.store, tuple(read), bench.run))
    return done


def _texts(paths: list[str], store: Store, console: Console, *, tune: bool) -> dict[str, Texts]:
    """Every corpus in numbers. Raises Fatal for what cannot be read, or is there twice."""
    encode = features.Kept(store, _encoder)
    made: dict[str, Texts] = {}
    with console.progress("reading", len(paths)) as bar:
        for name, path in sets.named(paths):
            rows = corpora.read(path)
            asked = rows.valid if tune else rows.test
            if not asked:
                what = "validation" if tune else "test"
                hint = 'Give rows the "split" valid or test, or leave it out: it is then hashed'
                raise Fatal(f"{name} has no {what} rows", code=EXIT_CONFIG, hint=hint)
            cut = features.without_test(rows) if tune else rows
            made[name] = features.texts(cut, name, encode, split="valid" if tune else "test")
            bar.advance()
    return made


def _encoder() -> features.Encode:
    from daemon.demo.encoder import Encoder

    return Encoder().features


def _plan(arguments: argparse.Namespace) -> runs.Plan:
    quick = arguments.quick
    return runs.Plan(
        split="test",
        scenarios=arguments.scenarios or (runs.QUICK_SCENARIOS if quick else tuple(SCENARIOS)),
        seeds=min(arguments.seeds, QUICK_SEEDS) if quick else arguments.seeds,
        arms=arguments.arms or (runs.QUICK_ARMS if quick else tuple(arms())),
        budgets=arguments.budgets or (runs.QUICK_BUDGETS if quick else runs.BUDGETS),
        part=arguments.part,
    )


def _told(arguments: argparse.Namespace) -> str:
    """The command without paths of this machine."""
    names = map(sets.name, arguments.data)
    words = ["sluice bench", arguments.what, "--data", *names]
    if arguments.quick:  # its plan has seeds of its own
        return " ".join([*words, "--quick"])
    return " ".join([*words, "--seeds", str(arguments.seeds)])


def _machine() -> str:
    return f"{platform.machine()} with {os.cpu_count()} cores, Python {platform.python_version()}"


def _names(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(",") if word)


def _shares(text: str) -> tuple[float, ...]:
    shares = tuple(float(word) for word in text.split(","))
    if not all(0 < share <= 1 for share in shares):
        raise ValueError
    return shares


def _part(text: str) -> tuple[int, int]:
    first, _, parts = text.partition("/")
    if not 1 <= int(first) <= int(parts):
        raise ValueError
    return int(first), int(parts)
