"""sluice skip: pass over a dead lane, so that the others' shards can be made.

    sluice skip utterances/2 5698443

Creates the lane's part up to that window, empty. Nothing is lost: its records come as `late` in
the lane's next window. If the lane's owner was faster, its part stays and nothing changes.
"""

from __future__ import annotations

import argparse

from daemon.commands.session import config_argument, count, open_session
from daemon.console import Console
from daemon.ports import EXIT_CONFIG, EXIT_OK, EXIT_STATE, Fatal, LaneId
from daemon.registry import skip


def add(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument("lane", metavar="TOPIC/PARTITION")
    parser.add_argument(
        "window", metavar="WINDOW", type=count(0), help="the last window to pass over"
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Raises Fatal."""
    session = open_session(arguments, console)
    topic, _, partition = arguments.lane.rpartition("/")
    if not topic or not partition.isdigit():
        raise Fatal(
            f"{arguments.lane!r} is no lane", code=EXIT_CONFIG, hint="write it as topic/partition"
        )
    lane, genesis = LaneId(topic, int(partition)), session.registry.genesis
    if genesis is None or genesis.entry(lane) is None:
        known = ", ".join(str(entry.lane) for entry in genesis.lanes) if genesis else "none yet"
        raise Fatal(f"{lane} is no lane of this store", code=EXIT_STATE, hint=f"lanes: {known}")
    made = skip.skip(session.registry, lane, arguments.window)
    console.write(f"skipped {made.lane}, windows {made.window} to {made.through}\n")
    return EXIT_OK
