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
from contextlib import suppress
from types import FrameType

from daemon.commands.service import Service
from daemon.commands.session import Session, config_argument, open_session, version
from daemon.commands.telling import Teller
from daemon.console import Console
from daemon.loop import Loop
from daemon.ports import EXIT_OK, EXIT_STATE, CannotRun, Fatal, Source
from daemon.registry import bundle
from daemon.running import start
from daemon.stores import local, prove

SECOND_SIGNAL = 130


def add(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Raises Fatal."""
    console.serve()
    with signals():
        work(open_session(arguments, console))
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
            code=EXIT_STATE,
            hint="publish one first: sluice publish CHECKPOINT_FOLDER",
        )
    registry.check_key(session.config.policy.key_id, session.key)
    teller = Teller(console, progress)
    with Service(session, source, teller, version()) as service:
        return serve(session, source, service, teller)


def serve(session: Session, source: Source, service: Service, teller: Teller) -> bool:
    """The loop, from the genesis to the end."""
    registry, config, console = session.registry, session.config, session.console
    genesis = start.found(source, registry, config.stream, session.clock)
    registry.start()
    service.founded(genesis, registry)
    for lane in sorted(entry.lane for entry in genesis.lanes):
        if lane not in {info.lane for info in source.lanes()}:
            service.tell("absent", {"lane": str(lane)})
    loop = Loop(
        source, registry, session.engines, session.clock, config.process, service.tell,
        letters=service.letters, announcer=service.announcer, breaker=service.breaker,
    )  # fmt: skip
    console.log(
        "started", lanes=len(genesis.lanes), first_window=genesis.first_window,
        editions=len(registry.editions), process=os.getpid(),
    )  # fmt: skip
    with suppress(CannotRun):  # a pin that names it says so, and lanes wait for another image
        engine = session.engines.of(registry.editions[max(registry.editions)])
        if engine.passes > 1:
            console.log("several_passes", checkpoints=engine.passes)
    service.begin()
    with signals(loop, service.leave):
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


class signals:  # noqa: N801 - reads as a `with` block
    """The first SIGTERM or SIGINT asks the loop to stop; the second ends the process at once.

    Without a loop nothing is at hand yet: the first one ends it.
    """

    def __init__(
        self, loop: Loop | None = None, leave: Callable[[], None] = lambda: None
    ) -> None:
        self._loop, self._leave = loop, leave
        self._before: dict[int, object] = {}

    def _received(self, number: int, frame: FrameType | None) -> None:
        if self._loop is None:
            os._exit(EXIT_OK)
        if self._loop.stopping:
            os._exit(SECOND_SIGNAL)  # whole objects only are durable: nothing to clean up
        self._leave()
        self._loop.stop()

    def __enter__(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._received)

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
