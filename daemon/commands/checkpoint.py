"""sluice checkpoint: what is published, and HF -> ONNX export with a printed parity check.

    sluice checkpoint list
    sluice checkpoint show 3f9c12
    sluice checkpoint export hf-folder onnx-folder

The export reads and writes folders; `sluice publish` takes what it wrote.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from daemon.commands.others import find
from daemon.commands.published import honesty
from daemon.commands.session import Session, config_argument, open_session
from daemon.console import Console
from daemon.ports import EXIT_CONFIG, EXIT_OK, EXIT_WRITE, Fatal
from scoring import checkpoints, export
from scoring.models import graph
from scoring.models.selftest import PROBES


def add(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="every checkpoint in the store")
    config_argument(listing)
    show = actions.add_parser("show", help="one checkpoint: labels, files, digests, calibration")
    config_argument(show)
    show.add_argument("digest", metavar="DIGEST", help="digest, or its first characters")
    out = actions.add_parser("export", help="a Hugging Face folder as ONNX: no torch to score")
    out.add_argument("folder", metavar="HF_FOLDER")
    out.add_argument("target", metavar="ONNX_FOLDER", help="is created")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Raises Fatal, BadCheckpoint."""
    if arguments.action == "export":
        _export(Path(arguments.folder), Path(arguments.target), console)
        return EXIT_OK
    session = open_session(arguments, console)
    if arguments.action == "list":
        _list(session)
    else:
        _show(session, arguments.digest)
    return EXIT_OK


def _list(session: Session) -> None:
    registry = session.registry
    registry.read_editions()
    used: dict[str, list[int]] = {}
    for number, edition in registry.editions.items():
        used.setdefault(edition.checkpoint, []).append(number)
    rows = []
    for digest in checkpoints.list_checkpoints(registry.store):
        checkpoint = checkpoints.read_checkpoint(registry.store, digest)
        size = sum(file.bytes for file in checkpoint.files) / 1e6
        editions = ", ".join(map(str, used.get(digest, [])))
        rows.append(
            (digest[:12], checkpoint.name, checkpoint.format, len(checkpoint.labels),
             f"{size:.1f}", editions)
        )  # fmt: skip
    session.console.table(("digest", "name", "format", "labels", "MB", "editions"), rows)


def _show(session: Session, start: str) -> None:
    registry, digest = session.registry, find(session, start)
    checkpoint = checkpoints.read_checkpoint(registry.store, digest)
    console = session.console
    console.write(
        f"{digest}: {checkpoint.format}, texts cut at {checkpoint.max_length} tokens\n"
        f"labels: {', '.join(checkpoint.labels)}\n"
    )
    registry.read_editions()
    for number, edition in registry.editions.items():
        if edition.checkpoint == digest and (line := honesty(edition)):
            console.write(f"edition {number}: {line}\n")
    files = [(file.name, file.bytes, file.sha256) for file in checkpoint.files]
    console.table(("file", "bytes", "sha256"), files)


def _export(folder: Path, target: Path, console: Console) -> None:
    if os.path.lexists(target):
        raise Fatal(f"{target} exists already", code=EXIT_CONFIG, hint="name a new folder")
    if not folder.is_dir():
        raise Fatal(f"{folder} is no folder", code=EXIT_CONFIG)
    checkpoint, blobs = checkpoints.read_directory(folder)
    files = checkpoints.as_files(checkpoint, blobs)
    exported, made = export.export(files, folder.name[:64])
    try:
        target.mkdir(parents=True)
        for name, data in made.items():
            (target / name).write_bytes(data)
    except OSError as error:
        raise Fatal(
            f"cannot write {target}: {error.strerror}", code=EXIT_WRITE, hint="name another folder"
        ) from None
    console.write(f"{target}\n")
    console.say(f"wrote {', '.join(sorted(made))}")
    try:
        distance = graph.parity(checkpoints.as_files(exported, made), files, PROBES)
    except ImportError:
        console.say("parity: not checked, it needs torch: pip install 'utterance-sluice[torch]'")
    else:
        console.say(f"parity: probabilities differ by at most {distance:.2e}, torch against ONNX")
