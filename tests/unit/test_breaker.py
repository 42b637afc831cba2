"""The breaker against a list of everything that was added."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from daemon.running.breaker import STEPS, Breaker

ADDITION = st.integers(0, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@given(
    st.lists(ADDITION, max_size=60),
    st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    st.one_of(st.integers(1, 60), st.sampled_from([STEPS, 3 * STEPS, 5 * STEPS + 1])),
)
def test_it_looks_at_the_newest_additions_that_hold_enough(
    additions: list[tuple[int, int]], share: float, records: int
) -> None:
    breaker = Breaker(share, records)
    step = -(-records // STEPS)
    for count in range(1, len(additions) + 1):
        breaker.add(*additions[count - 1])
        seen = additions[:count]
        total = sum(n for n, _ in seen)
        if total < records:
            assert not breaker.tripped
            assert breaker.records == total
        # what it holds is a suffix of the additions: enough, and no more than one step too many
        suffixes = [
            (sum(n for n, _ in seen[at:]), sum(r for _, r in seen[at:])) for at in range(count + 1)
        ]
        assert (breaker.records, breaker.refused) in suffixes
        if total >= records:
            largest = max(n for n, _ in seen)
            assert records <= breaker.records < records + max(largest, step)
            assert breaker.tripped == (breaker.refused > share * breaker.records)


def test_it_trips_and_recovers_at_its_share() -> None:
    breaker = Breaker(0.5, 10)
    breaker.add(9, 9)
    assert not breaker.tripped, "too few were seen"
    breaker.add(1, 0)
    assert breaker.tripped
    breaker.add(8, 0)
    assert not breaker.tripped
    breaker.add(10, 5)
    assert not breaker.tripped, "half is not more than half"
    breaker.add(10, 6)
    assert breaker.tripped


def test_its_memory_is_bounded() -> None:
    breaker = Breaker(0.5, 100_000)
    for _ in range(300_000):
        breaker.add(1, 1)
    assert len(breaker._kept) <= 2 * STEPS
    assert breaker.tripped
    assert 100_000 <= breaker.records <= 100_000 + 100_000 // STEPS + 1
