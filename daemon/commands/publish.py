"""sluice publish: a checkpoint passes its gates and becomes an edition, with a policy.

    sluice publish checkpoints/2024-06-01 --sample recent.jsonl
    sluice publish checkpoints/2024-06-02 --from 2024-06-02T12:00Z --policy next.yaml
    sluice publish --watch checkpoints/
    sluice publish runs/epoch-3 --history runs/epoch-1,runs/epoch-2

A window takes the highest edition whose first window has come; nothing that is pinned changes. A
checkpoint that is refused says why and exits 78; the edition before goes on. The sample (JSON
lines of text, and label and tags where known) makes the calibration half; without one, the audit
rows of the newest shards are scored. Findings go to standard error, the edition to standard output.
"""

from __future__ import annotations

import argparse
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from daemon.commands import others
from daemon.commands.published import show, tell
from daemon.commands.sample import read_sample, with_trusted
from daemon.commands.session import DIGITS, Session, config_argument, open_session
from daemon.config import weak
from daemon.console import Console
from daemon.lanes import pin as pins
from daemon.lanes.window import window_of
from daemon.ports import EXIT_CONFIG, EXIT_OK, EXIT_STATE, Fatal
from daemon.registry.publish import Published, Refused, publish, recent_sample
from scoring import checkpoints
from scoring.manifest import BadCheckpoint
from scoring.models.base import BadModel

WATCH_SECONDS = 2.0


def add(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("folder", nargs="?", metavar="FOLDER", help="checkpoint to publish")
    what.add_argument("--watch", metavar="FOLDER", help="publish every folder that appears in it")
    parser.add_argument("--policy", metavar="FILE", help="take the policy of this configuration")
    parser.add_argument("--sample", metavar="FILE", help="JSON lines of text, label and tags")
    parser.add_argument(
        "--from",
        dest="first",
        metavar="TIME",
        help="first window: an ISO 8601 time, or a window number (default: the next window)",
    )
    parser.add_argument(
        "--allow-missing-labels", action="store_true", help="the new model may know fewer intents"
    )
    others.add(parser)
    parser.add_argument("--json", action="store_true", help="the edition as a JSON object")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Raises Fatal, BadCheckpoint, ConfigError."""
    if not arguments.watch:
        session = open_session(arguments, console)
        outcome = one(session, Path(arguments.folder), arguments)
        show(console, outcome, as_json=arguments.json)
        return EXIT_STATE if isinstance(outcome, Refused) else EXIT_OK
    console.serve()
    session, place = open_session(arguments, console), Path(arguments.watch)
    if not place.is_dir():
        raise Fatal(f"{place} is no folder to watch", code=EXIT_CONFIG, hint="make it first")
    console.say(f"watching {place}; Ctrl-C ends it", event="watching")
    return watch(session, place, arguments)


def watch(session: Session, place: Path, arguments: argparse.Namespace) -> int:
    """Publish every folder that appears, once it no longer changes. Ends by a signal."""
    before: dict[str, Seen] = {}
    done: dict[str, Seen] = {}
    while True:
        now = {p.name: seen(p) for p in sorted(place.iterdir()) if p.is_dir() and p.name[0] != "."}
        for name, state in now.items():
            # two looks alike: nobody is still copying; refused ones are tried when they change
            if state and before.get(name) == state and done.get(name) != state:
                done[name] = state
                try:
                    outcome = one(session, place / name, arguments)
                except (BadCheckpoint, BadModel, others.Misfit) as error:
                    session.console.say(f"{name} refused: {error}", "refused", level="warning")
                else:
                    show(session.console, outcome, as_json=arguments.json)
        before = now
        session.clock.sleep(WATCH_SECONDS)


Seen = tuple[tuple[str, int, int], ...]  # name, size and time of each file


def seen(folder: Path) -> Seen:
    """What tells whether a folder changed between two looks."""
    found = []
    with suppress(FileNotFoundError):  # it is being moved: the next look will tell
        for path in sorted(folder.iterdir()):
            status = path.lstat()
            found.append((path.name, status.st_size, status.st_mtime_ns))
    return tuple(found)


def one(session: Session, folder: Path, arguments: argparse.Namespace) -> Published | Refused:
    """Publish a folder, and say what its gates found."""
    if not folder.is_dir():
        raise Fatal(
            f"{folder} is no folder",
            code=EXIT_CONFIG,
            hint="a checkpoint is a folder with model.safetensors or model.onnx, and its tokenizer",
        )
    checkpoint, blobs = checkpoints.read_directory(folder, name=folder.name[:64])
    registry, policy = session.registry, session.policy(arguments.policy)
    others.fit(checkpoint.format, policy)
    first = first_window(session, arguments.first)
    sample = read_sample(Path(arguments.sample)) if arguments.sample else recent_sample(registry)
    sample = with_trusted(sample, arguments)
    outcome = publish(
        registry,
        checkpoint,
        blobs,
        policy,
        first_window=first,
        sample=sample,
        allow_missing_labels=arguments.allow_missing_labels,
        threads=session.threads,
        others=others.named(session, arguments, policy),
    )
    tell(session.console, outcome)
    for line in weak.published(policy, checkpoint.name):
        session.console.say(f"note: {line}", event="weak_labels")
    newest = max((int(Path(n).stem) for n in registry.store.list(pins.PREFIX)), default=-1)
    if isinstance(outcome, Published) and outcome.edition.first_window <= newest:
        session.console.say(
            f"note: windows up to {newest} are pinned already and keep their edition"
        )
    return outcome


def first_window(session: Session, text: str | None) -> int:
    """A window number, an ISO time, or the window after the one that is now."""
    genesis = session.registry.genesis  # it decides, whatever the configuration says
    period = genesis.period_ms if genesis else session.config.stream.period_ms
    if text is None:
        return window_of(int(session.clock.now() * 1000), period) + 1
    if DIGITS.fullmatch(text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Fatal(
            f"--from {text!r} is no time",
            code=EXIT_CONFIG,
            hint="write 2024-06-01T12:00Z, or the number of a window",
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return window_of(int(moment.timestamp() * 1000), period)
