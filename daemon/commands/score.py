"""sluice score: what a checkpoint says of each row of a file, on the grid of the stream.

    sluice score rows.jsonl --checkpoint checkpoints/june --out scores.parquet
    sluice score rows.parquet --checkpoint checkpoints/june --map label=intent \\
        --where split=train --scores entropy,el2n --out scores.parquet

One row for each row of the file: its number, id, label, the checkpoint's own answer, each score,
how plausible the label is (0 to 1), and the reason where a row could not be read. A score is null
where a row lacks what it needs. Rows are decoded, scored and rounded as `sluice run` does it.

A run that was stopped goes on where it was (chunks lie in OUT.work until it is done) and ends with
the same bytes. Without --scores: those of the policy. `sluice scores` lists all.
"""

from __future__ import annotations

import argparse
import shutil
from contextlib import closing
from pathlib import Path

from daemon import tables
from daemon.clock import SystemClock
from daemon.commands.session import Session
from daemon.config.settings import Config
from daemon.console import Console
from daemon.lanes.pin import FIRST
from daemon.learning.calibration import Calibration
from daemon.learning.edition import Edition
from daemon.offline import asking, publishing, results, scored
from daemon.offline.asking import Asked
from daemon.policy import Kind
from daemon.ports import EXIT_CONFIG, EXIT_OK, Fatal
from daemon.running.engines import Engines
from daemon.stores import local

KEY = b"identities and draws are no part of a table"


def add(parser: argparse.ArgumentParser) -> None:
    asking.add(parser)
    parser.add_argument("--scores", metavar="A,B", help="kinds of scores, with their defaults")
    parser.add_argument("--texts", action="store_true", help="the table holds the texts too")
    parser.add_argument("--out", required=True, metavar="FILE", help="the table, as Parquet")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Raises Fatal, ConfigError, BadCheckpoint, UnknownKind."""
    out = Path(arguments.out)
    work = out.with_name(f"{out.name}.work")
    if out.exists() and not work.exists():
        hint = "remove it, or name another file with --out"
        raise Fatal(f"{out} exists already", code=EXIT_CONFIG, hint=hint)
    asked = asking.read(arguments, console, SystemClock()).flat()
    if arguments.scores is not None:
        asked = asked.scoring(tuple(name for name in arguments.scores.split(",") if name))
    spec = Config(Kind("memory"), Kind("replay", {"path": "."}), policy=asked.policy)
    session = Session(spec, console, SystemClock())
    rows = publishing.first_rows(asked.rows, asked.rows.count)
    edition = publishing.publish_for(session, asked, arguments, KEY, rows)
    engines = Engines(session.registry.store, KEY, threads=asked.threads)
    with closing(engines):
        write(asked, engines, edition, out, work, console, texts=arguments.texts)
    return EXIT_OK


def write(
    asked: Asked, engines: Engines, edition: Edition, out: Path, work: Path, console: Console,
    *, texts: bool,
) -> None:  # fmt: skip
    """Make the table, or finish it."""
    engine, rows = engines.of(edition), asked.rows
    rules = engines.rules(0, edition, Calibration(FIRST))
    digest = tables.digest([edition, rows.digest, rows.where, engine.model.engine, texts])
    chunks = local.build(local.Options(str(work / digest[:32])))
    with console.progress("scoring", rows.count) as bar:
        columns, seen = scored.table(rows, engine, rules, chunks, texts=texts, tell=bar.advance)
    kinds = scored.types(engine.grading.names, texts=texts)
    footer = {"checkpoint": edition.checkpoint, "policy": tables.digest(edition.policy)}
    results.write(out, tables.encode(columns, kinds, tables.canonical(footer)))
    shutil.rmtree(work)
    for line in seen.notes():
        console.say(f"note: {line}", event="note")
    console.write(f"wrote {out}: {seen.rows} rows\n")
