"""What most commands begin with: the configuration, and the store and source that it names."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import cast

import msgspec

from daemon.clock import SystemClock
from daemon.config import keyfile, places
from daemon.config import reader as config
from daemon.config.settings import Config
from daemon.console import Console
from daemon.derived.history import History
from daemon.policy import Policy
from daemon.ports import EXIT_CONFIG, EXIT_STATE, Clock, Fatal, Missing, Source, Store
from daemon.registry.registry import Registry
from daemon.running.engines import Engines
from daemon.shards import shard
from scoring import kinds

VARIABLE = "SLUICE_CONFIG"
DIGITS = re.compile(r"[0-9]{1,12}")  # as many as the names of objects have room for


def config_argument(parser: argparse.ArgumentParser) -> None:
    """`-c FILE`, or the environment, or ./sluice.yaml."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        default=os.environ.get(VARIABLE) or "sluice.yaml",
        help=f"configuration (default: ${VARIABLE}, else ./sluice.yaml)",
    )


def count(least: int) -> Callable[[str], int]:
    """The type of an argument that is a whole number, and not too small."""

    def read(text: str) -> int:
        if DIGITS.fullmatch(text) is None or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be a whole number, {least} or more")
        return int(text)

    return read


@dataclass(slots=True, eq=False)
class Session:
    """One command at work. Store, key and source open when they are first asked for."""

    config: Config
    console: Console
    clock: Clock
    _registry: Registry | None = None
    _engines: Engines | None = None

    @property
    def key(self) -> bytes:
        """The secret, from its file."""
        return keyfile.read(keyfile.find(self.config.keys, os.environ))

    @property
    def threads(self) -> int:
        """Of the model; one per core unless the configuration says otherwise."""
        return self.config.process.threads or os.cpu_count() or 1

    @property
    def registry(self) -> Registry:
        if self._registry is None:
            spec = self.config.store
            store = cast(Store, kinds.load("daemon.stores", spec.kind, spec.options))
            self._registry = Registry(store)
        return self._registry

    @property
    def engines(self) -> Engines:
        if self._engines is None:
            self._engines = Engines(self.registry.store, self.key, threads=self.threads)
        return self._engines

    def source(self) -> Source:
        """A new source; the caller closes it."""
        spec = self.config.source
        return cast(Source, kinds.load("daemon.sources", spec.kind, spec.options))

    def history(self) -> History:
        """What the store has settled, read with the key that it was begun with. Raises Fatal."""
        self.check()
        return History(self.registry, self.engines)

    def check(self) -> None:
        """A run was here, under this key; nothing is written. Raises Fatal with EXIT_STATE."""
        if self.registry.genesis is None:
            raise Fatal(
                "this store is empty: nothing was run here",
                code=EXIT_STATE,
                hint="`sluice publish CHECKPOINT_FOLDER`, then `sluice run`; or name another store",
            )
        key_id = self.config.policy.key_id
        try:
            found = msgspec.json.decode(self.registry.store.get(f"keys/{key_id}.json"), type=str)
        except (Missing, msgspec.DecodeError):
            return  # a store that was copied without it: there is nothing to compare with
        if found != hashlib.sha256(b"sluice key\0" + self.key).hexdigest():
            raise Fatal(
                f"the secret of key {key_id} is not the one this store was begun with",
                code=EXIT_STATE,
                hint="keys.file names the secret; identities and draws depend on it",
            )

    def policy(self, file: str | None) -> Policy:
        """The policy of another configuration file, or this one's."""
        return load(Path(file)).policy if file else self.config.policy

    def window(self, text: str) -> int:
        """A window by number, `last`, or a path or object name that holds it. Raises Fatal."""
        windows = list(shard.windows(self.registry.store.list(shard.PREFIX)))
        if text == "last" and windows:
            return windows[-1]
        numbers = [int(part) for part in reversed(Path(text).parts) if DIGITS.fullmatch(part)]
        if text != "last" and not numbers:
            raise Fatal(
                f"{text!r} names no window",
                code=EXIT_CONFIG,
                hint="give its number, `last`, or a path that holds the number",
            )
        for number in numbers:
            if number in windows:
                return number
        near = f"the store has {windows[0]} to {windows[-1]}" if windows else "the store has none"
        raise Fatal(f"there is no shard {text}", code=EXIT_STATE, hint=near)


def open_session(arguments: argparse.Namespace, console: Console) -> Session:
    """Read the configuration. Raises ConfigError, and Fatal where there is none."""
    return Session(load(Path(arguments.config)), console, SystemClock())


def version() -> str:
    """Of this installation, as letters and metrics name it."""
    try:
        return metadata.version("utterance-sluice")
    except metadata.PackageNotFoundError:
        return "checkout"


def look(config: Config) -> list[places.Seen]:
    """What stands at the paths that a configuration names, on this machine."""
    return list(places.look(config, os.environ))


def load(path: Path) -> Config:
    """Of a file that a command names. Raises ConfigError, and Fatal where there is none."""
    if not os.path.lexists(path):
        raise Fatal(
            f"there is no configuration file {path}",
            code=EXIT_CONFIG,
            hint="`sluice config show > sluice.yaml` makes one to start from; -c names another",
        )
    return config.load(path)
