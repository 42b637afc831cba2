"""Checkpoints in memory: the one unused for longest goes first, never one that is in use."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from daemon.lanes.pin import FIRST
from daemon.lanes.window import Segment
from daemon.learning.edition import Edition
from daemon.learning.supplied import Supplied
from daemon.policy import Kind, Policy
from daemon.ports import EXIT_DEPENDENCY, EXIT_STATE, Batch, CannotRun, Fatal, LaneId
from daemon.registry.registry import Registry
from daemon.running.engines import Engine, Engines
from daemon.running.models import Models
from daemon.stores.memory import MemoryStore
from scoring import checkpoints, manifest
from scoring.models import table
from scoring.models.base import Files
from scoring.models.table import table_files
from scoring.scorer import Unsupplied
from tests.streams import CLASSES, KEY, PERIOD_MS, publish_table, say, small_policy

PAST = small_policy(scores=(Kind("entropy"), Kind("forgetting"), Kind("aum")))


def store_of(count: int) -> tuple[MemoryStore, list[Edition]]:
    """Editions of as many checkpoints."""
    store = MemoryStore()
    registry = Registry(store)
    for seed in range(count):
        publish_table(registry, small_policy(), seed=seed)
    registry.read_editions()
    return store, [registry.editions[number] for number in range(count)]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was loaded, in order."""
    seen: list[str] = []
    build = table.build

    def noting(files: Files, threads: int) -> object:
        seen.append(files.fingerprint)
        return build(files, threads)

    monkeypatch.setattr(table, "build", noting)
    return seen


def test_the_least_recently_used_is_forgotten_and_loads_again(loads: list[str]) -> None:
    store, editions = store_of(6)
    loads.clear()
    engines = Engines(store, KEY, threads=1)
    names = [edition.checkpoint for edition in editions]
    for number in (0, 1, 2, 3):
        engines.of(editions[number])
    first = engines.of(editions[0])  # used again: 1 is the oldest now
    assert loads == names[:4]
    engines.of(editions[4])
    assert engines.of(editions[0]) is first
    assert loads == names[:5]
    engines.of(editions[1])
    assert loads == [*names[:5], names[1]]
    for number in (0, 1, 3, 4):
        engines.of(editions[number])
    assert len(loads) == 6, "2 went for 1, the others stayed"


def past(policy: Policy, editions: list[Edition], count: int) -> Edition:
    """The last edition, with a history of as many checkpoints before it."""
    history = tuple(edition.checkpoint for edition in editions[:count])
    return msgspec.structs.replace(
        editions[-1], number=90, policy=policy, supplied=Supplied(history=history)
    )


def test_an_edition_may_name_more_than_fit_and_keeps_them(loads: list[str]) -> None:
    store, editions = store_of(7)
    loads.clear()
    engines = Engines(store, KEY, threads=1)
    engines.of(editions[3])
    whole = past(PAST, editions, 6)
    engine = engines.of(whole)
    assert engine.passes == 7
    assert len(loads) == len(set(loads)) == 7
    assert engines.of(whole) is engine
    assert len(loads) == 7, "all stay while the edition is used"
    plain = past(small_policy(), editions, 6)
    assert engines.of(msgspec.structs.replace(plain, number=91)).passes == 1
    assert len(loads) == 7, "nothing of the history is loaded for scores that do not read it"


def segment() -> tuple[Batch, Segment]:
    values = [say(n, f"say {n}", CLASSES[n % 4]) for n in range(9)]
    times = np.full(9, 5 * PERIOD_MS)
    batch = Batch(LaneId("u", 0), np.arange(9, dtype=np.int64), times, list(values))
    return batch, Segment(5, 0, 9, 0, 0, 0)


def scored(engines: Engines, engine: Engine, registry: Registry) -> list[list[int]]:
    rules = engines.rules(5, engine.edition, registry.calibration(FIRST))
    prepared = engine.prepare(rules, *segment())
    return [column.tolist() for column in prepared.scored.scores.values()]


def test_a_segment_on_its_way_keeps_its_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[object] = []

    def noting(model: object) -> None:
        closed.append(model)

    monkeypatch.setattr(table.TableModel, "close", noting)
    store, editions = store_of(7)
    registry = Registry(store)
    engines = Engines(store, KEY, threads=2)
    engine = engines.of(past(PAST, editions, 3))
    rules = engines.rules(5, engine.edition, registry.calibration(FIRST))
    before = scored(engines, engine, registry)
    closed.clear()
    for edition in editions:
        engines.of(edition)  # its checkpoints are forgotten meanwhile
    prepared = engine.prepare(rules, *segment())
    assert [column.tolist() for column in prepared.scored.scores.values()] == before
    assert not closed, "who still runs is not closed"
    assert engines.of(engine.edition) is not engine
    assert scored(engines, engines.of(engine.edition), registry) == before


def test_history_is_told_by_names_of_classes() -> None:
    """An earlier checkpoint with its classes in another order, and one more, says the same."""
    store = MemoryStore()
    registry = Registry(store)
    publish_table(registry, small_policy())
    entries = {f"say {n}": [float(n % 3), 2.0, -1.0, float(n % 5)] for n in range(9)}
    turned = ("weather", "music", "retired", "alarm", "lights")
    moved = {text: [r[3], r[2], -80.0, r[0], r[1]] for text, r in entries.items()}
    digests = []
    for classes, rows in ((CLASSES, entries), (turned, moved)):
        files = table_files(classes, rows)
        described = manifest.describe("table", files.blobs, classes, 64, "table")
        digests.append(checkpoints.put(store, described, files.blobs))
    registry.read_editions()
    found = []
    for digest in digests:
        edition = msgspec.structs.replace(
            registry.editions[0], policy=PAST, supplied=Supplied(history=(digest,))
        )
        engines = Engines(store, KEY, threads=1)
        found.append(scored(engines, engines.of(edition), registry))
    assert found[0] == found[1]


def test_what_cannot_be_fed_pauses_in_one_line() -> None:
    """An edition that somebody wrote by hand: `sluice publish` would have refused it."""
    store, editions = store_of(1)
    edition = msgspec.structs.replace(editions[0], policy=PAST)
    with pytest.raises(CannotRun) as caught:
        Engines(store, KEY, threads=1).of(edition)
    line = str(caught.value)
    assert caught.value.code == EXIT_DEPENDENCY
    assert "\n" not in line and str(Unsupplied("forgetting", "history")) in line


def test_a_checkpoint_that_is_not_there_or_broken_says_which() -> None:
    store, editions = store_of(1)
    digest = editions[0].checkpoint
    loaded = Models(store, threads=1)
    with pytest.raises(Fatal, match=f"checkpoint {'0' * 12}") as caught:
        loaded.get("0" * 64, "table")
    assert caught.value.code == EXIT_STATE
    with pytest.raises(CannotRun, match=f"checkpoint {digest[:12]}: the checkpoint has no model"):
        loaded.get(digest, "onnx")
