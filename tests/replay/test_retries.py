"""A store that fails now and then: nothing is lost, nothing is twice, and it ends in time."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from daemon.ports import Retry
from daemon.running.standing import RETRIES
from daemon.stores.memory import MemoryStore
from tests.streams import ListSource, World, stream_of


class Failing(MemoryStore):
    """Raises Retry before, or after, a share of the creates."""

    def __init__(self, seed: int, share: float) -> None:
        super().__init__()
        self._random, self._share = random.Random(seed), share
        self.armed = False
        self.failures = 0

    def create(self, name: str, data: bytes) -> bool:
        if not self.armed or self._random.random() >= self._share:
            return super().create(name, data)
        self.failures += 1
        if self._share < 1.0 and self._random.random() < 0.5:
            super().create(name, data)  # the reply was lost, the object is there
        raise Retry("the store said no")

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        return super().list(prefix, after)


def world(store: MemoryStore) -> World:
    made = World(store=store)
    made.registry()  # published while the store is well
    return made


@pytest.mark.parametrize("seed", range(4))
def test_a_store_that_fails_now_and_then_changes_nothing(seed: int) -> None:
    records, kinds = stream_of(seed, windows=8)
    well = World()
    assert well.loop(ListSource(records, kinds, seed=1)).run()
    store = Failing(seed, 0.15)
    ill = world(store)
    loop = ill.loop(ListSource(records, kinds, seed=2))
    store.armed = True
    assert loop.run()
    assert store.failures > 3
    store.armed = False
    assert ill.digests() == well.digests()


def test_a_store_that_never_heals_ends_the_process() -> None:
    records, kinds = stream_of(1, windows=6)
    store = Failing(0, 1.0)
    told: list[str] = []
    loop = world(store).loop(
        ListSource(records, kinds), listener=lambda event, facts: told.append(event)
    )
    store.armed = True
    with pytest.raises(Retry):
        loop.run()
    assert told.count("retry") == RETRIES + 1
