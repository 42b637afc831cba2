"""Checkpoints that an edition names beside its own: by digest, or as folders that are stored first.

A trainer's earlier checkpoints never decided a window, so no edition has named them: given as
folders they become objects of the store, which the new edition names.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from daemon.commands.session import Session
from daemon.policy import Policy
from daemon.ports import EXIT_CONFIG, EXIT_STATE, Fatal
from daemon.registry.publish import Others
from scoring import checkpoints
from scoring.models.base import ENGINES, FormatKind


class Misfit(Fatal):
    """A checkpoint in a form that the policy's engine does not read."""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--history",
        metavar="LIST",
        help="earlier checkpoints that aum, forgetting, vog ... read, oldest first, with commas "
        "between: folders, or digests in the store (default: of the editions before, as many as "
        "policy.history says)",
    )
    parser.add_argument(
        "--reference",
        metavar="CHECKPOINT",
        help="checkpoint of held-out rows alone that rho_loss reads: a folder, or a digest",
    )
    parser.add_argument(
        "--trusted",
        metavar="FILE",
        help="JSON lines of text and right label that the checkpoint did not train on: what helps "
        "with them is what score influence looks for",
    )


def named(session: Session, arguments: argparse.Namespace, policy: Policy) -> Others:
    """What the arguments name. Raises Fatal, BadCheckpoint."""
    listed = [text for text in (arguments.history or "").split(",") if text]
    history = tuple(stored(session, text, policy) for text in listed)
    if len(set(history)) < len(history):
        raise Fatal("--history names a checkpoint twice", code=EXIT_CONFIG, hint="name each once")
    reference = stored(session, arguments.reference, policy) if arguments.reference else ""
    return Others(history, reference)


def stored(session: Session, text: str, policy: Policy) -> str:
    """The digest of a folder, which is then in the store, or of a published checkpoint."""
    store, folder = session.registry.store, Path(text)
    if folder.is_dir():
        checkpoint, blobs = checkpoints.read_directory(folder, name=folder.name[:64])
        fit(checkpoint.format, policy)
        return checkpoints.put(store, checkpoint, blobs)
    digest = find(session, text)
    fit(checkpoints.read_checkpoint(store, digest).format, policy)
    return digest


def find(session: Session, start: str) -> str:
    """The one checkpoint in the store whose digest begins so. Raises Fatal."""
    found = [d for d in checkpoints.list_checkpoints(session.registry.store) if d.startswith(start)]
    if len(found) != 1:
        raise Fatal(
            f"{len(found) or 'no'} checkpoints begin with {start!r}",
            code=EXIT_STATE,
            hint="`sluice checkpoint list` shows them",
        )
    return found[0]


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
