"""Checkpoints that spread their scores differently share a reservoir: by hand, and rolled."""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.derived.history import History
from daemon.derived.rolling import roll
from daemon.learning.spreads import spread
from daemon.policy import Groups, Kind, Learning, Quarantine, Rolling
from daemon.ports import LaneId
from daemon.registry.publish import Published, Sample, publish
from daemon.registry.registry import Registry
from daemon.running.engines import Engines
from daemon.stores.memory import MemoryStore
from scoring import manifest
from scoring.models.table import table_files
from scoring.policies.quantile import RUNGS
from scoring.types import GRID, Asks, Spread
from tests.cases import Case, Edition, Schedule
from tests.contracts.test_policies import build, column, terms
from tests.selection import WAITS
from tests.streams import CLASSES, KEY, PERIOD_MS, Record, say, small_policy
from tests.worlds import play

LEARNING = Learning()


def of(steps: list[int], rungs: int = RUNGS) -> Spread:
    counts = {step: count * 1024 for step, count in sorted(Counter(steps).items())}
    return spread(counts, LEARNING, Asks(rungs=rungs))


def test_the_ladder_by_hand() -> None:
    assert of([10, 20, 30, 40], 4).ladder == (10, 20, 30)
    assert of([5, 5, 5, 9], 4).ladder == (5, 5, 5), "one step with three shares"
    assert of([7], 4).ladder == (7, 7, 7)
    assert of([1, 2], 0).ladder == ()
    assert spread({}, LEARNING, Asks(rungs=4)).ladder == ()


def test_weights_by_hand() -> None:
    policy = build("quantile", eps=0.5, quarantine=False)
    said = terms(policy, Spread(10, 30, 100, ladder=(10, 20, 20)))
    weights = policy.weigh(column("entropy", [0, 10, 15, 20, 21, 9999]), said).weights
    # of three rungs below + upto: 0+0, 0+1, 1+1, 1+3, 3+3, 3+3, over 6, from a half to 1
    expected = [0.5 + 0.5 * risen / 6 for risen in (0, 1, 2, 4, 6, 6)]
    assert weights.tolist() == [round(w * GRID) for w in expected]


@given(
    st.lists(st.integers(0, 4096), min_size=1, max_size=300),
    st.integers(1, 7),
    st.integers(0, 3000),
)
def test_any_rising_map_of_the_score_leaves_the_weights_as_they_are(
    steps: list[int], factor: int, shift: int
) -> None:
    """A temperature, a shift, a square: whatever keeps the order of the rows."""
    policy = build("quantile", quarantine=False)
    moved = [factor * (step * step // 4096) // 2 + step + shift for step in steps]
    here, there = (
        policy.weigh(column("entropy", values), terms(policy, of(values))).weights.tolist()
        for values in (steps, moved)
    )
    assert here == there


def test_weights_are_even_whatever_the_spread() -> None:
    policy = build("quantile", eps=0.1, quarantine=False)
    r = np.random.default_rng(1)
    for values in (r.integers(0, 4096, 4000), (r.beta(0.8, 6, 4000) * 4096).astype(int)):
        weights = policy.weigh(
            column("entropy", values.tolist()), terms(policy, of(values.tolist()))
        )
        shares = np.sort(weights.weights / GRID)
        assert np.abs(shares - np.linspace(0.1, 1, 4000)).max() < 0.05


def outcome(select: str) -> dict[int, int]:
    """Rolled rows by window: two checkpoints of the same answers, one of them far surer."""
    policy = small_policy(
        identity="id",
        scores=(Kind("entropy"),),
        select=Kind(select, {"score": "entropy", "eps": 0.02}),
        groups=Groups(by=("argmax",), limit=9),
        quarantine=Quarantine(assumed_rate=0.0),
        capacity_rows=400,
        rolling=Rolling(windows=2, capacity_rows=300),
        learning=Learning(memory_windows=40, minimum_rows=8),
    )
    store = MemoryStore()
    texts = [f"say {n}" for n in range(800)]
    r = np.random.default_rng(3)
    logits = r.normal(size=(800, 4)) * np.linspace(0.3, 3, 800)[:, None]
    for number, sharp in enumerate((1.0, 5.0)):
        entries = dict(zip(texts, (logits * sharp).tolist(), strict=True))
        files = table_files(CLASSES, entries)
        described = manifest.describe("table", files.blobs, CLASSES, 64, "table")
        answers = [CLASSES[at] for at in logits.argmax(axis=1).tolist()]
        first, sample = 5 + number, Sample(texts, [*answers])
        made = publish(
            Registry(store), described, files.blobs, policy, first_window=first, sample=sample
        )
        assert isinstance(made, Published)
    rows: list[Record] = [
        (window * PERIOD_MS + n, say(window * 1000 + n, text))
        for window in (5, 6)
        for n, text in enumerate(texts)
    ]
    case = Case({LaneId("u", 0): rows}, {}, WAITS, (Edition(policy),))
    play(case, Schedule(batch_records=200, poll_records=900), store=store)
    rolled = roll(History(Registry(store), Engines(store, KEY, threads=1)), 6)
    return dict(Counter(rolled.rows["window"]))


def test_a_rolling_reservoir_takes_from_both_checkpoints_alike() -> None:
    """A straight line between quantiles undoes scale and shift, and not what a temperature does."""
    even, line = outcome("quantile"), outcome("weighted")
    assert sum(even.values()) == sum(line.values()) == 300
    assert abs(even[5] - even[6]) <= 12, "but for chance that both share"
    assert line[5] > 2 * line[6] or line[6] > 2 * line[5]


def test_it_is_published_as_any_other_policy() -> None:
    select = msgspec.convert({"kind": "quantile", "options": {"score": "el2n"}}, Kind)
    assert build(select.kind, **select.options).reads == ("el2n",)
    with pytest.raises(ValueError, match="eps"):
        build("quantile", eps=0)
