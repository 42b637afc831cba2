"""The shards that a new process must recall, so that it measures drift as the one before it did."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from daemon.metrics.newest import reference_windows
from daemon.registry.registry import Registry
from daemon.shards import shard
from daemon.shards.shard import ShardManifest

DAYS = 4  # of windows


def recalled(registry: Registry) -> Iterator[ShardManifest]:
    """Ascending: the first shards of the newest one's edition, as far as its reference reaches,
    then the newest. None where there is none. At most a day of manifests is warm, and no more than
    DAYS of them are read: where nothing is learnt, all windows are cold.
    """
    genesis, progress = registry.genesis, registry.progress
    assert genesis is not None and progress is not None
    if not progress.shards:
        return
    newest = registry.manifest(progress.shards[-1])
    edition = registry.editions.get(newest.edition)
    first = edition.first_window if edition is not None and edition.number else 0
    warm, most = 0, reference_windows(genesis)
    windows = shard.windows(registry.store.list(shard.PREFIX, shard.prefix(first)))
    for window in islice(windows, DAYS * most):
        if window >= newest.window or warm == most:
            break
        manifest = registry.manifest(window)
        if manifest.edition == newest.edition:
            warm += not manifest.cold
            yield manifest
    yield newest
