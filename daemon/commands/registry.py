"""sluice registry: what decided a window, and why; without a window, all that the store knows.

sluice registry -c sluice.yaml
sluice registry -c sluice.yaml 5698443
"""

from __future__ import annotations

import argparse

from daemon.commands.session import Session, config_argument, open_session
from daemon.console import Console
from daemon.learning.rules import COLD
from daemon.ports import EXIT_OK, Missing
from daemon.registry.pin import FIRST


def add(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument("window", nargs="?", type=int, help="a window (default: list them)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Raises Fatal."""
    session = open_session(arguments, console)
    session.check()
    if arguments.window is None:
        _overview(session, as_json=arguments.json)
    else:
        _window(session, arguments.window, as_json=arguments.json)
    return EXIT_OK


def _overview(session: Session, *, as_json: bool) -> None:
    registry, console = session.registry, session.console
    genesis = registry.genesis
    assert genesis is not None
    registry.read_editions()
    console.say(
        f"genesis: {len(genesis.lanes)} lanes, windows of {genesis.period_ms // 1000} s from "
        f"{genesis.first_window}, grace {genesis.grace}, label wait {genesis.label_wait}, "
        f"lag {genesis.lag}"
    )
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
        m = registry.manifest(window)
        noise = f"{m.noise.low:.3f}..{m.noise.high:.3f}" if m.noise else ""
        rows.append(
            (window, m.edition, m.calibration_used, m.counts["records"], m.arms.get("selected", 0),
             noise, m.cold or "warm", m.rows_digest[:12])
        )  # fmt: skip
    columns = ("window", "edition", "calibration", "records", "selected", "noise", "state", "rows")
    console.table(columns, rows, as_json=as_json)


def _window(session: Session, window: int, *, as_json: bool) -> None:
    history, console = session.history(), session.console
    pin, rules = history.rules(window)
    genesis = session.registry.genesis
    assert genesis is not None
    learnt = "nothing learnt yet" if pin.calibration == FIRST else f"shard {pin.calibration}"
    terms = rules.terms
    suspect = "off" if terms.suspect_below is None else f"plausibility < {terms.suspect_below}/4096"
    facts: list[tuple[str, str | int]] = [
        ("edition", f"{pin.edition}: the highest whose first window has come"),
        ("checkpoint", rules.edition.checkpoint),
        ("calibration", f"{learnt}: what was known {genesis.lag} windows before"),
        ("roster", ", ".join(str(lane) for lane in pin.lanes)),
        ("state", COLD[rules.cold] if rules.cold else "warm"),
        ("weight", f"from {terms.low}/4096 to {terms.high}/4096 of the weighed score"),
        ("quarantine", suspect),
        ("groups", len(rules.groups)),
    ]
    try:
        manifest = session.registry.manifest(window)
        facts += [(f"part {ref.topic}/{ref.partition}",
                   f"[{ref.start}, {ref.end}) closed by {ref.closed_by}, engine {ref.engine}")
                  for ref in manifest.parts]  # fmt: skip
        facts += [("shard", manifest.rows_object), ("selection", manifest.selection_digest)]
    except Missing:
        facts.append(("shard", "not made yet"))
    console.table(("what", "decided"), facts, as_json=as_json)
