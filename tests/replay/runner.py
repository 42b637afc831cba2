"""Runs that die where they are told to: `python -m tests.replay.runner`, orders on stdin.

Each order (a line of JSON) is played by a forked process, so that imports are paid once and
SIGKILL hits a real process with a real store. Answers, a line each: how the process ended.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec

from daemon.config.settings import Stream
from daemon.policy import Policy
from daemon.ports import LaneId, Source, Store
from daemon.sources import replay
from daemon.stores import local
from tests.streams import World


class Order(msgspec.Struct, frozen=True):
    """A run over a store and a recording, and where it is to be killed."""

    store: str
    recording: str
    stream: Stream
    policy: Policy
    order: int  # in which the recording is read
    batch_records: int
    prefix: str = ""  # of the object's name; "" runs to the end
    suffix: str = ""
    nth: int = 1
    moment: str = "before"  # "before" | "linked" | "after" it is durable


class Report(msgspec.Struct, frozen=True):
    """How the process ended, and where its lanes stood when it began."""

    status: int  # of waitpid: 9 where it was killed
    stood: dict[str, int] = {}
    events: dict[str, int] = {}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Deadly:
    """A store that kills its process at the nth create of a name."""

    def __init__(self, store: Store, order: Order) -> None:
        self._store, self._order, self._left = store, order, order.nth
        self.get = store.get

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        return self._store.list(prefix, after)

    def create(self, name: str, data: bytes) -> bool:
        order = self._order
        hit = bool(order.prefix) and name.startswith(order.prefix) and name.endswith(order.suffix)
        self._left -= hit
        if not hit or self._left:
            return self._store.create(name, data)
        if order.moment == "before":
            die()
        if order.moment == "linked":  # written and synced under its temporary name
            with mock.patch.object(os, "link", new_callable=lambda: lambda *_, **__: die()):
                return self._store.create(name, data)
        created = self._store.create(name, data)
        die()
        return created


class Watched:
    """A source that remembers where each lane was sought last before the first record."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.stood: dict[str, int] = {}
        self.begun = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def seek(self, lane: LaneId, position: int) -> None:
        if not self.begun:
            self.stood[str(lane)] = position
        self._source.seek(lane, position)


def play(order: Order, answer: int) -> None:
    """In the child: run, and write the report before the end (or as far as it gets)."""
    store: Any = Deadly(local.build(local.Options(order.store)), order)
    options = replay.Options(order.recording, order=order.order, lanes_at_once=2)
    source: Any = Watched(replay.build(options))
    events: dict[str, int] = {}

    def tell(event: str, facts: dict[str, object]) -> None:
        if event != "polled" and not source.begun:
            source.begun = True
            os.write(answer, msgspec.json.encode(Report(0, source.stood)) + b"\n")
        events[event] = events.get(event, 0) + 1

    world = World(store, order.policy, order.stream)
    loop = world.loop(source, batch_records=order.batch_records, read_ahead=1, listener=tell)
    assert loop.run()
    os.write(answer, msgspec.json.encode(Report(0, source.stood, events)) + b"\n")


def serve() -> None:
    """Fork once for every order."""
    for line in sys.stdin.buffer:
        order = msgspec.json.decode(line, type=Order)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            code = 1
            try:
                play(order, writer)
                code = 0
            finally:
                os._exit(code)
        os.close(writer)
        with open(reader, "rb") as answers:
            said = [msgspec.json.decode(a, type=Report) for a in answers.read().splitlines()]
        status = os.waitpid(child, 0)[1]
        last = said[-1] if said else Report(0)
        report = msgspec.structs.replace(last, status=status)
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    assert Path("pyproject.toml").exists(), "run from the repository"
    serve()
