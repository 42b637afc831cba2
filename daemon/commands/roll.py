"""sluice roll: the rolling reservoir, merged from the parts of the newest windows.

    sluice roll
    sluice roll 5698443

How many windows, how many rows, and how fast old rows fade stands in the policy (`rolling`).
Derived, not state: the same windows always give the same rows. Prints the name of the object
in the store that holds them.
"""

from __future__ import annotations

import argparse

from daemon.commands.session import config_argument, open_session
from daemon.console import Console
from daemon.derived import rolling
from daemon.ports import EXIT_OK


def add(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument("shard", nargs="?", default="last", metavar="WINDOW", help="the newest")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Raises Fatal."""
    session = open_session(arguments, console)
    history = session.history()
    rolled = rolling.roll(history, session.window(arguments.shard))
    rolling.write(history, rolled)
    console.say(
        f"{len(rolled.rows['id'])} rows of {len(rolled.kept)} groups from {len(rolled.windows)} "
        f"windows, digest {rolled.rows_digest[:16]}"
    )
    console.write(f"{rolled.name}\n")
    return EXIT_OK
