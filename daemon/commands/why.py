"""sluice why: what became of an utterance: kept, evicted, a repeat, set aside or never seen.

    sluice why utterance-0042

One answer for each record that carried the id. Group, weight and scores are those that its lane
saw; where a label came late, that is said, and what the shard holds instead.
"""

from __future__ import annotations

import argparse

from daemon.commands import names
from daemon.commands.session import config_argument, open_session
from daemon.console import Console
from daemon.derived.why import why
from daemon.ports import EXIT_OK


def add(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument("id", metavar="ID", help="the utterance's id, as it stood in the record")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Raises Fatal."""
    names.check([arguments.id])
    session = open_session(arguments, console)
    fates = why(session.history(), arguments.id, session.key)
    if not fates:
        console.write(
            "never seen: no ledger knows this id. Its window may have no part yet, or its record "
            "was refused: those are counted by reason in the shard's manifest, their ids not kept\n"
        )
    for fate in fates:
        console.write(f"{fate.verdict}: {fate.detail}\n")
        facts = {"lane": fate.lane, "window": fate.window, "position": fate.position, **fate.facts}
        console.table(("what", "value"), [(k, _cell(v)) for k, v in facts.items()])
    return EXIT_OK


def _cell(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
