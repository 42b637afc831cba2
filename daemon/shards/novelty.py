"""Novelty: what a shard emits is refused in the windows that follow (law 5). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct, UnsetType

from daemon.learning import emitted
from daemon.learning.calibration import Calibration
from daemon.learning.emitted import Known
from daemon.learning.rules import Rules


class Novelty(Struct, frozen=True):
    """Besides what the lanes refused, which is counted under `already_emitted`."""

    known: int  # texts that were emitted before and not forgotten
    repeats: int  # of them, candidates that the lanes could not know of: taken out of the pool
    records: int  # that said these
    emitted: int  # texts that the shard adds


class Repeats(NamedTuple):
    """What the assembler itself took out as emitted already."""

    texts: int = 0
    records: int = 0  # of these texts, as multiplicities count them


NONE = Repeats()


class Grown(NamedTuple):
    """What a shard of epoch `window` teaches besides, and what it says of it."""

    calibration: Calibration
    novelty: Novelty
    run: bytes  # of the last run that the calibration names; b"" where the shard emitted nothing


def grow(
    before: Calibration,
    taught: Calibration,
    rules: Rules,
    known: Known,
    hashes: Sequence[int],
    repeats: Repeats,
) -> Grown | None:
    """Fold what a shard emitted into the calibration that it teaches.

    None where draws are the same in every window: a calibration then forgets what was emitted.
    `known`: the content of the runs of `before`. `hashes`: of the selected rows, in any order.
    """
    policy = rules.policy
    lifetime = emitted.lifetime(policy.epoch, policy.known_windows)
    if not lifetime:
        return None
    fresh = emitted.emission(rules.window, hashes)
    runs = () if isinstance(before.emitted, UnsetType) else before.emitted
    # the next window is the first that this calibration can speak to
    grown, data = emitted.grow(runs, known, fresh, rules.window + 1 - lifetime)
    novelty = Novelty(known.texts, repeats.texts, repeats.records, len(fresh.hashes))
    return Grown(msgspec.structs.replace(taught, emitted=grown), novelty, data)
