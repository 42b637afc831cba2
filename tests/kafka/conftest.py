"""Brokers for tests: one for each worker, and private ones for tests that stop or step theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.ports import LaneId
from tests.kafka.broker import Broker
from tests.kafka.follower import Follower, options


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The worker's broker. It stays up: topics and groups have names of their own instead."""
    made = Broker(tmp_path_factory.mktemp("kafka") / "broker").start()
    yield made
    made.close()


@pytest.fixture
def private(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    """Makes brokers that a test may stop, kill, freeze or step: `private(stepped=True)`."""
    brokers: list[Broker] = []

    def make(**options: object) -> Broker:
        broker = Broker(tmp_path / f"broker-{len(brokers)}", **options)  # type: ignore[arg-type]
        brokers.append(broker)
        return broker.start()

    yield make
    for broker in brokers:
        broker.close()


@pytest.fixture
def follow(broker: Broker) -> Iterator[Callable[..., Follower]]:
    """Makes followers of the worker's broker, or of `on`: `follow(topic, labels=(other,))`."""
    followers: list[Follower] = []

    def make(
        *topics: str, on: Broker = broker, durable: dict[LaneId, int] | None = None, **changes: Any
    ) -> Follower:
        follower = Follower(options(on, *topics, **changes), durable)
        followers.append(follower)
        return follower

    yield make
    for follower in followers:
        follower.source.close()
