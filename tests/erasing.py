"""A small world of which some is erased, and what a store then holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from daemon import tables
from daemon.policy import Policy
from daemon.ports import LaneId, Store
from daemon.registry import versions
from daemon.registry.registry import Registry
from daemon.stores.memory import MemoryStore
from tests.cases import Case, Edition
from tests.selection import WAITS, lane_split
from tests.streams import CLASSES, PERIOD_MS, Record, say, small_policy
from tests.worlds import shards

ASKED = LaneId("asked", 0)
FIRST, LAST = 5, 8  # windows with traffic; number n of window W has the id "u{100 W + n}"


def policy(**changes: Any) -> Policy:
    base = small_policy(**({"capacity_rows": 8} | changes))
    return msgspec.structs.replace(base, record=msgspec.structs.replace(base.record, user="user"))


def ask(window: int, **body: Any) -> Record:
    """A record of the erasure lane."""
    return window * PERIOD_MS + 500, msgspec.json.encode(body)


def text_of(number: int) -> str:
    return f"secret-of-{number} is said"


def traffic(per_window: int = 14, users: int = 5) -> dict[LaneId, list[Record]]:
    """Two lanes; every text is said once."""
    records: dict[LaneId, list[Record]] = {}
    for window in range(FIRST, LAST + 1):
        values = [
            say(n, text_of(n), CLASSES[n % 4], user=f"p{n % users}")
            for n in range(100 * window, 100 * window + per_window)
        ]
        for lane, rows in lane_split(values, 2, window).items():
            records.setdefault(lane, []).extend(rows)
    return records


def case_of(*asked: Record, **changes: Any) -> Case:
    records = {**traffic(), ASKED: list(asked)}
    kinds = {lane: "erasures" if lane == ASKED else "utterances" for lane in records}
    return Case(records, kinds, WAITS, (Edition(policy(**changes)),))


def versions_of(store: Store) -> dict[tuple[int, int], dict[str, list[Any]]]:
    """(window, version) -> rows; stubs have none."""
    return {
        (window, number): tables.decode(
            store.get(versions.manifest(store, window, number).rows_object)
        )[0]
        for window in shards(store)
        for number in versions.numbers(store, window)
    }


def newest(store: Store, window: int) -> list[dict[str, Any]]:
    """Rows of the newest version."""
    columns = versions.newest_rows(Registry(store), window)[1]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def contents(store: Store) -> dict[str, bytes]:
    return {name: store.get(name) for name in store.list("")}


def readable(store: Store) -> Iterator[tuple[str, str]]:
    """Every object as text: what its bytes say, and what a reader of Parquet finds in them."""
    for name, data in contents(store).items():
        said = data.decode("utf-8", "replace")
        if name.endswith(".parquet"):
            columns, footer = tables.decode(data)
            said += json.dumps(columns, default=repr) + footer.decode()
        yield name, said


def copied(store: Store) -> MemoryStore:
    made = MemoryStore()
    for name, data in contents(store).items():
        made.create(name, data)
    return made
