"""Parts, ledgers and the registry: the first object wins (law 6)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon import tables
from daemon.lanes import ledger
from daemon.lanes import part as parts
from daemon.lanes.genesis import Genesis, LaneEntry
from daemon.lanes.part import Part, PartManifest
from daemon.lanes.pin import FIRST, Pin
from daemon.learning.calibration import Counts
from daemon.learning.edition import Edition
from daemon.policy import Policy
from daemon.ports import EXIT_BUG, EXIT_STATE, Fatal, LaneId, Missing
from daemon.registry.registry import Registry
from daemon.shards import shard
from daemon.stores.memory import MemoryStore
from tests.cases import Schedule, random_case
from tests.worlds import play, shards

GENESIS = Genesis((LaneEntry("u", 0, "utterances", "id-u", 0),), 10, 1, 0, 3, 5)
LANE = LaneId("u", 0)


def part(window: int = 5, **changes: Any) -> Part:
    manifest = PartManifest(
        "u", 0, "id-u", "utterances", window, window, 0, 4, window * 10 + 9, "record",
        counts=Counts(records=4), engine="e", edition=0, calibration=FIRST,
        ledger=parts.ledger_name(LANE, window, "d" * 64), ledger_digest="d" * 64,
    )  # fmt: skip
    rows: dict[str, list[Any]] = {name: [] for name in parts.row_types("utterances", ())}
    return parts.seal(Part(msgspec.structs.replace(manifest, **changes), rows, b"ledger"))


def registry(store: MemoryStore | None = None) -> Registry:
    made = Registry(store or MemoryStore())
    made.found(GENESIS)
    made.start()
    return made


def test_the_digest_of_a_part_leaves_out_how_it_was_closed() -> None:
    """A zombie closes by evidence what its owner closes by record: that is no bug (A10)."""
    one = part().manifest
    for changes in ({"closed_by": "evidence"}, {"time_ms": 7}, {"engine": "other"}):
        assert part(**changes).manifest.digest == one.digest
    for changes in (
        {"counts": Counts(records=3)}, {"ledger_digest": "x"}, {"pool_taus": {"a": 1}},
        {"arm_taus": {"audit": 1}}, {"edition": 1}, {"calibration": 4},
    ):  # fmt: skip
        assert part(**changes).manifest.digest != one.digest


def test_the_digest_of_a_part_covers_every_cell_of_its_rows() -> None:
    store = play(random_case(3), Schedule())
    for name in list(store.list("parts/"))[:6]:
        whole = parts.decode(store.get(name))
        assert parts.seal(whole).manifest.digest == whole.manifest.digest
        for column, values in whole.rows.items():
            if values:
                other = b"?" if isinstance(values[-1], bytes) else f"{values[-1]}?"
                rows = {**whole.rows, column: [*values[:-1], other]}
                sealed = parts.seal(Part(whole.manifest, rows))
                assert sealed.manifest.digest != whole.manifest.digest, column


def test_who_comes_second_keeps_nothing_and_breaks_nothing() -> None:
    store = MemoryStore()
    assert registry(store).put_part(part())
    late = registry(store)
    assert not late.put_part(part(end=9, counts=Counts(records=9)))
    assert parts.decode(store.get(parts.name(LANE, 5))).manifest.end == 4
    assert late.progress is not None and late.progress.newest[LANE].end == 4


def test_the_same_range_with_another_result_is_a_bug() -> None:
    store = MemoryStore()
    registry(store).put_part(part())
    with pytest.raises(Fatal, match="different parts") as raised:
        registry(store).put_part(part(counts=Counts(records=4, late=1)))
    assert raised.value.code == EXIT_BUG
    assert not registry(store).put_part(part(counts=Counts(late=1), engine="other cpu"))
    assert not registry(store).put_part(part(closed_by="evidence"))


def test_a_ledger_is_durable_before_the_part_that_names_it() -> None:
    class Ordered(MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.order: list[str] = []

        def create(self, name: str, data: bytes) -> bool:
            self.order.append(name.split("/", maxsplit=1)[0])
            return super().create(name, data)

    store = Ordered()
    registry(store).put_part(part())
    assert store.order[-2:] == ["ledgers", "parts"]
    assert store.get(part().manifest.ledger) == b"ledger"


def test_rows_of_a_shard_are_durable_before_its_manifest() -> None:
    class Strict(MemoryStore):
        def create(self, name: str, data: bytes) -> bool:
            if name.startswith("shards/") and name.endswith("manifest.json"):
                assert self.get(msgspec.json.decode(data)["rows_object"])
            if name.startswith("parts/"):
                manifest = parts.read_manifest(data)
                assert not manifest.ledger or self.get(manifest.ledger)
            return super().create(name, data)

    from tests.worlds import publish_all

    case, store = random_case(1), Strict()
    publish_all(case, store)
    assert shards(play(case, Schedule(), store=store))


@pytest.mark.parametrize("name", ["genesis.json", "pins/000000000005.json", "editions/000000.json"])
def test_what_cannot_be_read_is_named_and_not_guessed(name: str) -> None:
    store = MemoryStore()
    store.create(name, b'{"odd": 1}')
    with pytest.raises(Fatal, match="cannot be read by this version") as raised:
        registry(store)
    assert raised.value.code == EXIT_STATE


def test_a_part_of_another_version_is_refused() -> None:
    for data in (parts.encode(part(version=99)), b"no parquet at all"):
        with pytest.raises(Fatal, match="no part of this version"):
            parts.read_manifest(data)


def test_the_first_genesis_pin_and_edition_win() -> None:
    store = MemoryStore()
    one, other = registry(store), registry(store)
    later = msgspec.structs.replace(GENESIS, first_window=9)
    assert other.found(later).first_window == 5
    assert one.create_pin(Pin(5, 0, FIRST, (("u", 0),))).edition == 0
    assert other.create_pin(Pin(5, 7, FIRST, ())).edition == 0
    edition = Edition(0, "c", (), Policy(), None, 0)
    assert one.publish(edition) == edition
    assert other.publish(msgspec.structs.replace(edition, checkpoint="d")) == edition


def test_another_secret_is_refused() -> None:
    store = MemoryStore()
    registry(store).check_key("k1", b"a secret")
    registry(store).check_key("k1", b"a secret")
    registry(store).check_key("k2", b"another secret")
    with pytest.raises(Fatal, match="not the one this store was begun with"):
        registry(store).check_key("k1", b"another secret")
    assert b"a secret" not in b"".join(store.get(n) for n in store.list("keys/"))


def test_a_calibration_is_the_one_of_its_shard() -> None:
    store = play(random_case(2), Schedule())
    looked = Registry(store)
    for window, manifest in shards(store).items():
        assert looked.calibration(window) == manifest.calibration
        assert manifest.calibration.window == window
    assert looked.calibration(FIRST).halves == ()
    with pytest.raises(Missing):
        looked.calibration(4)


def ledger_columns(count: int, seed: int) -> ledger.Arrays:
    rng = np.random.default_rng(seed)
    return {
        name: rng.integers(0, 100, count).astype(dtype)
        for name, dtype in ledger.dtypes(("entropy",)).items()
    }


@given(cuts=st.lists(st.integers(0, 20), max_size=4))
def test_a_ledger_depends_on_its_rows_and_not_on_batches(cuts: list[int]) -> None:
    columns = ledger_columns(20, 1)
    writer = ledger.LedgerWriter(("entropy",))
    edges = [0, *sorted(cuts), 20]
    for first, end in pairwise(edges):
        writer.add({name: column[first:end] for name, column in columns.items()})
    data, digest = writer.finish()
    assert (writer.rows, digest) == (20, ledger.content_digest(columns))
    back = ledger.read(data)
    assert list(back) == list(columns)
    assert all((back[name] == columns[name]).all() for name in columns)


def test_a_long_ledger_is_written_in_row_groups_of_one_size() -> None:
    """So that neither memory nor content depends on how records came."""
    count = 2 * ledger.GROUP_ROWS + 5
    columns = ledger_columns(count, 2)
    digests = set()
    for size in (count, ledger.GROUP_ROWS, 50_000):
        writer = ledger.LedgerWriter(("entropy",))
        for first in range(0, count, size):
            writer.add({name: c[first : first + size] for name, c in columns.items()})
        data, digest = writer.finish()
        digests.add((tables.manifest_of(data), digest, len(data)))
        assert (ledger.read(data)["position"] == columns["position"]).all()
    assert len(digests) == 1


def test_a_damaged_object_is_named_and_no_bug() -> None:
    for read in (part_of, shards_of):
        with pytest.raises(Fatal, match=r"^a/name is no (part|manifest) of this version") as raised:
            read(b"half of it")
        assert raised.value.code == EXIT_STATE
    with pytest.raises(Fatal, match="a ledger in the store cannot be read"):
        ledger.read(b"PAR1 half of it")


def part_of(data: bytes) -> object:
    return parts.read_manifest(data, "a/name")


def shards_of(data: bytes) -> object:
    return shard.read_manifest(data, "a/name")
