"""Who contradicts whom does not hang on what pools hold (daemon/shards/rivals.py, law 8)."""

from __future__ import annotations

import itertools
import random
from typing import Any

import msgspec
import pytest

from buffers import draw
from daemon.lanes import ledger
from daemon.offline import selection
from daemon.policy import Arms, Groups, Kind, Quarantine
from daemon.ports import LaneId
from daemon.registry.registry import Registry
from daemon.shards import agreement, late, rivals
from daemon.shards.late import Late
from daemon.shards.pool import Pooled, pooled
from daemon.stores.memory import MemoryStore
from tests.selection import LAST, lane_split, run, shard_rows
from tests.streams import CLASSES, KEY, PERIOD_MS, Record, publish_table, say, small_policy
from tests.unit.test_late_labels import window_parts
from tests.unit.test_offline_selection import candidates, engine_of, shown, told
from tests.worlds import shards

BY_LABEL = Groups(by=("label", "hypothesis", "argmax"), support=3, limit=3, floor_rows=1)
BY_HYPOTHESIS = Groups(by=("hypothesis", "label", "argmax"), support=3, limit=3, floor_rows=1)


class World:
    """One window's records and late labels, looked at through pools of any size."""

    def __init__(self, seed: int, groups: Groups, rate: float = 0.2) -> None:
        rng = random.Random(seed)
        names = [*CLASSES, None]
        if groups is BY_LABEL:  # where groups are not of labels, a ledger knows no others
            names += ["brand_new", "unheard"]
        truth = {text: rng.choice(CLASSES) for text in range(40)}

        def label(text: int) -> str | None:
            return truth[text] if rng.random() < 0.6 else rng.choice(names)

        texts = [int(rng.paretovariate(0.8)) % 40 for _ in range(200)]
        self.values = [
            say(n, f"say {text}", label(text), intent=rng.choice([None, *CLASSES]))
            for n, text in enumerate(texts)
        ]
        said = {f"u{n}": label(text) for n, text in enumerate(texts) if rng.random() < 0.3}
        ids = draw.identity(KEY, "id", list(said)).tolist()
        given = zip(ids, said.values(), strict=True)
        self.late = {(high, low): (name, "annotated") for (high, low), name in given if name}
        self.policy = small_policy(
            arms=Arms(1, 1, 1), select=Kind("default"), groups=groups,
            quarantine=Quarantine(assumed_rate=rate),
        )  # fmt: skip

    def pool(self, pool_rows: int, *, late_labels: bool) -> tuple[Pooled, Any]:
        store = MemoryStore()
        publish_table(Registry(store), msgspec.structs.replace(self.policy, pool_rows=pool_rows))
        parts, engine, rules = window_parts(store, KEY, self.values)
        self.grading = engine.grading
        ledgers = [ledger.read(part.ledger) for part in parts]
        labels = late.match(self.late if late_labels else {}, ledgers)
        asked = rivals.texts(parts, rules, late=late_labels)
        found = rivals.match(asked, ledgers)
        return pooled(parts, engine.grading, rules, labels, rivals=found), rules


def verdicts(pool: Pooled, rules: Any) -> dict[tuple[int, str], bool]:
    """Whether a label of a text stays, of all candidates that are labelled and accepted."""
    columns, stands = pool.columns, agreement.standings(pool.columns, pool.stay, rules)
    lost = agreement.contradictions(stands.items(), pool.agreement, pool.others)
    return {(columns["key_hi"][row], columns["label"][row]): row not in lost for row in stands}


@pytest.fixture
def believing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeats count, however few there are: what is measured of them is another law's."""
    monkeypatch.setattr(agreement, "MINIMUM", 1)
    monkeypatch.setattr(agreement, "ENOUGH", (0, 1))


@pytest.mark.usefixtures("believing")
@pytest.mark.parametrize("late_labels", [False, True], ids=["in time", "late"])
@pytest.mark.parametrize("groups", [BY_LABEL, BY_HYPOTHESIS], ids=["label", "hypothesis"])
@pytest.mark.parametrize("seed", range(12))
def test_pools_decide_who_is_a_candidate_and_not_who_is_believed(
    seed: int, groups: Groups, late_labels: bool
) -> None:
    world = World(seed, groups)
    whole, rules = world.pool(400, late_labels=late_labels)
    everyone = verdicts(whole, rules)
    assert not all(everyone.values()) and len(everyone) > 10
    for pool_rows in (3, 8, 20, 50):
        pool, rules = world.pool(pool_rows, late_labels=late_labels)
        found = verdicts(pool, rules)
        assert found and found == {label: everyone[label] for label in found}
        assert bool(pool.agreement.gain) == (groups is BY_LABEL)


@pytest.mark.parametrize("reservoir", ["balanced", "newest"])
@pytest.mark.parametrize("seed", range(4))
def test_names_that_are_no_class_contradict_each_other_from_outside(
    seed: int, reservoir: str
) -> None:
    """The ledger knows them by their keys alone: names with a group of their own, and the rest."""
    rng, number = random.Random(seed), itertools.count()
    names = ["brand_new", "brand_new", "unheard", "unheard", "rare"]
    records: dict[LaneId, list[Record]] = {LaneId("u", 0): []}
    for window in range(5, LAST + 1):
        texts = [f"say {rng.randrange(30)}" for _ in range(90)]
        values = [say(next(number), text, rng.choice(names)) for text in texts]
        records[LaneId("u", 0)] += lane_split(values, 1, window)[LaneId("u", 0)]
    policy = small_policy(
        capacity_rows=8, groups=Groups(support=30, limit=6, floor_rows=1), reservoir=Kind(reservoir)
    )
    store = run(records, policy)
    for window, manifest in shards(store).items():
        engine, rules = engine_of(store, window)
        assert bool({*rules.groups}.intersection(names)) == (window == LAST)
        own = [r for r in records[LaneId("u", 0)] if r[0] // PERIOD_MS == window]
        rows, ids, _ = candidates(engine, own)
        kept = selection.select(rows, rules, policy.capacity_rows)
        assert told(kept, rules, ids, rows.names) == shown(shard_rows(store, window))
        assert len(kept.contradicted) == manifest.contradictions
        assert manifest.contradictions or reservoir == "newest", "which has no rivals"


def test_a_rival_whose_late_label_nobody_can_judge_is_not_heard() -> None:
    """A roll asks a window for texts of others: the ledger has the label that was corrected."""
    world = World(0, BY_LABEL)
    pool, rules = world.pool(400, late_labels=False)
    key, identity = (rules.index[CLASSES[1]], 11, 12), (7, 7)
    asked = {(False, *key): rivals.Rival(0, 1, 3000, identity, 1)}
    corrected = Late({identity: (CLASSES[2], "annotated")}, {key: (identity,)})
    for given, heard in ((Late.none(), 1), (corrected, 0)):
        told = rivals.standings(asked, set(), pool.columns, {}, given, world.grading, rules)
        assert len(told) == heard
