"""What a new process reads before it begins."""

from __future__ import annotations

import msgspec
import pytest

from daemon.metrics import past
from daemon.registry.registry import Registry
from daemon.shards.shard import ShardManifest
from tests.streams import ListSource, World, stream_of


def test_where_all_windows_are_cold_few_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without answers or an assumed rate nothing is ever warm: a store of years begins at once."""
    world = World()
    records, kinds = stream_of(1, windows=12)
    assert world.loop(ListSource(records, kinds)).run()
    registry = world.registry()
    registry.start()
    made = world.digests()
    plain, read = Registry.manifest, list[int]()

    def cold(self: Registry, window: int) -> ShardManifest:
        read.append(window)
        return msgspec.structs.replace(plain(self, window), cold="no_noise_rate")

    monkeypatch.setattr(Registry, "manifest", cold)
    monkeypatch.setattr(past, "reference_windows", lambda _genesis: 2)
    found = [manifest.window for manifest in past.recalled(registry)]
    assert len(made) > past.DAYS * 2 + 2
    assert len(read) == past.DAYS * 2 + 1 == len(found)
    assert found[-1] == max(made)
