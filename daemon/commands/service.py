"""What surrounds the loop of a process: metrics, health, watchdog, letters and announcements."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Self, cast

from daemon.commands.session import Session
from daemon.commands.telling import Teller, everybody, measure, watch
from daemon.health.server import Server
from daemon.health.state import Condition, Health
from daemon.health.watchdog import Watchdog
from daemon.lanes.genesis import Genesis
from daemon.metrics import past
from daemon.metrics.metrics import Metrics
from daemon.policy import Kind
from daemon.ports import EXIT_BUG, Outlet, Source
from daemon.registry.registry import Registry
from daemon.running.breaker import Breaker
from daemon.running.outgoing import Announcer, Letters
from scoring import kinds


class Service:
    """A `with` block around everything that a process does between start and stop."""

    def __init__(self, session: Session, source: Source, teller: Teller, version: str) -> None:
        config, clock = session.config, session.clock
        self._session, self._closing = session, ExitStack()
        self.metrics = Metrics(version, clock)
        self.health = Health(clock, config.http.live_seconds)
        seconds = config.process.watchdog_seconds
        self._watchdog = Watchdog(clock, seconds, self._bite) if seconds else None
        self.tell = everybody(
            teller.tell, measure(self.metrics), watch(self.health, source, self._beat)
        )
        letters, announcements = config.dead_letters, config.announcements
        self.letters = self.announcer = None
        if letters.outlet is not None:
            outlet = self._outlet(letters.outlet)
            self.letters = Letters(
                outlet, self.tell, version=version, payload_bytes=letters.kept_bytes
            )
        if announcements.outlet is not None:
            outlet = self._outlet(announcements.outlet)
            base = config.announced_base
            self.announcer = Announcer(outlet, session.registry, self.tell, base=base)
        self.breaker = Breaker(letters.breaker_share, letters.breaker_records)

    def _outlet(self, spec: Kind) -> Outlet:
        made = cast(Outlet, kinds.load("daemon.outlets", spec.kind, spec.options))
        self._closing.callback(made.close)
        made.flush()  # nothing is read before it is known that letters could go
        return made

    def _beat(self) -> None:
        if self._watchdog is not None:
            self._watchdog.beat()

    def _bite(self, seconds: float) -> None:
        """A loop that hangs is ended: whole objects only are durable, and a restart reads on."""
        self._session.console.log("hangs", level="error", seconds=round(seconds))
        os._exit(EXIT_BUG)

    def founded(self, genesis: Genesis, registry: Registry) -> None:
        """The genesis is known, and the engines are about to load."""
        self.metrics.founded(genesis, registry.editions)
        self.metrics.recall(past.recalled(registry))
        self.health.tell(Condition.GENESIS, True)

    def begin(self) -> None:
        """The loop begins: from now on it is watched."""
        self.health.tell(Condition.ENGINES, True)
        if self._watchdog is not None:
            self._closing.enter_context(self._watchdog)

    def leave(self) -> None:
        """A signal asked the process to leave."""
        self.health.tell(Condition.RUNNING, False)

    def __enter__(self) -> Self:
        if self._session.config.http.port is not None:
            server = Server(self._session.config.http, self.health, self.metrics)
            port = self._closing.enter_context(server).start()
            self._session.console.log("serving", port=port, bind=self._session.config.http.bind)
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.close()
