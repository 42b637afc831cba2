"""Two stages through real small checkpoints: run, read in other batches, recorded, verified."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from daemon.config.settings import Stream
from daemon.derived import ranges, verify
from daemon.derived.history import History
from daemon.learning.cascade import Cascade
from daemon.policy import Kind, Policy
from daemon.ports import Store
from daemon.registry.publish import Published
from daemon.registry.registry import Registry
from daemon.running.engines import Engines
from daemon.shards import seconds
from daemon.stores.memory import MemoryStore
from tests.cases import Case, Edition, Schedule
from tests.streams import KEY, PERIOD_MS, ListSource
from tests.supplied import policy, published, put, records
from tests.worlds import outcome, play

STREAM = Stream(period_ms=PERIOD_MS, grace=1, label_wait=0, lag=3)
SECOND = {"onnx": ("tracin", "forgetting"), "torch": ("vog", "grand_layer")}


def cascading(kind: str) -> Policy:
    """The costly scores of this engine, of a few candidates."""
    names = SECOND[kind]
    cascade = Cascade(9, tuple(map(Kind, names)), Kind("weighted", {"score": names[0]}))
    base = policy(kind, ("entropy", "el2n"))
    return msgspec.structs.replace(base, capacity_rows=4, rolling=None, cascade=cascade)


def store_of(kind: str) -> MemoryStore:
    """An edition and three checkpoints before it."""
    store = MemoryStore()
    made = published(store, kind, cascading(kind), history=put(store, kind, 1, 2, 3))
    assert isinstance(made, Published)
    return store


def run(kind: str, store: Store, schedule: Schedule, log: Any, **more: Any) -> Store:
    other = MemoryStore()
    for name in store.list(""):
        other.create(name, store.get(name))
    return play(Case(log, {}, STREAM, (Edition(cascading(kind)),)), schedule, store=other, **more)


@pytest.mark.parametrize(
    ("kind", "windows"), [("onnx", 2), pytest.param("torch", 2, marks=pytest.mark.slow)]
)
def test_a_run_and_its_replay_are_identical_and_verify_from_the_log(
    kind: str, windows: int
) -> None:
    store, log = store_of(kind), records(windows=windows, per_window=16)
    one = run(kind, store, Schedule(1, 1, 3, 0, 1), log)
    other = run(kind, store, Schedule(2, 50, 100, 3, 2), log)
    assert outcome(one) == outcome(other) and len(outcome(one)) == windows
    looked = History(Registry(one), Engines(one, KEY, threads=1))
    for window in looked.windows():
        manifest = looked.registry.manifest(window)
        for finding in (
            verify.verify_ledger(looked, manifest),
            verify.verify_log(looked, manifest, ranges.of(ListSource(log))),
        ):
            assert finding.identical, finding
        held = seconds.decode(one.get(seconds.name(window))).columns
        steps = [step for step in held[f"score_{SECOND[kind][0]}"] if step >= 0]
        assert len(set(steps)) > 2
        assert 0 < held["arm"].count("candidate") <= 9
    engine = looked.engines.of(looked.registry.editions[0])
    assert engine.passes == 1, "of what is no candidate"
