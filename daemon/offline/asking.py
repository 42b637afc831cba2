"""What both commands for files are asked: which rows, under which policy, by which checkpoint."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import msgspec
from msgspec import UNSET, UnsetType

from daemon.commands import others
from daemon.commands.others import fit
from daemon.commands.session import Session, count, load
from daemon.config import reader
from daemon.console import Console
from daemon.offline.dataset import DataSet
from daemon.policy import Engine as EngineSpec
from daemon.policy import Kind, Policy, RecordMap
from daemon.ports import EXIT_CONFIG, Clock, Fatal
from scoring import checkpoints, kinds
from scoring.manifest import Checkpoint, is_digest
from scoring.models.base import ENGINES
from scoring.types import Score

LABEL = "label"  # where labels stand if nobody says otherwise


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments that both commands have."""
    parser.add_argument(
        "file", metavar="FILE", help="rows: .jsonl, .jsonl.gz, .jsonl.zst, .parquet"
    )
    parser.add_argument(
        "--checkpoint", metavar="DIR|DIGEST",
        help="a folder, or a published one of the store that --policy names",
    )  # fmt: skip
    parser.add_argument(
        "-c", "--config", "--policy", dest="policy", metavar="FILE",
        help="a configuration, or `policy:` alone (default: the defaults, with label: label)",
    )  # fmt: skip
    parser.add_argument(
        "--map", action="append", metavar="FIELD=PATH",
        help="where a field of policy.record stands in a row: --map label=intent",
    )  # fmt: skip
    parser.add_argument(
        "--where", metavar="PATH=VALUE", help="only rows that say so: --where split=train"
    )
    others.add(parser)
    parser.add_argument("--threads", type=count(1), metavar="N", help="default: one per core")


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """The rows, the policy they are read by, and the checkpoint."""

    rows: DataSet
    policy: Policy
    checkpoint: Checkpoint
    blobs: Mapping[str, bytes]
    threads: int

    def scoring(self, names: Sequence[str]) -> Asked:
        """The same under a policy of these scores, which weighs none. Raises Fatal where one of
        them needs a label and the mapping says of none."""
        made = [cast(Score, kinds.load("scoring.scores", name, {})) for name in names]
        needing = ", ".join(score.name for score in made if "label" in score.needs)
        if needing and self.policy.record.label is None:
            raise Fatal(
                f"{needing}: needs a label, and policy.record.label says of none",
                code=EXIT_CONFIG,
                hint="--map label=FIELD names it",
            )
        scores = tuple(Kind(name) for name in names)
        policy = msgspec.structs.replace(
            self.policy, scores=scores, select=Kind("uniform"), cascade=UNSET
        )
        return self.under(policy)

    def flat(self) -> Asked:
        """The same where every row gets the scores of a cascade, if there is one."""
        if isinstance(cascade := self.policy.cascade, UnsetType):
            return self
        scores = (*self.policy.scores, *cascade.scores)
        return self.under(msgspec.structs.replace(self.policy, scores=scores, cascade=UNSET))

    def under(self, policy: Policy) -> Asked:
        """The same under another policy."""
        return replace(self, policy=policy)


def read(arguments: argparse.Namespace, console: Console, clock: Clock) -> Asked:
    """Raises Fatal, ConfigError, BadCheckpoint."""
    if arguments.checkpoint is None:
        raise Fatal(
            "no --checkpoint: nothing says which model scores the rows",
            code=EXIT_CONFIG,
            hint="name its folder, or the digest of a published one",
        )
    policy = mapped(policy_of(arguments.policy), arguments.map)
    if is_digest(arguments.checkpoint) and not os.path.exists(arguments.checkpoint):
        if arguments.policy is None:
            raise Fatal(
                "a digest names a checkpoint of a store, and no store is known",
                code=EXIT_CONFIG,
                hint="-c names a configuration whose store has it; or give the folder",
            )
        store = Session(load(Path(arguments.policy)), console, clock).registry.store
        files = checkpoints.load(store, arguments.checkpoint)
        checkpoint, blobs = checkpoints.read_checkpoint(store, arguments.checkpoint), files.blobs
    else:
        checkpoint, blobs = _folder(Path(arguments.checkpoint))
    if arguments.policy is None:
        engine = EngineSpec(kind=ENGINES[checkpoint.format])
        policy = msgspec.structs.replace(policy, engine=engine)
    fit(checkpoint.format, policy)
    rows = DataSet(Path(arguments.file), policy.record.id, where(arguments.where))
    return Asked(rows, policy, checkpoint, blobs, arguments.threads or os.cpu_count() or 1)


def policy_of(file: str | None) -> Policy:
    """Of the file; without one the defaults, with labels in a field of that name."""
    if file is None:
        return Policy(record=RecordMap(label=LABEL))
    if not os.path.exists(file):
        hint = "`sluice config show` prints a configuration; its part `policy:` is enough here"
        raise Fatal(f"there is no policy file {file}", code=EXIT_CONFIG, hint=hint)
    return reader.load_policy(Path(file))


def mapped(policy: Policy, changes: Sequence[str] | None) -> Policy:
    """The policy with fields of its mapping as --map says."""
    fields = [field for field in RecordMap.__struct_fields__ if field != "signals"]
    record = msgspec.to_builtins(policy.record)
    for change in changes or ():
        field, equal, path = change.partition("=")
        if not equal or field not in fields:
            hint = f"write FIELD=PATH, of {', '.join(fields)}"
            raise Fatal("--map names no field", code=EXIT_CONFIG, hint=hint)
        record[field] = path or None
    try:
        made = msgspec.convert(record, RecordMap)
    except msgspec.ValidationError:
        hint = "a path is names joined by dots, such as request.text; id and text need one"
        raise Fatal("--map names no path", code=EXIT_CONFIG, hint=hint) from None
    return msgspec.structs.replace(policy, record=made)


def where(text: str | None) -> tuple[str, str] | None:
    """What --where says."""
    if text is None:
        return None
    path, equal, value = text.partition("=")
    if not path or not equal:
        hint = "write PATH=VALUE, such as split=train"
        raise Fatal("--where says nothing of a field", code=EXIT_CONFIG, hint=hint)
    return path, value


def _folder(path: Path) -> tuple[Checkpoint, Mapping[str, bytes]]:
    if not path.is_dir():
        raise Fatal(
            f"{path} is no folder of a checkpoint",
            code=EXIT_CONFIG,
            hint="it holds model.safetensors or model.onnx, and its tokenizer; or give a digest "
            "of 64 hexadecimal digits",
        )
    return checkpoints.read_directory(path, name=path.name[:64])
