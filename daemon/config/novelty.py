"""Novelty in a configuration: epoch `window`, how long emitted texts stay known, and what of."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UnsetType

from daemon.config.settings import Stream
from daemon.learning import emitted
from daemon.policy import Policy

MEMORY_ADVICE_BYTES = 256 << 20


def faults(policy: Policy) -> Iterator[str]:
    """Lines for what cannot go together."""
    if policy.epoch == "constant":
        if not isinstance(policy.known_windows, UnsetType):
            yield (
                "policy.known_windows: says how long emitted texts stay known, but under epoch "
                "constant none is; set policy.epoch to window, or leave it out"
            )
    elif policy.rolling is not None:
        yield (
            "policy.epoch: window draws anew in each window and refuses what was emitted, so a "
            "rolling reservoir of such parts would be no sample of anything; set policy.rolling "
            "to null, or policy.epoch to constant"
        )


def advice(policy: Policy, stream: Stream) -> Iterator[str]:
    """Lines for what works, but perhaps not as its author thinks."""
    if policy.epoch == "constant":
        return
    windows = emitted.lifetime(policy.epoch, policy.known_windows)
    if windows < stream.lag:
        yield (
            f"policy.known_windows: {windows} is below stream.lag {stream.lag}, so lanes know of "
            "nothing, and repeats take places of the pool until the shard is made"
        )
    if policy.identity == "id":
        yield (
            "policy.identity: is id, so what is refused as emitted are ids that come again; a text "
            "that was emitted under another id is selected once more"
        )
    held = (windows + emitted.MOST_RUNS) * policy.capacity_rows * emitted.ROW_BYTES
    if held > MEMORY_ADVICE_BYTES:
        yield (
            f"policy.known_windows: up to {windows * policy.capacity_rows} texts are known at "
            f"once, which take up to {held >> 20} MiB in memory and in the store"
        )
