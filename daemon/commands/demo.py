"""sluice demo: the whole path on a made-up house that talks, or on data of yours, in minutes.

    sluice demo
    sluice demo --data path/to/clinc150
    sluice demo --data rows.jsonl --records 40000

Real sentences, a real encoder, planted label errors, repeats, a shift half-way, broken records. An
annotator answers the audit rows through the log; a second checkpoint takes over in mid-stream. At
the end: shards, a report, and what was found, held against the truth that Sluice never saw. The
same command gives the same digest, whatever --batch-records or --order.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from msgspec.structs import replace

from daemon.clock import SystemClock
from daemon.commands import publish, report
from daemon.commands import run as runner
from daemon.commands.session import Session, count
from daemon.config import reader as config
from daemon.console import Console
from daemon.corpus import Corpus, read
from daemon.demo import house, outcome, stream, world
from daemon.demo.encoder import Encoder
from daemon.demo.traffic import Shape
from daemon.demo.world import Place
from daemon.derived import rolling
from daemon.derived.history import History
from daemon.ports import EXIT_CONFIG, EXIT_DEPENDENCY, EXIT_OK, EXIT_STATE, EXIT_WRITE, Fatal
from daemon.registry.publish import Refused

SEEDS = 5  # of heads trained on each arm


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="PATH", help="SNIPS, ATIS or CLINC150, or JSON lines")
    parser.add_argument("--out", default="demo", metavar="FOLDER", help="made anew (default: demo)")
    for name, least, default, meaning in (
        ("records", 200, 20_000, "length of the stream"),
        ("lanes", 1, 3, "partitions of the topic"),
        ("seed", 0, 0, "another seed, another stream"),
        ("threads", 1, None, "of the model (default: one per core)"),
        ("batch-records", 1, 256, "changes no digest"),
        ("lanes-at-once", 1, 1, "changes no digest"),
    ):
        shown = meaning if default is None else f"{meaning} (default: {default})"
        parser.add_argument(f"--{name}", type=count(least), default=default, help=shown)
    parser.add_argument("--order", type=_order, default="behind", metavar="behind|round-robin|N",
                        help="which lane is read first; changes no digest")  # fmt: skip


def _order(text: str) -> int | str:
    return text if text in ("behind", "round-robin") else count(0)(text)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Build the world, run it, look at what came out. Raises Fatal."""
    place = world.Place(Path(arguments.out).resolve())
    clock = SystemClock()
    began = clock.monotonic()
    with console.progress("preparing", 5) as bar:
        corpus = read(arguments.data) if arguments.data else house.home(seed=arguments.seed)
        _clear(place.folder)  # not before: wrong data cost nobody an earlier demo
        bar.advance()
        shape = Shape(records=arguments.records, lanes=arguments.lanes)
        made = stream.make(corpus, shape, seed=arguments.seed)
        world.write_stream(place, made)
        bar.advance()
        world.write_sample(place, corpus, made, arguments.seed)
        bar.advance()
        encoder = Encoder()
        world.write_checkpoints(place, made, encoder, arguments.seed)
        bar.advance()
        world.write_config(place, shape, arguments.threads)
        bar.advance()
    console.say(
        f"stream: {shape.records} records of {len(corpus.classes)} intents in {shape.lanes} lanes "
        f"and {shape.windows} windows; {made.malformed} broken on purpose"
    )
    session = _session(arguments, place, console)
    switch = shape.first_window + shape.windows // 2 + 2
    _publish(session, place, 1, shape.first_window)
    _publish(session, place, 2, switch)
    _run(session, place, shape)
    history = session.history()
    rolled = rolling.roll(history, history.windows()[-1])
    rolling.write(history, rolled)
    report.write(session, "last", place.report)
    _tell(session, history, place, corpus, encoder)
    console.say(
        f"  took      {clock.monotonic() - began:.0f} s, downloads aside\n"
        f"look at     {place.report}\nthen        sluice verify last -c {place.config}"
    )
    path = place.store / rolled.name
    console.write(
        f"demo: ok shard={path} rows={len(rolled.rows['id'])} groups={len(rolled.kept)} "
        f"digest={lineage(history, rolled.rows_digest)}\n"
    )
    return EXIT_OK


