"""sluice select: which rows of a file to keep, by the code that selects from a stream.

    sluice select rows.jsonl --checkpoint checkpoints/june --keep 50% --noise-rate 0.1 --out kept
    sluice select rows.parquet --policy sluice.yaml --checkpoint checkpoints/june --keep 2000 \\
        --audit checked.jsonl --out kept
    sluice select rows.jsonl --policy sluice.yaml --checkpoint checkpoints/june --keep 20% \\
        --windows 1d --map event_time=at --noise-rate 0.05 --out kept
    sluice select rows.jsonl --pins sluice.yaml --map event_time=at --out kept

The file becomes a recording in OUT, and the daemon's own loop replays it into a store there: each
text once with its multiplicity, suspect labels put aside, groups balanced, audit and random arms
beside the selection. OUT/kept.txt lists the ids; OUT/sluice.yaml is for `sluice report last -c`,
`verify last -c` and `why ID -c`. A run that was stopped goes on when it is called again.

All rows are one window, or with --windows equal shares of the file, or periods of the time that
rows state. What rows of the first window teach decides that window; later ones are decided by what
came before them. --pins obeys the windows that another store has decided; of a text that came
in several lanes the same record is shown only if rows name their lanes (--lane).

Label noise must be known, or nothing is quarantined and therefore nothing is balanced: --noise-rate
assumes a share of wrong labels, --audit measures it: JSON lines of the id and its true label.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from daemon.clock import SystemClock
from daemon.commands.session import count
from daemon.console import Console
from daemon.offline import asking, numbers, pinned, selecting
from daemon.offline.folder import Folder
from daemon.ports import EXIT_CONFIG, EXIT_OK, Fatal

ALONE = ("checkpoint", "keep", "noise_rate", "audit", "key", "policy")  # not beside --pins


def add(parser: argparse.ArgumentParser) -> None:
    asking.add(parser)
    parser.add_argument(
        "--keep", type=numbers.keep, metavar="N|P%", help="rows of a window, or a share of all"
    )
    parser.add_argument(
        "--windows", type=numbers.windows, metavar="N|PERIOD",
        help="so many shares of the file, or 1h, 1d of the time at policy.record.event_time",
    )  # fmt: skip
    parser.add_argument("--pins", metavar="FILE", help="configuration of a store to be obeyed")
    parser.add_argument(
        "--lane", metavar="PATH", help="with --pins: where a row names its lane, topic/partition"
    )
    noise = parser.add_mutually_exclusive_group()
    noise.add_argument(
        "--noise-rate", type=numbers.rate, metavar="R", help="share of wrong labels, 0 to 1"
    )
    noise.add_argument("--audit", metavar="FILE", help='JSON lines {"id": ..., "label": TRUE}')
    key = parser.add_mutually_exclusive_group()
    key.add_argument(
        "--seed", type=count(0), default=0, metavar="N", help="another one is another draw (0)"
    )
    key.add_argument("--key", metavar="FILE", help="the secret of identities and draws instead")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="is made")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Raises Fatal, ConfigError, BadCheckpoint."""
    clock, folder = SystemClock(), Folder(Path(arguments.out))
    if arguments.pins is not None:
        if given := [name for name in ALONE if getattr(arguments, name) is not None]:
            raise Fatal(
                f"--{given[0].replace('_', '-')} and --pins: the store decided that already",
                code=EXIT_CONFIG,
                hint="leave it out, or leave --pins out",
            )
        session, rows = pinned.prepare(arguments, folder, console, clock)
    else:
        session, rows = selecting.prepare(arguments, folder, console, clock)
    selecting.replay(session, folder, rows)
    return EXIT_OK
