"""sluice publish: a checkpoint passes its gates and becomes an edition, with a policy.

    sluice publish checkpoints/2024-06-01 --sample recent.jsonl
    sluice publish checkpoints/2024-06-02 --from 2024-06-02T12:00Z --policy next.yaml
    sluice publish --watch checkpoints/

A window takes the highest edition whose first window has come; nothing that is pinned changes. A
checkpoint that is refused says why and exits 78; the edition before goes on. The sample (JSON
lines of text, and label where known) makes the calibration half; without one, the audit rows of
the newest shards are scored. Findings go to standard error, the edition to standard output.
"""

from __future__ import annotations

import argparse
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from daemon.commands.sample import read_sample
from daemon.commands.session import DIGITS, Session, config_argument, open_session
from daemon.config import weak
from daemon.console import Console
from daemon.lanes import pin as pins
from daemon.lanes.window import window_of
from daemon.policy import Policy
from daemon.ports import EXIT_CONFIG, EXIT_OK, EXIT_STATE, Fatal
from daemon.registry.publish import Published, Refused, publish, recent_sample
from scoring import checkpoints
from scoring.manifest import BadCheckpoint
from scoring.models.base import ENGINES, BadModel, FormatKind
from scoring.remedies import REMEDIES

WATCH_SECONDS = 2.0


class Misfit(Fatal):
    """A checkpoint in a form that the policy's engine does not read."""


def add(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("folder", nargs="?", metavar="FOLDER", help="checkpoint to publish")
    what.add_argument("--watch", metavar="FOLDER", help="publish every folder that appears in it")
    parser.add_argument("--policy", metavar="FILE", help="take the policy of this configuration")
    parser.add_argument("--sample", metavar="FILE", help="JSON lines of text and label")
    parser.add_argument(
        "--from",
        dest="first",
        metavar="TIME",
        help="first window: an ISO 8601 time, or a window number (default: the next window)",
    )
    parser.add_argument(
        "--allow-missing-labels", action="store_true", help="the new model may know fewer intents"
    )
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
                except (BadCheckpoint, BadModel, Misfit) as error:
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
    fit(checkpoint.format, policy)
    first = first_window(session, arguments.first)
    sample = read_sample(Path(arguments.sample)) if arguments.sample else recent_sample(registry)
    outcome = publish(
        registry,
        checkpoint,
        blobs,
        policy,
        first_window=first,
        sample=sample,
        allow_missing_labels=arguments.allow_missing_labels,
        threads=session.threads,
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


def fit(form: FormatKind, policy: Policy) -> None:
    """The engine of the policy reads checkpoints of this form. Raises Misfit."""
    if ENGINES[form] != policy.engine.kind:
        hint = f"set policy.engine.kind to {ENGINES[form]}"
        if form == "hf":
            hint += ", or make an ONNX folder of it with `sluice checkpoint export`"
        raise Misfit(
            f"policy.engine.kind: {policy.engine.kind} runs no checkpoint in the form {form}",
            code=EXIT_CONFIG,
            hint=hint,
        )


def tell(console: Console, outcome: Published | Refused) -> None:
    """Each gate with its remedy, then the outcome."""
    for finding in outcome.verdict.findings:
        mark = "ok  " if finding.passed else ("warn" if finding.warning else "FAIL")
        console.say(f"  {mark} {finding.gate}: {finding.detail}", event="gate", gate=finding.gate)
        if not finding.passed:
            console.say(f"       {REMEDIES[finding.gate]}", event="remedy", gate=finding.gate)
    if isinstance(outcome, Published):
        e = outcome.edition
        # whatever its first window is, edition 0 decides until another one's has come
        since = f"from window {e.first_window}" if e.number else "from the genesis on"
        half = f"half from {outcome.sample_rows} rows" if e.half else "no half: cold at first"
        console.say(f"published edition {e.number}, {since}, {half}", event="published")
    else:
        console.say("refused: the edition before goes on", event="refused", level="warning")


def show(console: Console, outcome: Published | Refused, *, as_json: bool) -> None:
    """The edition, if there is one, as a result."""
    if isinstance(outcome, Published):
        e = outcome.edition
        console.table(
            ("edition", "checkpoint", "classes", "from_window", "half_rows"),
            [(e.number, e.checkpoint, len(e.classes), e.first_window, outcome.sample_rows)],
            as_json=as_json,
        )


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
