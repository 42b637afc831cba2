"""What a live demo needs around it: stores, configurations, and processes that may be killed."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar

import yaml

from daemon.clock import SystemClock
from daemon.commands.session import Session, load
from daemon.console import Console
from daemon.demo.stream import LABEL_TOPIC, TOPIC
from daemon.demo.world import Place
from daemon.derived.history import History
from daemon.lanes.genesis import Genesis
from daemon.recording.playback import Recording, open_recording
from daemon.registry.registry import Registry
from daemon.stores import local
from tests.house.tree import ROOT
from tests.kafka.broker import Broker

SECONDS = 600  # only a run that fails waits so long
DECIDED = ("editions/", "checkpoints/", "keys/")  # the genesis is the log's own
Found = TypeVar("Found")


def until(look: Callable[[], Found], check: Callable[[], None]) -> Found:
    """What `look` finds, once it is something."""
    deadline = time.monotonic() + SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come to its end"
        check()
        time.sleep(0.1)
    return found


def sluice(*words: object) -> str:
    """A command to its end; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "daemon", *map(str, words)],
        cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def history(config: Path) -> History:
    """What a store has settled."""
    console = Console(SystemClock(), errors=io.StringIO(), output=io.StringIO())
    return Session(load(config), console, SystemClock()).history()


def digests(folder: Path) -> dict[int, tuple[str, str, str]]:
    """window -> digests of its rows and selection, and what it taught."""
    found = {}
    for path in sorted((folder / "shards").glob("*/manifest.json")):
        manifest = json.loads(path.read_bytes())
        taught = json.dumps(manifest["calibration"], sort_keys=True)
        found[int(path.parent.name)] = (
            manifest["rows_digest"], manifest["selection_digest"], taught
        )  # fmt: skip
    return found


@dataclass
class Stage:
    """`place`: of the demo whose records are spoken; `work`: where this run's things are made."""

    place: Place
    work: Path
    broker: Broker

    @cached_property
    def recording(self) -> Recording:
        return open_recording(self.place.recording)

    @cached_property
    def _demo(self) -> dict[str, Any]:
        given = yaml.safe_load(self.place.config.read_text())
        assert isinstance(given, dict)
        return given

    @property
    def demo_period_ms(self) -> int:
        return int(self._demo["stream"]["period"]) * 1000

    def topics(self) -> None:
        """The recording's, with times of the broker."""
        utterances = [lane for lane in self.recording.lanes if lane.topic == TOPIC]
        self.broker.create(TOPIC, len(utterances))
        self.broker.create(LABEL_TOPIC, 1)

    def kafka(self, **options: Any) -> dict[str, Any]:
        """The live source."""
        given = {
            "bootstrap": [self.broker.bootstrap], "topics": [TOPIC], "label_topics": [LABEL_TOPIC],
            "group": "demo", "client": {"session_timeout_ms": 6_000},
        }  # fmt: skip
        return {"kind": "kafka", "options": given | options}

    def configured(self, name: str, source: dict[str, Any], period_ms: int) -> Path:
        """The demo's configuration over another source, store and period."""
        given = dict(self._demo) | {"source": source, "process": {"threads": 1}}
        given["store"] = {"kind": "local", "options": {"path": str(self.work / name)}}
        given["stream"] = given["stream"] | {"period": period_ms // 1000}
        path = self.work / f"{name}.yaml"
        path.write_text(yaml.safe_dump(given))
        return path

    def store(self, name: str) -> local.LocalStore:
        store = local.build(local.Options(str(self.work / name)))
        assert isinstance(store, local.LocalStore)
        return store

    def genesis(self, name: str) -> Genesis | None:
        return Registry(self.store(name)).genesis

    def copy_decisions(self, name: str) -> None:
        """The demo's editions decide."""
        origin, target = local.build(local.Options(str(self.place.store))), self.store(name)
        for prefix in DECIDED:
            for object_ in origin.list(prefix):
                target.create(object_, origin.get(object_))


class Group:
    """Processes of one group; a context that leaves none of them behind."""

    def __init__(self, config: Path, logs: Path) -> None:
        self._config, self._logs = config, logs
        self._running: list[subprocess.Popen[bytes]] = []
        self._begun = 0

    def begin(self, count: int = 1) -> None:
        for _ in range(count):
            self._begun += 1
            command = [sys.executable, "-m", "daemon", "run", "-c", str(self._config)]
            with (self._logs / f"process-{self._begun}.jsonl").open("wb") as log:
                self._running.append(subprocess.Popen(command, cwd=ROOT, stderr=log))

    def check(self) -> None:
        """Nobody has ended by himself."""
        codes = [process.poll() for process in self._running]
        assert codes == [None] * len(codes), f"a process ended with {codes}: see {self._logs}"

    def kill(self, number: int) -> None:
        """kill -9, and another one comes."""
        victim = self._running.pop(number)
        victim.kill()
        victim.wait()
        self.begin()

    def end(self) -> None:
        """SIGTERM: each ends in order."""
        for process in self._running:
            process.terminate()
        assert [process.wait(60) for process in self._running] == [0] * len(self._running)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._running:
            process.kill()
            process.wait()
