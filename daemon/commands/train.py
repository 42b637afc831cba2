"""sluice train: a small model on your data, with all rows or with those that are hard just now.

    sluice train path/to/snips --out trained
    sluice train path/to/snips --out trained --model joint --schedule dynamic --keep 0.2
    sluice train rows.jsonl --out trained --publish sluice.yaml

DATA is a folder of SNIPS or ATIS, CLINC150's JSON, or lines of {"text", "intent", "tags"?,
"split"?}. `--model head` trains a softmax head on a frozen sentence encoder, in seconds. `--model
joint` fine-tunes the encoder's first layers to intents and slots, in minutes, and needs torch.
`--schedule dynamic` trains some epochs on all rows, scores all of them, goes on with the hardest
share, and scores all again every few epochs; `weighted` draws the rows of each epoch anew, the
harder the likelier; `random` draws as many rows at the moments of `dynamic`.

The folder gets checkpoints over time, which `sluice publish` takes. Killed, the same command goes
on from the last epoch, with the same result: same data, options and machine give the same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from daemon.clock import SystemClock
from daemon.commands.session import Session, count, load
from daemon.console import Console
from daemon.corpus import read
from daemon.ports import EXIT_OK
from daemon.training import settings as decided
from daemon.training.folder import RESULT, ROWS, Folder
from daemon.training.settings import EPOCHS, Settings
from daemon.training.subject import grade
from daemon.training.work import rows_table, subject_of, work
from scoring import checkpoints
from scoring.training.schedules import Schedule

COLUMNS = ("split", "rows", "accuracy", "macro", "slot_f1", "whole", "trained", "scored",
           "seconds", "cpu_seconds")  # fmt: skip


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help="SNIPS, ATIS or CLINC150, or JSON lines")
    parser.add_argument("--out", required=True, metavar="DIR", help="made, or gone on with")
    for name, values, meaning in (
        ("model", ("head", "joint"), "what learns"),
        ("schedule", ("full", "dynamic", "weighted", "random"), "which rows an epoch trains on"),
        ("by", ("rows", "tokens"), "what --keep is a share of"),
        ("reduce", ("norm", "sum", "mean"), "how errors of intent and slots become one"),
    ):
        shown = f"{meaning} (default: {values[0]})"
        parser.add_argument(f"--{name}", choices=values, default=values[0], help=shown)
    for name, kind, default, meaning in (
        ("keep", _share, 0.5, "share of the rows after the warm epochs"),
        ("offset", _offset, 0.0, "share of the hardest rows that is left out: noisy labels"),
        ("warm-epochs", count(0), 1, "epochs on all rows first"),
        ("every", count(1), 2, "epochs until rows are chosen anew (weighted: scored anew)"),
        ("epochs", count(1), None, "of the whole training (default: head 20, joint 10)"),
        ("rows", count(2), None, "train on as many of the rows, drawn at random (default: all)"),
        ("seed", count(0), 0, "another seed, another order and other heads"),
        ("layers", count(1), 2, "of the encoder, joint only"),
        ("threads", count(1), 1, "of torch; another number gives other last bits"),
        ("checkpoints", count(1), 4, "how many to write, evenly over the epochs"),
    ):
        shown = meaning if default is None else f"{meaning} (default: {default})"
        parser.add_argument(f"--{name}", type=kind, default=default, help=shown)
    coarse = "score rows in bfloat16, joint only: faster where the CPU has it"
    parser.add_argument("--coarse", action="store_true", help=coarse)
    store = "put the checkpoints into the store of this configuration"
    parser.add_argument("--publish", metavar="CONFIG", help=store)
    parser.add_argument("--json", action="store_true", help="the result as JSON objects")


def _share(text: str) -> float:
    share = _number(text)
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError("must be above 0 and at most 1: 0.2 is a fifth")
    return share


def _offset(text: str) -> float:
    share = _number(text)
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError("must be 0 or more and below 1: 0.05 is a twentieth")
    return share


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Raises Fatal, BadModel, ConfigError."""
    # first, so that a typo in it costs no training
    store = _session(arguments.publish, console) if arguments.publish else None
    corpus = read(arguments.data)
    settings = _settings(arguments, decided.digest(corpus))
    folder = Folder(Path(arguments.out))
    folder.begin(msgspec.json.encode(settings))
    places = decided.drawn(corpus, settings.rows, settings.seed)
    rows = decided.chosen(corpus, places)
    subject = subject_of(settings, rows, corpus.classes, console)
    course, spent = work(settings, subject, len(rows), folder, SystemClock(), console)
    table = [
        (name, len(split), *grade(subject, split), course.trained, course.scored, *spent)
        for name, split in (("valid", corpus.valid), ("test", corpus.test))
        if split
    ]
    result = [dict(zip(COLUMNS, row, strict=True)) for row in table]
    folder.write(RESULT, msgspec.json.format(msgspec.json.encode(result), indent=1))
    if len(course.dynamics):
        folder.write(ROWS, rows_table(course, places).encode())
    console.table(COLUMNS, table, as_json=arguments.json)
    if store:
        _publish(store, arguments.publish, folder, console)
    return EXIT_OK


def _settings(arguments: argparse.Namespace, digest: str) -> Settings:
    schedule = Schedule(
        kind=arguments.schedule,
        keep=arguments.keep,
        by=arguments.by,
        warm=arguments.warm_epochs,
        every=arguments.every,
        offset=arguments.offset,
    )
    return Settings(
        data=digest,
        model=arguments.model,
        schedule=schedule,
        epochs=arguments.epochs or EPOCHS[arguments.model],
        rows=arguments.rows,
        seed=arguments.seed,
        checkpoints=arguments.checkpoints,
        layers=arguments.layers,
        threads=arguments.threads,
        reduce=arguments.reduce,
        coarse=arguments.coarse,
    )


def _session(config: str, console: Console) -> Session:
    return Session(load(Path(config)), console, SystemClock())


def _publish(session: Session, config: str, folder: Folder, console: Console) -> None:
    """All checkpoints into the store, oldest first; which window they decide says an edition."""
    rows = []
    for place in folder.checkpoints():
        checkpoint, blobs = checkpoints.read_directory(place, name=place.name)
        digest = checkpoints.put(session.registry.store, checkpoint, blobs)
        rows.append((place.name, digest))
    console.table(("checkpoint", "digest"), rows)
    before = ",".join(digest[:12] for _, digest in rows[:-1])
    history = f" --history {before}" if before else ""
    last = folder.checkpoints()[-1]
    console.say(f"`sluice publish {last} -c {config}{history}` makes an edition of the last one")
