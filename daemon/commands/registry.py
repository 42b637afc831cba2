"""sluice registry: what decided a window, and why; without a window, all that the store knows.

    sluice registry
    sluice registry last
    sluice registry 5698443

`last` is the newest that has a shard; by its number a window is known as soon as it is pinned.
"""

from __future__ import annotations

import argparse

from daemon.commands.session import DIGITS, Session, config_argument, open_session
from daemon.console import Console
from daemon.derived.history import History
from daemon.lanes.pin import FIRST
from daemon.learning.edition import Edition
from daemon.learning.rules import COLD, Rules
from daemon.ports import EXIT_OK, Missing
from daemon.registry import versions
from daemon.shards.shard import ShardManifest


def add(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument(
        "window", nargs="?", metavar="WINDOW",
        help="a window, a path that names it, or `last` (default: list them)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Raises Fatal."""
    session = open_session(arguments, console)
    session.check()
    if arguments.window is None:
        _overview(session, as_json=arguments.json)
        return EXIT_OK
    given = arguments.window
    window = int(given) if DIGITS.fullmatch(given) else session.window(given)
    _window(session, window, as_json=arguments.json)
    return EXIT_OK


def _overview(session: Session, *, as_json: bool) -> None:
    registry, console = session.registry, session.console
    genesis = registry.genesis
    assert genesis is not None
    registry.read_editions()
    console.table(
        ("lanes", "period_s", "first_window", "grace", "label_wait", "lag"),
        [(len(genesis.lanes), genesis.period_ms // 1000, genesis.first_window, genesis.grace,
          genesis.label_wait, genesis.lag)],
        as_json=as_json,
    )  # fmt: skip
    console.table(
        ("edition", "checkpoint", "classes", "from window", "select", "score"),
        [
            (e.number, e.checkpoint[:12], len(e.classes), e.first_window, e.policy.select.kind,
             str(e.policy.select.options.get("score", "entropy")))
            for _, e in sorted(registry.editions.items())
        ],
        as_json=as_json,
    )  # fmt: skip
    rows = []
    for window in session.history().windows():
        m = versions.newest(registry, window)
        noise = f"{m.noise.low:.3f}..{m.noise.high:.3f}" if m.noise else None
        learnt = None if m.calibration_used == FIRST else m.calibration_used
        rows.append(
            (window, m.edition, learnt, m.counts["records"], m.arms.get("selected", 0),
             noise, m.cold or "warm", m.rows_digest[:12], m.revision.number)
        )  # fmt: skip
    columns = ("window", "edition", "calibration", "records", "selected", "noise", "state", "rows")
    console.table((*columns, "version"), rows, as_json=as_json)


def _window(session: Session, window: int, *, as_json: bool) -> None:
    history, console = session.history(), session.console
    pin, rules = history.rules(window)
    genesis = session.registry.genesis
    assert genesis is not None
    learnt = "nothing learnt yet" if pin.calibration == FIRST else f"shard {pin.calibration}"
    terms = rules.terms
    suspect = "off" if terms.suspect_below is None else f"plausibility < {terms.suspect_below}/4096"
    facts: list[tuple[str, str | int]] = [
        ("edition", _edition(rules.edition)),
        ("checkpoint", rules.edition.checkpoint),
        ("calibration", f"{learnt}: what was known {genesis.lag} windows before"),
        ("roster", ", ".join(str(lane) for lane in pin.lanes)),
        ("state", COLD[rules.cold] if rules.cold else "warm"),
        *_spreads(history, rules),
        ("quarantine", suspect),
        ("groups", len(rules.groups)),
        ("draws", _draws(rules)),
    ]
    try:
        manifest = versions.newest(session.registry, window)
        facts += [(f"part {ref.topic}/{ref.partition}",
                   f"[{ref.start}, {ref.end}) closed by {ref.closed_by}, engine {ref.engine}")
                  for ref in manifest.parts]  # fmt: skip
        if manifest.revision.records:
            facts.append(("erasures", _erasures(manifest)))
        facts += [("shard", manifest.rows_object), ("selection", manifest.selection_digest)]
    except Missing:
        facts.append(("shard", "not made yet"))
    console.table(("what", "decided"), facts, as_json=as_json)


def _spreads(history: History, rules: Rules) -> list[tuple[str, str]]:
    """Of each score that is weighed, the two quantiles that the policy maps between."""
    graded = history.engines.of(rules.edition).grading
    stages = [("weight", graded.policy.reads, rules.terms.spreads)]
    if graded.second is not None and rules.second is not None:
        stages.append(("second weight", graded.second.policy.reads, rules.second.spreads))
    return [
        (f"{stage} by {name}", f"between {spread.low}/4096 and {spread.high}/4096")
        for stage, reads, spreads in stages
        for name, spread in zip(reads, spreads, strict=True)
    ]


def _draws(rules: Rules) -> str:
    """The epoch, and what is refused under it."""
    if rules.policy.epoch == "constant":
        return "the same in every window"
    known = rules.known
    back = rules.window - known.since
    return f"of this window alone; {known.texts} texts emitted in the {back} before are refused"


def _erasures(manifest: ShardManifest) -> str:
    """How many rows the newest version lacks, and because of which records."""
    r = manifest.revision
    when = "in time" if r.number == 1 else f"known when shard {r.step} was made"
    return f"version {r.number} lacks {r.removed} rows: {r.records} records {when}, {r.refused} bad"


def _edition(edition: Edition) -> str:
    """Which edition a pin names, and why this one (daemon.learning.edition.effective)."""
    if edition.number == 0:
        return "0: it decides from the genesis on, until the first window of another has come"
    return (
        f"{edition.number}: of those published when the window was pinned, the highest whose "
        f"first window ({edition.first_window}) had come"
    )
