"""sluice run: read the source, score, select, and write shards until it ends or is told to stop.

    sluice run -c sluice.yaml

SIGTERM or SIGINT finish what is on its way and exit 0; a second one exits at once. Whatever stops
it, the next start resumes at the end of each lane's newest part: a crash costs at most one window.
"""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Callable
from types import FrameType

from daemon.commands.session import Session, config_argument, open_session
from daemon.console import Console
from daemon.learning.rules import COLD
from daemon.loop import Loop
from daemon.ports import EXIT_CONFIG, EXIT_OK, Fatal, Source
from daemon.registry import bundle
from daemon.running import start
from daemon.stores import local, prove

SECOND_SIGNAL = 130


def add(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Raises Fatal."""
    session = open_session(arguments, console)
    work(session)
    return EXIT_OK


def work(session: Session, progress: Callable[[int], None] | None = None) -> bool:
    """Run to the end (True) or until a signal (False). `progress` is told of records done."""
    registry, console = session.registry, session.console
    prove(registry.store)
    source = session.source()
    obey(session, source)
    registry.read_editions()
    if not registry.editions:
        raise Fatal(
            "this store has no edition: nothing says which checkpoint scores",
            code=EXIT_CONFIG,
            hint="publish one first: sluice publish CHECKPOINT_FOLDER",
        )
    registry.check_key(session.config.policy.key_id, session.key)
    genesis = start.found(source, registry, session.config.stream, session.clock)
    registry.start()
    teller = Teller(console, progress)
    loop = Loop(
        source, registry, session.engines, session.clock, session.config.process, teller.tell
    )
    console.log(
        "started", lanes=len(genesis.lanes), first_window=genesis.first_window,
        editions=len(registry.editions), process=os.getpid(),
    )  # fmt: skip
    with signals(loop):
        ended = loop.run()
    console.log("stopped", ended=ended, records=teller.records, shards=teller.shards)
    return ended


def obey(session: Session, source: Source) -> None:
    """Take over what decided a recorded run, or say that it is derived anew."""
    recording = getattr(source, "recording", None)
    if recording is None:
        return
    if recording.registry is None:
        session.console.log("replay", decisions="derived_anew")
        return
    recorded = local.build(local.Options(str(recording.registry)))
    copied = bundle.copy_decisions(recorded, session.registry.store)
    session.registry.reload()
    session.console.log("replay", decisions="recorded", objects=copied)


class Teller:
    """Facts of the loop as log lines; counts what it need not say each time."""

    def __init__(self, console: Console, progress: Callable[[int], None] | None = None) -> None:
        self._console, self._progress = console, progress
        self.records = self.shards = 0
        self._cold = ""

    def tell(self, event: str, facts: dict[str, object]) -> None:
        """The loop's listener."""
        if event == "absorbed":
            self.records += int(str(facts["records"]))
            if self._progress is not None:
                self._progress(int(str(facts["records"])))
            return
        if event == "shard":
            self.shards += 1
            cold = str(facts["cold"])
            if cold and cold != self._cold:
                self._console.say(f"window {facts['window']} is selected uniformly: {COLD[cold]}")
            self._cold = cold
            self._warn(facts)
        if self._progress is None:  # a bar says it already
            fields = {k: v for k, v in facts.items() if isinstance(v, int | float | str)}
            self._console.log(event, **fields)

    def _warn(self, facts: dict[str, object]) -> None:
        """A window of which nothing was accepted: rarely the traffic, mostly the mapping."""
        if facts["worst_reason"] in ("", "suspect"):  # suspects were read, and go to review
            return
        if facts["refused"] == facts["records"]:
            self._console.say(
                f"warning: all {facts['records']} records of window {facts['window']} were refused,"
                f" {facts['worst_count']} as {facts['worst_reason']}: does policy.record name the "
                "fields as the records do?"
            )


class signals:  # noqa: N801 - reads as a `with` block
    """The first SIGTERM or SIGINT asks the loop to stop; the second ends the process at once."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._before: dict[int, object] = {}

    def _received(self, number: int, frame: FrameType | None) -> None:
        if self._loop.stopping:
            os._exit(SECOND_SIGNAL)  # whole objects only are durable: nothing to clean up
        self._loop.stop()

    def __enter__(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._received)

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
