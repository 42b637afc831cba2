"""sluice config: check a file, show every default explained, or the JSON schema for editors.

    sluice config check sluice.yaml
    sluice config show > sluice.yaml
    sluice config schema > sluice.schema.json

`check` also looks at the paths that the file names. What is missing on this machine is a note, and
exit 0; what is there and cannot be used is a fault, as a wrong key is, and exit 64.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from daemon.commands.session import config_argument, load, look
from daemon.config import explain, sanity
from daemon.config.settings import ConfigError
from daemon.console import Console
from daemon.ports import EXIT_OK


def add(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser("check", help="is this file right? one line for each fault")
    check.add_argument("file", nargs="?", metavar="FILE", help="default: as -c")
    config_argument(check)
    actions.add_parser("show", help="all defaults, explained, as a file to start from")
    actions.add_parser("schema", help="JSON schema, for editors and charts")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Raises ConfigError (exit 64) for a file that cannot be run."""
    if arguments.action == "show":
        console.write(explain.show())
    elif arguments.action == "schema":
        console.write(json.dumps(explain.schema(), indent=2) + "\n")
    else:
        checked = load(Path(arguments.file or arguments.config))
        policy = checked.policy
        seen = look(checked)
        if faults := tuple(line for line, fault in seen if fault):
            raise ConfigError(faults)
        for line in (*sanity.advice(checked), *(line for line, _ in seen)):
            console.say(f"note: {line}")
        console.write(
            f"ok: {checked.source.kind} -> {checked.store.kind}, windows of "
            f"{checked.stream.period_ms // 1000} s, {policy.capacity_rows} rows of "
            f"{policy.select.kind}/{policy.reservoir.kind} each\n"
        )
    return EXIT_OK
