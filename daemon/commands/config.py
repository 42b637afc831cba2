"""sluice config: check a file, show every default explained, or the JSON schema for editors.

sluice config check sluice.yaml
sluice config show > sluice.yaml
sluice config schema > sluice.schema.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from daemon.commands.session import load
from daemon.config import explain, sanity
from daemon.console import Console
from daemon.ports import EXIT_OK


def add(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser("check", help="is this file right? one line for each fault")
    check.add_argument("file", metavar="FILE")
    actions.add_parser("show", help="all defaults, explained, as a file to start from")
    actions.add_parser("schema", help="JSON schema, for editors and charts")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Raises ConfigError (exit 64) for a file that cannot be run."""
    if arguments.action == "show":
        console.write(explain.show())
    elif arguments.action == "schema":
        console.write(json.dumps(explain.schema(), indent=2) + "\n")
    else:
        checked = load(Path(arguments.file))
        policy = checked.policy
        for line in sanity.advice(checked):
            console.say(f"note: {line}")
        console.say(
            f"ok: {checked.source.kind} -> {checked.store.kind}, windows of "
            f"{checked.stream.period_ms // 1000} s, {policy.capacity_rows} rows of "
            f"{policy.select.kind}/{policy.reservoir.kind} each"
        )
    return EXIT_OK
