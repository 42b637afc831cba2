"""Short segments wait for one another in a lane, and nothing is another for it (law 1)."""

from __future__ import annotations

import pytest

from daemon.lanes import gather
from daemon.ports import LaneId
from tests.cases import Case, Edition, Schedule
from tests.selection import WAITS
from tests.streams import small_policy, stream_of
from tests.worlds import play


def case() -> Case:
    """Repeats, unreadable and late records, unknown labels."""
    records, kinds = stream_of(3, lanes=2, windows=5, per_window=90)
    assert LaneId("u", 1) in records
    return Case(records, kinds, WAITS, (Edition(small_policy()),))


@pytest.mark.parametrize("batch_records", [1, 13])
@pytest.mark.parametrize(("together", "held"), [(1, 1 << 20), (30, 1 << 20), (4096, 20)])
def test_every_object_is_the_same_however_many_are_offered_at_once(
    together: int, held: int, batch_records: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = case()
    whole = play(world, Schedule(batch_records=1000, poll_records=1000))
    monkeypatch.setattr(gather, "TOGETHER", together)
    monkeypatch.setattr(gather, "MOST_HELD", held)
    other = play(world, Schedule(batch_records=batch_records))
    names = [n for prefix in ("parts/", "ledgers/", "shards/") for n in whole.list(prefix)]
    assert names and {n: other.get(n) for n in names} == {n: whole.get(n) for n in names}
