"""sluice scores: every score, what it needs, what it costs and which paper it is from.

    sluice scores

Those of one forward pass come first, then those that run all m checkpoints of the history of an
edition (m forward passes a text), then those that run backward under each. What a policy asks
for and cannot have is told at the start, with what would provide it.
"""

from __future__ import annotations

import argparse

from daemon.commands.kinds import PACKAGES, told
from daemon.console import Console
from daemon.ports import EXIT_OK
from scoring.catalogue import catalogue


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON objects, one a line")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """The catalogue, which imports the files of all scores: they need numpy only."""
    rows = [
        (e.name, told(PACKAGES["scores"], e.name)[0], ", ".join(e.needs) or None, e.cost, e.source,
         e.summary)
        for e in catalogue()
    ]  # fmt: skip
    columns = ("score", "options", "needs", "cost", "source", "summary")
    console.table(columns, rows, as_json=arguments.json)
    return EXIT_OK
