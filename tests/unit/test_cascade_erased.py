"""Erasures beside a cascade: the same rows stay, and all that is left can be verified."""

from __future__ import annotations

import msgspec

from daemon.derived import ranges, verify
from daemon.derived.history import History
from daemon.policy import Policy
from daemon.ports import Store
from daemon.registry import versions
from daemon.registry.registry import Registry
from daemon.running.engines import Engines
from daemon.shards import seconds
from tests.cascading import cascading, published
from tests.cases import Case, Edition, Schedule
from tests.erasing import ASKED, FIRST, LAST, ask, traffic
from tests.erasing import policy as erasing
from tests.selection import WAITS
from tests.streams import KEY, ListSource, Record
from tests.worlds import play

KINDS = {ASKED: "erasures"}


def policy() -> Policy:
    return msgspec.structs.replace(cascading(10, capacity_rows=5), record=erasing().record)


def run(*asked: Record) -> Store:
    records = {**traffic(), ASKED: list(asked)}
    kinds = {lane: KINDS.get(lane, "utterances") for lane in records}
    case = Case(records, kinds, WAITS, (Edition(policy()),))
    return play(case, Schedule(), store=published(policy()))


def rows(store: Store, window: int) -> dict[str, tuple[object, ...]]:
    """id -> all of the newest version's columns."""
    _, columns = versions.newest_rows(Registry(store), window)
    return {row[0]: row for row in zip(*columns.values(), strict=True)}


def test_erased_rows_go_the_others_stay_and_each_grade_still_agrees() -> None:
    """Asked in time for window 6 and 7, and after the shard of window 5 was made."""
    whole, less = run(), run(ask(7, user="p1"), ask(LAST, user="p3"))
    looked = History(Registry(less), Engines(less, KEY, threads=1))
    gone = 0
    for window in range(FIRST, LAST + 1):
        before, after = rows(whole, window), rows(less, window)
        assert after.items() <= before.items()
        gone += len(before) - len(after)
        held = [seconds.decode(s.get(seconds.name(window))).columns for s in (whole, less)]
        assert held[0] == held[1], "what the second stage said of others does not change"
        manifest = versions.newest(looked.registry, window)
        log = ranges.of(ListSource({**traffic(), ASKED: [ask(7, user="p1"), ask(LAST, user="p3")]},
                                   KINDS))  # fmt: skip
        for finding in (
            verify.verify_manifest(looked, manifest),
            verify.verify_ledger(looked, manifest),
            verify.verify_log(looked, manifest, log),
        ):
            assert finding.identical, (window, finding)
    assert gone > 4
    assert versions.numbers(less, FIRST)[-1] > 1, "a version was made of a finished shard"
