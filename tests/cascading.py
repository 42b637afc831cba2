"""Two stages over table checkpoints: entropy of all, scores of three checkpoints of candidates."""

from __future__ import annotations

from typing import Any

import msgspec

from daemon.learning.cascade import Cascade
from daemon.policy import Arms, Groups, Kind, Policy, Quarantine
from daemon.ports import Store
from daemon.registry.publish import Others, Published, publish
from daemon.registry.registry import Registry
from daemon.stores.memory import MemoryStore
from scoring import checkpoints, manifest
from scoring.models.table import table_files
from tests.streams import CLASSES, reference, small_policy

COSTLY = ("el2n_mean", "tracin")  # of earlier checkpoints: the label's, and the last layer's


SECOND = Kind("weighted", {"score": "el2n_mean", "eps": 0.02})


def cascading(candidates: int = 24, second: Kind = SECOND, **changes: Any) -> Policy:
    """A policy whose second stage runs three checkpoints; pools hold more than it takes."""
    cascade = Cascade(candidates, tuple(map(Kind, COSTLY)), second)
    given: dict[str, Any] = {
        "capacity_rows": 8, "pool_rows": candidates + 16, "rolling": None, "cascade": cascade,
        "arms": Arms(audit_rows=9, random_rows=40, review_rows=6),
        "select": Kind("weighted", {"score": "el2n"}),
        "groups": Groups(by=("label", "argmax"), support=3, limit=5),
        "quarantine": Quarantine(assumed_rate=0.1),
    }  # fmt: skip
    return small_policy(**(given | changes))


def published(policy: Policy, store: Store | None = None, first_window: int = 0) -> Store:
    """A store with an edition of this policy, and of two checkpoints before it."""
    store = MemoryStore() if store is None else store
    made = []
    for seed in (0, 1, 2):
        files = table_files(CLASSES, seed=seed)
        described = manifest.describe("table", files.blobs, CLASSES, 64, "table", None)
        made.append((described, files))
    history = tuple(checkpoints.put(store, d, files.blobs) for d, files in made[1:])
    described, files = made[0]
    outcome = publish(
        Registry(store), described, files.blobs, policy, first_window=first_window,
        sample=reference(files), others=Others(history),
    )  # fmt: skip
    assert isinstance(outcome, Published), outcome
    return store


def one_stage(policy: Policy) -> Policy:
    """The same selection where every record gets all scores, and only the first stage weighs."""
    kinds = (*policy.scores, *map(Kind, COSTLY))
    return msgspec.structs.replace(policy, scores=kinds, cascade=msgspec.UNSET)
