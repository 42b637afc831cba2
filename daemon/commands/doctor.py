"""sluice doctor: is this deployment well, and what do its scores cost on this machine?

    sluice doctor
    sluice doctor --budget-share 0.05 --per-second 40
    sluice doctor --sample recent.jsonl --json

First come the checks, a line each: settings and paths, the store (one small object is written), the
secret, the newest edition, its checkpoint (loaded, and tried alone and in batches), the clock. What
is not ok has a hint, and the command then exits 78.

Then the newest edition's scores are timed, and all others that it could feed. A score of one
forward pass is fit for every utterance. One that runs several checkpoints, or backward, is fit for
a second stage (policy.cascade), which scores the best M of a window alone: the last column says how
many these may be if the second stage is to cost --budget-share of the time of the first. Write the
number into policy.cascade.candidates: it decides, whatever machine runs it.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from daemon.commands.sample import read_sample
from daemon.commands.session import Session, config_argument, open_session
from daemon.console import Console
from daemon.doctor import costs, proposal
from daemon.doctor.checks import NOT_OK, checks, newest
from daemon.doctor.costs import Cost, Rows
from daemon.doctor.proposal import Traffic
from daemon.learning.cascade import candidates
from daemon.learning.grading import Grading
from daemon.ports import EXIT_CONFIG, EXIT_OK, EXIT_STATE, Fatal
from daemon.registry.halves import reading
from daemon.registry.publish import Sample, recent_sample
from daemon.running.engines import Engine
from scoring.models.selftest import PROBES

ROWS = 512  # of a measurement, at most: fewer are of more lengths a handful than a window's are
SHARE = 0.1


def share(text: str) -> float:
    """The type of --budget-share."""
    value = _number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError("must be above 0 and at most 1: 0.1 is a tenth")
    return value


def rate(text: str) -> float:
    """The type of --per-second."""
    value = _number(text)
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError("must be a number above 0")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be a number") from None


def add(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument(
        "--budget-share", type=share, default=SHARE, metavar="SHARE",
        help=f"of the time of the first stage, for the second (default: {SHARE})",
    )  # fmt: skip
    parser.add_argument(
        "--per-second", type=rate, metavar="N",
        help="utterances a second, of all lanes (default: as in the newest window with a shard)",
    )  # fmt: skip
    parser.add_argument(
        "--sample", metavar="FILE",
        help="JSON lines of text, and label where known, to time with (default: audit rows of the "
        "newest shards)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Raises ConfigError, and Fatal where there is no configuration."""
    session = open_session(arguments, console)
    found = list(checks(session))
    console.table(("check", "verdict", "detail"), found, as_json=arguments.json)
    if any(check.verdict == NOT_OK for check in found):
        return EXIT_STATE
    edition = newest(session)
    engine = session.engines.of(edition)
    rows, whose = _rows(session, engine, arguments.sample)
    console.say(f"timing with {len(rows.texts)} texts {whose}", event="timing")
    first = costs.scoring(session.clock, engine.scorer, rows, session.config.process.batch_records)
    traffic = proposal.measured(session)
    if arguments.per_second is not None:
        genesis = session.registry.genesis
        period = genesis.period_ms if genesis else session.config.stream.period_ms
        traffic = Traffic(arguments.per_second, period / 1000, "--per-second")
    _tell_scores(session, engine, rows, (first, arguments.budget_share, traffic), arguments.json)
    _tell_stages(session, engine, rows, (first, arguments.budget_share, traffic))
    return EXIT_OK


Measured = tuple[float, float, Traffic | None]  # seconds of the first stage, share, traffic


def _rows(session: Session, engine: Engine, file: str | None) -> tuple[Rows, str]:
    """Distinct texts, as the model reads them; where a label is missing, the model's answer."""
    sample, whose = recent_sample(session.registry), "of audit rows"
    if file is not None:
        sample, whose = read_sample(Path(file)), "of the sample"
    if not sample.texts:
        pairs = [f"{one} {other}".strip() for one in PROBES for other in ("", *PROBES)]
        sample, whose = Sample(pairs, [None] * len(pairs)), "of ours; give --sample for your own"
    read = reading(sample, engine.edition.policy)
    said = dict(zip(read.texts, read.labels, strict=True))
    texts = tuple(text for text in said if text)[:ROWS]
    if not texts:
        raise Fatal("the sample has no text", code=EXIT_CONFIG, hint='{"text": "..."} a line')
    answers = engine.model.run(list(texts)).probs.argmax(axis=1).tolist()
    names = [engine.model.classes[at] for at in answers]
    return Rows(texts, tuple(said[t] or n for t, n in zip(texts, names, strict=True))), whose


def _tell_scores(
    session: Session, engine: Engine, rows: Rows, measured: Measured, as_json: bool
) -> None:
    """A row for each score that this edition feeds, and a line of those that it does not."""
    edition, (first, budget, traffic) = engine.edition, measured
    audited, table, lacking = edition.policy.arms.audit_rows, [], []
    load = partial(session.engines.model, edition)
    for cost in costs.every(session.clock, engine, load, rows):
        if not isinstance(cost, Cost):
            lacking.append(f"{cost.score} ({cost.missing})")
            continue
        most = None
        if cost.passes and traffic is not None:
            most = proposal.proposed(first, cost.seconds, traffic, budget, audited)
        microseconds, relative = round(cost.seconds * 1e6, 1), round(cost.seconds / first, 3)
        table.append(
            (cost.name, _stage(engine.grading, cost.name), cost.cost, cost.passes,
             microseconds, relative, most)
        )  # fmt: skip
    columns = ("score", "stage", "cost", "passes", "us", "of_first_stage", "candidates")
    session.console.table(columns, table, as_json=as_json)
    if lacking:
        session.console.say(f"not fed by this edition: {', '.join(lacking)}", event="not_fed")


def _stage(grading: Grading, name: str) -> str | None:
    """Which stage computes a score, if one does."""
    if name in grading.names:
        return "first"
    return "second" if name in grading.shown else None


def _tell_stages(session: Session, engine: Engine, rows: Rows, measured: Measured) -> None:
    """What the stages cost together, and how many candidates the budget allows."""
    first, budget, traffic = measured
    say, policy = session.console.say, engine.edition.policy
    say(f"first stage: {first * 1e6:.1f} us an utterance, model and scores", event="first_stage")
    if traffic is None:
        say("how many candidates? say --per-second: no window has a shard", event="no_traffic")
        return
    say(f"traffic: {traffic.per_second:.3g} a second, {traffic.told_by}", event="traffic")
    if engine.second is None:
        return
    audited = policy.arms.audit_rows

    def measure(count: int | None = None) -> float:
        assert engine.second is not None
        return costs.candidates(session.clock, engine.second.scorer, rows, count)

    most = proposal.settled(first, measure, traffic, budget, audited)
    second = measure(candidates(policy.cascade) + audited)
    now = proposal.spent(first, second, traffic, policy)
    say(
        f"second stage: {second * 1e6:.1f} us a candidate; {now:.1%} of the time of the first. "
        f"{budget:.1%} would be policy.cascade.candidates: {most}",
        event="second_stage",
    )
    if most <= policy.capacity_rows:
        say(
            f"that is no choice for {policy.capacity_rows} capacity_rows: a larger "
            "--budget-share, cheaper scores, or longer windows",
            event="no_choice",
        )
