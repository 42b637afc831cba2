"""What was emitted: sorted runs against a plain dict, for any windows, lifetimes and merges."""

from __future__ import annotations

import random
from unittest import mock

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.learning import emitted
from daemon.learning.calibration import Calibration
from daemon.learning.emitted import Emission, Known, Run, decode, emission, encode, grow, lifetime
from daemon.policy import Policy
from daemon.ports import Fatal
from daemon.registry.emitted import Emissions
from daemon.stores.memory import MemoryStore

FEW = st.sampled_from([0, 1, 2, 3, 2**63, 2**64 - 1])  # so that texts come again
Shards = st.lists(st.tuples(st.integers(1, 9), st.lists(FEW | st.integers(0, 2**64 - 1))))


class Chain:
    """Calibrations that follow one another, over a store."""

    def __init__(self, windows: int, store: MemoryStore | None = None) -> None:
        self.windows, self.store = windows, store or MemoryStore()
        self.policy = Policy(epoch="window", known_windows=windows, rolling=None)
        self.runs: tuple[Run, ...] = ()

    def known(self, window: int) -> Known:
        learnt = Calibration(0, emitted=self.runs)
        return Emissions(self.store).known(learnt, self.policy, window)

    def shard(self, window: int, hashes: list[int]) -> None:
        """As the assembler: nothing that is known is emitted again."""
        known = self.known(window)
        seen = known.contains(np.array(hashes, np.uint64)).tolist()
        fresh = emission(window, [h for h, old in zip(hashes, seen, strict=True) if not old])
        self.runs, data = grow(self.runs, known, fresh, window + 1 - self.windows)
        if data:
            assert self.store.create(self.runs[-1].name, data)


@settings(deadline=None)
@given(Shards, st.integers(1, 12), st.integers(1, 4), st.integers(1, 6))
def test_runs_know_what_a_dict_of_last_windows_knows(
    shards: list[tuple[int, list[int]]], windows: int, most: int, ahead: int
) -> None:
    """Any gaps between windows, any lifetime, and so few runs that they merge all the time."""
    last: dict[int, int] = {}
    window = 0
    with mock.patch.object(emitted, "MOST_RUNS", most):
        chain = Chain(windows)
        for step, hashes in shards:
            window += step
            for one in hashes:
                if window - last.get(one, -windows - 1) > windows:
                    last[one] = window
            chain.shard(window, hashes)
            assert len(chain.runs) <= most
        asked = sorted({*last, 5, 2**63 - 1})
        for later in (window + 1, window + ahead):
            known = chain.known(later)
            expected = [last.get(h, -99) if later - last.get(h, -99) <= windows else -1
                        for h in asked]  # fmt: skip
            assert known.windows(np.array(asked, np.uint64)).tolist() == expected
            assert known.contains(np.array(asked, np.uint64)).tolist() == [w >= 0 for w in expected]
            assert known.texts == sum(w >= 0 for w in expected)


@settings(deadline=None)
@given(st.lists(FEW | st.integers(0, 2**64 - 1)), st.randoms(use_true_random=False))
def test_a_run_is_its_set_of_texts(hashes: list[int], rng: random.Random) -> None:
    """Order and repetition give the same bytes; they come back as they were."""
    run, data = encode(emission(7, hashes))
    shuffled = [*hashes, *hashes[:3]]
    rng.shuffle(shuffled)
    assert encode(emission(7, shuffled)) == (run, data)
    back = decode(run, data)
    assert back.hashes.tolist() == sorted(set(hashes)) and set(back.windows.tolist()) <= {7}
    assert len(data) == emitted.ROW_BYTES * run.rows


def test_a_merge_keeps_the_age_of_each_text_to_the_window() -> None:
    """65,535 windows old at most; what is older is forgotten by then."""
    old, new = emission(1, [5, 6]), emission(65_536, [6, 7])
    both = emitted.merged([old, new], since=1)
    assert dict(zip(both.hashes.tolist(), both.windows.tolist(), strict=True)) == {
        5: 1, 6: 65_536, 7: 65_536,
    }  # fmt: skip
    assert decode(*encode(both)).windows.tolist() == both.windows.tolist()
    assert emitted.merged([old, new], since=2).hashes.tolist() == [6, 7]
    assert emitted.merged([old], since=2).hashes.tolist() == []


def test_bytes_that_are_not_the_run_are_refused() -> None:
    store = MemoryStore()
    run, data = encode(emission(3, [1, 2, 3]))
    for wrong in (data[:-1], data[::-1], b""):
        with pytest.raises(ValueError, match="does not hold"):
            decode(run, wrong)
    learnt = Calibration(3, emitted=(run,))
    policy = Policy(epoch="window", rolling=None)
    with pytest.raises(Fatal, match="missing or damaged"):
        Emissions(store).known(learnt, policy, 4)
    store.create(run.name, data[::-1])
    with pytest.raises(Fatal, match="missing or damaged"):
        Emissions(store).known(learnt, policy, 4)


def test_runs_are_read_once_while_calibrations_follow_one_another() -> None:
    chain = Chain(1_000)
    for window in range(40):
        chain.shard(window, [window])
    reads = []
    with mock.patch.object(chain.store, "get", side_effect=chain.store.get) as get:
        reader = Emissions(chain.store)
        for window in (40, 41, 42):
            reader.known(Calibration(39, emitted=chain.runs), chain.policy, window)
            reads.append(get.call_count)
    assert reads == [40, 40, 40]


def test_under_a_constant_epoch_nothing_of_it_is_written() -> None:
    """No byte of any object is another one than without novelty."""
    assert lifetime("constant", msgspec.UNSET) == 0
    assert lifetime("window", msgspec.UNSET) == emitted.DEFAULT_WINDOWS
    assert lifetime("window", 5) == 5
    said = msgspec.json.encode([Policy(), Calibration(5)])
    for word in (b"known_windows", b"emitted", b"novelty"):
        assert word not in said
    run = encode(emission(3, [1]))[0]
    learnt = Calibration(3, emitted=(run,))
    assert Emissions(MemoryStore()).known(learnt, Policy(), 4) is emitted.NOTHING
    assert Emissions(MemoryStore()).known(Calibration(3), Policy(), 4) is emitted.NOTHING


def test_a_million_known_texts_take_ten_bytes_each_and_a_calibration_names_few_runs() -> None:
    """1,000 windows of 1,000 rows: state is bounded by the policy, manifests by MOST_RUNS."""
    rng = np.random.default_rng(7)
    runs: tuple[Run, ...] = ()
    known, written = Known(), 0
    held: dict[str, Emission] = {}
    for window in range(1_000):
        fresh = emission(window, rng.integers(0, 2**64 - 1, 1_000, np.uint64))
        contents = [held[run.name] for run in runs]
        known = Known.of(contents, 0) if len(runs) == emitted.MOST_RUNS else Known()
        runs, data = grow(runs, known, fresh, 0)
        held = {run.name: held.get(run.name) or decode(run, data) for run in runs}
        written += len(data)
        assert len(msgspec.json.encode(Calibration(window, emitted=runs))) < 4_096
    known = Known.of([held[run.name] for run in runs], 0)
    assert known.texts == 1_000_000
    assert sum(len(one.hashes) for one in held.values()) == 1_000_000
    assert sum(len(encode(one)[1]) for one in held.values()) == 10_000_000
    assert written < 100_000_000, "merging all of them costs less than ten times what is new"
    some = held[runs[0].name]
    assert known.contains(some.hashes[:1_000]).all()
    assert not known.contains(rng.integers(0, 2**64 - 1, 10_000, np.uint64)).any()