def _clear(folder: Path) -> None:
    """Remove an earlier demo, and nothing else."""
    if folder.exists():
        if any(folder.iterdir()) and not (folder / "sluice.yaml").is_file():
            raise Fatal(
                f"{folder} holds something that is no demo",
                code=EXIT_CONFIG,
                hint="name a new folder with --out",
            )
        shutil.rmtree(folder)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise Fatal(f"cannot make {folder}: {error.strerror}", code=EXIT_WRITE) from None


def _session(arguments: argparse.Namespace, place: Place, console: Console) -> Session:
    """The written configuration, read as `sluice run` would, with this command's overrides."""
    read = config.load(place.config)
    reading = {"order": arguments.order, "lanes_at_once": arguments.lanes_at_once}
    source = replace(read.source, options={**read.source.options, **reading})
    process = replace(read.process, batch_records=arguments.batch_records)
    return Session(replace(read, source=source, process=process), console, SystemClock())


def _publish(session: Session, place: Place, number: int, first_window: int) -> None:
    folder = place.checkpoint(number)
    given = argparse.Namespace(
        sample=str(place.sample), policy=None, first=str(first_window), allow_missing_labels=False,
        history=None, reference=None, trusted=None,
    )  # fmt: skip
    if isinstance(publish.one(session, folder, given), Refused):
        raise Fatal(f"{folder.name} did not pass its gates", code=EXIT_STATE)


def _run(session: Session, place: Place, shape: Shape) -> None:
    """The annotator in a process of its own, and the daemon in this one."""
    command = [
        sys.executable, "-m", "daemon.demo.annotator",
        str(place.recording), str(place.store), str(place.truth),
        "--first-window", str(shape.first_window), "--last-window", str(shape.last_window),
        "--period-ms", str(shape.period_ms), "--lag", str(world.LAG),
    ]  # fmt: skip
    # a session of its own: Ctrl-C is for us, and we end it
    annotator = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603
    try:
        with session.console.progress("scoring and selecting", shape.records) as bar:
            if not runner.work(session, progress=bar.advance):
                raise KeyboardInterrupt
        if annotator.wait(timeout=60):
            raise Fatal("the annotator failed", code=EXIT_DEPENDENCY)
    finally:
        annotator.kill()
        annotator.wait()


def _tell(
    session: Session, history: History, place: Place, corpus: Corpus, encoder: Encoder
) -> None:
    """What was seen, in a few lines."""
    console = session.console
    with console.progress("training on both arms", 1) as bar:
        truth = outcome.read_truth(place.truth)
        o = outcome.outcome(history, truth, session.key, corpus, encoder, SEEDS)
        bar.advance()
    f, gain = o.found, o.lift.macro
    console.say(f"records     {o.records} read, {o.shards} shards, two checkpoints")
    console.say(
        f"label noise {f.hits} of {f.flipped} wrong labels found among {f.suspects} suspects: "
        f"precision {f.precision:.2f}, recall {f.recall:.2f}"
    )
    console.say(f"            {o.noise_stream:.1%} wrong in the stream, "
                f"{o.noise_selected:.1%} in the shards' selected rows")  # fmt: skip
    console.say(
        f"balance     {o.groups_before:.1f} effective groups in the stream, "
        f"{o.groups_after:.1f} in the shards"
    )
    console.say(
        f"lift        macro accuracy {o.lift.selected.macro:.3f} with the selected rows, "
        f"{o.lift.random.macro:.3f} with as many random ones: "
        f"{gain.estimate:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
    )


def lineage(history: History, rolled: str) -> str:
    """One digest over every shard of the run, in window order, and the rolling reservoir."""
    sha = hashlib.sha256()
    for window in history.windows():
        sha.update(f"{window} {history.registry.manifest(window).rows_digest}\n".encode())
    sha.update(f"rolling {rolled}\n".encode())
    return sha.hexdigest()
