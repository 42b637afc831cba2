"""A selection from a file: its folder is prepared, and the daemon's own loop replays it."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

import msgspec

from daemon import tables
from daemon.commands import run as runner
from daemon.commands.service import Service
from daemon.commands.session import Session, load, version
from daemon.commands.telling import Teller
from daemon.config import keyfile
from daemon.config.settings import Stream
from daemon.console import Console
from daemon.monitors import noise
from daemon.offline import asking, layouts, lesson, numbers, publishing, recorded, results
from daemon.offline.folder import Folder
from daemon.offline.numbers import Windows
from daemon.offline.terms import assuming
from daemon.policy import Policy
from daemon.ports import EXIT_CONFIG, Clock, Fatal
from daemon.shards import shard

PERIOD_MS = 3_600_000  # of windows that are no times
WAITS = Stream(grace=1, label_wait=0, lag=3)
UNKNOWN = (
    "the label noise is unknown: nothing is quarantined, and unquarantined labels are never "
    "balanced. --noise-rate assumes it, --audit measures it"
)


def prepare(
    arguments: argparse.Namespace, folder: Folder, console: Console, clock: Clock
) -> tuple[Session, int]:
    """The folder with recording, store, edition and lesson; and the rows of the file.

    Raises Fatal, ConfigError, BadCheckpoint.
    """
    if arguments.keep is None:
        hint = "say --keep 50% or a number of rows"
        raise Fatal("no --keep: nothing says how many rows to keep", code=EXIT_CONFIG, hint=hint)
    asked = asking.read(arguments, console, clock)
    given = Path(arguments.key) if arguments.key else None
    key = keyfile.read(given) if given else numbers.seeded(arguments.seed)
    windows: Windows = arguments.windows or Windows(shares=1)
    stream = msgspec.structs.replace(WAITS, period_ms=windows.period_ms or PERIOD_MS)
    rows = asked.rows
    if windows.period_ms:
        layout = layouts.timed(rows, asked.policy, stream)
    else:
        layout = layouts.counted(rows, windows.shares, stream)
    truths = numbers.truths(Path(arguments.audit)) if arguments.audit else {}
    answers = publishing.answers_of(rows, asked.policy, key, truths) if truths else (0, 0)
    capacity = arguments.keep.rows(rows.count, len(layout.sizes))
    largest = max(layout.sizes.values())
    if capacity > largest:
        console.say(f"note: room for {capacity} rows of a window, the largest has {largest}")
    policy = noisy(asked.policy, arguments.noise_rate, answers, console)
    asked = asked.under(msgspec.structs.replace(policy, capacity_rows=capacity))
    folder.claim(
        [
            rows.digest, rows.where, asked.policy, asked.checkpoint,
            tables.digest(key.hex()), windows, answers, arguments.history, arguments.reference,
            arguments.trusted,
        ]
    )  # fmt: skip
    if given is None:
        results.write(folder.key, key)
    folder.configure(asked.policy, stream, given or folder.key, asked.threads)
    if not folder.recorded:
        recorded.write(folder.recording, layout.topics, layout.placed(), layout.closings)
    config = load(folder.config)
    session = Session(config, console, clock)
    publishing.publish_for(session, asked, arguments, key, layout.lesson)
    with closing(session.source()) as source:
        lesson.teach(session, source, stream, min(layout.sizes), layout.lesson, answers, key)
    # another one: a registry reads what its store knows once
    return Session(config, console, clock), rows.count


def noisy(policy: Policy, rate: float | None, answers: tuple[int, int], console: Console) -> Policy:
    """The policy with what is known of the noise, or a loud word that nothing is."""
    answered, wrong = answers
    if rate is not None:
        return assuming(policy, rate)
    if answered >= policy.quarantine.minimum_answers:
        found = noise.wilson(wrong, answered)
        console.say(
            f"label noise {found.estimate:.3f} ({found.low:.3f} to {found.high:.3f}), of "
            f"{answered} answers"
        )
        # answers fade from window to window: their bound stays
        return assuming(policy, found.high)
    if answered or policy.quarantine.assumed_rate is None:
        few = f"{answered} answers of {policy.quarantine.minimum_answers} that are needed; "
        console.say(f"warning: {few if answered else ''}{UNKNOWN}", "no_noise", level="warning")
    return policy


def replay(session: Session, folder: Folder, total: int) -> None:
    """The loop to its end, then what was kept; or a word where a signal ended it before."""
    console, source = session.console, session.source()
    with console.progress("selecting", total) as bar:
        teller = Teller(console, bar.advance)
        with Service(session, source, teller, version()) as service:
            ended = runner.serve(session, source, service, teller)
    if not ended:
        console.say("stopped: call it again to go on")
        return
    ids, lines = [], []
    for window in session.history().windows():
        manifest = session.registry.manifest(window)
        if not manifest.counts["records"]:
            continue  # the lesson
        columns, _ = tables.decode(session.registry.store.get(manifest.rows_object))
        pairs = zip(columns["id"], columns["arms"], strict=True)
        ids += [name for name, arms in pairs if "selected" in arms]
        lines.append(told(manifest))
    results.write(folder.kept, "".join(numbers.line(name) for name in ids).encode())
    console.table(
        ("window", "rows", "kept", "suspect", "refused", "contradicting", "cold", "shard"), lines
    )
    console.say(f"kept {len(ids)} of {total} rows: {folder.kept}")
    console.say(f"look at it: sluice report last -c {folder.config}")


def told(manifest: shard.ShardManifest) -> tuple[int | str | None, ...]:
    """A line of the outcome."""
    counts = manifest.counts
    accepted, suspect = counts.get("accepted", 0), counts.get("suspect", 0)
    return (
        manifest.window, counts["records"], manifest.arms.get("selected", 0), suspect,
        counts["records"] - accepted - suspect, manifest.contradictions, manifest.cold or None,
        manifest.rows_object,
    )  # fmt: skip
