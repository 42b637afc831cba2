"""`sluice run` in processes of their own for benchmarks: the `table` model, a real broker."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import msgspec

from daemon.registry.registry import Registry
from daemon.stores import local
from tests.bench.bench_host import CLASSES, policy
from tests.house.tree import ROOT
from tests.kafka.broker import Broker, free_port, unique
from tests.streams import KEY, publish_table

SECONDS = 120


def quiet() -> None:
    """The client logs each connection that ends, also when we end the broker."""
    logging.getLogger("kafka").addHandler(logging.NullHandler())


class World:
    """A topic with times of the broker, an edition, and a configuration file."""

    def __init__(
        self, root: Path, broker: Broker, *, lanes: int, period: str, client: dict[str, int]
    ) -> None:
        self.root, self.broker, self.lanes = root, broker, lanes
        self.topic = broker.topic("bench", lanes)
        registry = Registry(local.build(local.Options(str(root / "store"))))
        publish_table(registry, policy(), classes=CLASSES)
        (root / "key").write_bytes(KEY)
        (root / "key").chmod(0o600)
        source = {
            "bootstrap": [broker.bootstrap], "topics": [self.topic], "group": unique("bench"),
            "client": client,
        }  # fmt: skip
        self.config, self.port = root / "sluice.yaml", free_port()
        given = {
            "store": {"kind": "local", "options": {"path": str(root / "store")}},
            "source": {"kind": "kafka", "options": source}, "keys": {"file": str(root / "key")},
            "stream": {"period": period, "grace": 1, "label_wait": 0, "lag": 3},
            "process": {"threads": 1}, "http": {"port": self.port},
        }  # fmt: skip
        self.config.write_text(json.dumps(given))

    @contextmanager
    def speaking(self, rate: int) -> Iterator[list[int]]:
        """`rate` records a second, evenly over lanes; how many went out so far."""
        done, sent = threading.Event(), [0]

        def speak() -> None:
            producer, began = self.broker.producer, time.monotonic()
            while not done.wait(0.02):
                due = int((time.monotonic() - began) * rate)
                for number in range(sent[0], due):
                    producer.send(self.topic, message(number), partition=number % self.lanes)
                sent[0] = max(due, sent[0])

        thread = threading.Thread(target=speak)
        thread.start()
        try:
            yield sent
        finally:
            done.set()
            thread.join()


class Process:
    """One of `sluice run`; a context that ends it."""

    def __init__(self, world: World, name: str) -> None:
        self._log = world.root / f"{name}.jsonl"
        with self._log.open("wb") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "daemon", "run", "-c", str(world.config)],
                cwd=ROOT, stderr=log,
            )  # fmt: skip

    def events(self, name: str) -> list[dict[str, Any]]:
        """Lines of its log."""
        lines = [json.loads(line) for line in self._log.read_text().splitlines() if line[-1] == "}"]
        return [line for line in lines if line["event"] == name]

    def status(self) -> dict[str, int]:
        """Resident bytes, open files and threads, as the kernel counts them."""
        folder = Path(f"/proc/{self.popen.pid}")
        lines = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        return {
            "resident_kb": int(lines["VmRSS"].split()[0]),
            "files": len(list((folder / "fd").iterdir())),
            "threads": int(lines["Threads"]),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.popen.kill()
        self.popen.wait()


def until(look: Callable[[], Any], seconds: float = SECONDS) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)
    return found


def message(number: int) -> bytes:
    """About 220 bytes; texts come again after a while."""
    words = " ".join(f"word{number * (n + 3) % 997}" for n in range(6))
    return msgspec.json.encode(
        {
            "id": f"utterance-{number:09d}", "text": f"{words} {number % 40_000}",
            "nlu": {"intent": CLASSES[number % 64], "confidence": 0.9},
            "label": CLASSES[number * 7 % 64], "consent": True, "device": "kitchen",
        }
    )  # fmt: skip
