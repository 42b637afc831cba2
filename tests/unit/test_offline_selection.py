"""The selection in memory is the daemon's: the same rows, ranks, taus and chances, in any world."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from buffers import draw, exact
from buffers.base import NEVER
from daemon.derived.history import History
from daemon.learning.calibration import SCALE
from daemon.learning.rules import Rules
from daemon.offline import selection, terms
from daemon.offline.terms import Candidates
from daemon.policy import Arms, Kind, Learning, Policy, Quarantine
from daemon.ports import LaneId, Store
from daemon.registry.registry import Registry
from daemon.running.engines import Engine, Engines
from scoring.models.table import table_files
from scoring.types import CODES, GRID, REASONS, Reason
from tests.cases import random_policy
from tests.selection import LAST, labelled, lane_split, run, shard_rows
from tests.streams import CLASSES, KEY, Record, reference, say, small_policy
from tests.worlds import shards


def engine_of(store: Store, window: int) -> tuple[Engine, Rules]:
    """What scored and decided a window of a finished run."""
    registry = Registry(store)
    engines = Engines(store, KEY, threads=1)
    _, rules = History(registry, engines).rules(window)
    return engines.of(rules.edition), rules


def candidates(
    engine: Engine, records: list[Record]
) -> tuple[Candidates, list[str], list[str | None]]:
    """Records as rows of a file would be: ids and labels beside them."""
    policy = engine.edition.policy
    said = engine.decoder.decode([value for _, value in records]).utterances
    by_text = policy.identity != "id"
    scored = engine.scorer.score(
        [u.key_text if by_text else u.text for u in said], [u.label for u in said]
    )
    ids, labels = [u.id for u in said], [u.label for u in said]
    keys = terms.id_keys(ids, KEY)
    if by_text:
        keys = terms.text_keys([u.text for u in said], policy, KEY, [u.locale for u in said])
    classes, intents = engine.edition.classes, [u.intent for u in said]
    names = terms.names_of(scored, labels, policy, classes, intents)
    return Candidates(scored, keys, names), ids, labels


def world(seed: int) -> tuple[dict[LaneId, list[Record]], Policy]:
    """Repeats, unknown and missing labels, rubbish, windows 5 to 10."""
    rng = random.Random(seed)
    records: dict[LaneId, list[Record]] = {LaneId("u", n): [] for n in range(rng.choice([1, 3]))}
    number = 0
    for window in range(5, 11):
        values: list[bytes] = []
        for _ in range(rng.randint(30, 90)):
            number += 1
            label = rng.choice([*CLASSES, None, "brand_new", "unheard"])
            more = {"intent": rng.choice([None, *CLASSES]), "locale": rng.choice(["en", "de"])}
            text = f"Say  {int(rng.paretovariate(0.6)) % 60}"
            values.append(rng.choice([b"", b"{"]) if rng.random() < 0.03 else
                          say(number, text, label, **more))  # fmt: skip
        for lane, rows in lane_split(values, len(records), window).items():
            records[lane] += rows
    policy = msgspec.structs.replace(random_policy(rng), arms=Arms(5, 7, 400))
    mapping = msgspec.structs.replace(policy.record, locale="locale")
    return records, msgspec.structs.replace(policy, record=mapping)


@pytest.mark.parametrize("seed", range(8))
def test_a_shard_of_the_daemon_is_what_is_selected_in_memory(seed: int) -> None:
    records, policy = world(seed)
    store = run(records, policy)
    for window, manifest in shards(store).items():
        engine, rules = engine_of(store, window)
        own = [r for lane in sorted(records) for r in records[lane] if r[0] // 1000 == window]
        rows, ids, _ = candidates(engine, own)
        kept = selection.select(rows, rules, policy.capacity_rows)
        assert told(kept, rules, ids, rows.names) == shown(shard_rows(store, window))
        assert kept.taus == {n: t for n, t in manifest.taus.items() if not n.startswith("arm:")}
        assert len(kept.contradicted) == manifest.contradictions
        counted = np.bincount(kept.reasons, minlength=len(REASONS))
        for reason in (Reason.ACCEPTED, Reason.NO_LABEL, Reason.SUSPECT, Reason.OUTSIDE_BAND):
            assert counted[CODES[reason]] == manifest.counts.get(reason, 0)
        for arm in ("audit", "random"):
            keys = terms.id_keys(ids, KEY)
            drawn = selection.sampled(keys, rules, arm, {"audit": 5, "random": 7}[arm])
            found = [row["id"] for row in shard_rows(store, window) if arm in row["arms"]]
            assert sorted(ids[at] for at in drawn) == sorted(found)


def shown(rows: list[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """id -> how it got there, of the selected rows of a shard."""
    columns = ("group", "multiplicity", "weight", "log_rank", "tau", "inclusion_selected")
    return {
        row["id"]: tuple(row[column] for column in columns)
        for row in rows
        if "selected" in row["arms"]
    }


def told(
    kept: selection.Kept, rules: Rules, ids: list[str], names: Sequence[str]
) -> dict[str, tuple[Any, ...]]:
    """The same of a selection in memory."""
    out = {}
    for at, row in enumerate(kept.rows.tolist()):
        group = names[row] if rules.cold else rules.groups[kept.groups[at]]
        tau = int(kept.log_taus[at])
        out[ids[row]] = (
            group,
            int(kept.multiplicity[at]),
            int(kept.weights[at]) / GRID,
            int(kept.log_ranks[at]) / draw.RANK_UNIT,
            None if tau == NEVER else float(exact.exp(np.array([tau / draw.RANK_UNIT]))[0]),
            None if np.isnan(kept.inclusion[at]) else float(kept.inclusion[at]),
        )
    return out


@pytest.mark.parametrize("select", ["weighted", "default"])
def test_a_sample_teaches_what_the_calibration_would(select: str) -> None:
    """Windows 5 and 9 of a store that remembers one window: published half, then what 5 taught."""
    learning = Learning(1, minimum_rows=8)
    policy = small_policy(select=Kind(select), learning=learning)
    records = lane_split(labelled(300), 1)
    for lane, later in lane_split(labelled(50), 1, LAST).items():
        records[lane] += later
    store = run(records, policy)
    engine, first = engine_of(store, 5)
    sample = reference(table_files(CLASSES, seed=0))
    scored = engine.scorer.score(sample.texts, sample.labels)
    rows = Candidates(scored, terms.id_keys(sample.texts, KEY), [])
    published = terms.rules_for(rows, policy, CLASSES, KEY, traffic=False)
    assert alike(published) == alike(first) and not first.cold
    _, taught = engine_of(store, LAST)
    rows, _, _ = candidates(engine, records[LaneId("u", 0)][:300])
    unsaid = msgspec.structs.replace(policy, quarantine=Quarantine())
    made = terms.rules_for(rows, unsaid, CLASSES, KEY, 0.1)
    assert taught.calibration == 5 and made.terms.spreads == taught.terms.spreads
    assert made.terms.suspect_below == taught.terms.suspect_below
    if select == "weighted":  # else window 5 refused by a threshold that it had not taught itself
        assert alike(made) == alike(taught)
    assert taught.terms.spreads != first.terms.spreads


def alike(rules: Rules) -> tuple[Any, ...]:
    """All that decides, but who taught it."""
    quotas = rules.quotas
    columns = (quotas.targets, quotas.floors, quotas.caps, quotas.ties)
    return rules.terms, rules.cold, rules.groups, [column.tolist() for column in columns]


def test_audit_answers_give_the_rate_and_none_gives_a_cold_window() -> None:
    engine, _ = engine_of(run(lane_split(labelled(100), 1), small_policy()), 5)
    rows, _, _ = candidates(engine, lane_split(labelled(200), 1)[LaneId("u", 0)])
    policy = small_policy(quarantine=Quarantine())
    unknown = terms.rules_for(rows, policy, CLASSES, KEY)
    assert unknown.cold and unknown.terms.suspect_below is None and len(unknown.groups) == 1
    below = [
        terms.rules_for(rows, policy, CLASSES, KEY, noise).terms.suspect_below or 0
        for noise in ((100, 1), (100, 10), 0.10, (1000, 300))
    ]
    assert 0 < below[0] < below[1] == below[2] < below[3]
    rules = terms.rules_for(rows, policy, CLASSES, KEY, 0.3)
    accepted = selection.select(rows, rules, 500).reasons == 0
    named = [n for n, ok in zip(rows.names, accepted.tolist(), strict=True) if ok]
    counted = [count // SCALE - 1 for count in rules.terms.classes]
    assert counted == [named.count(name) for name in CLASSES] and not accepted.all()
    few = terms.rules_for(rows, policy, CLASSES, KEY, (49, 5))
    assert few.cold, "fewer answers than minimum_answers say nothing"


def test_another_key_is_another_draw_and_the_order_of_rows_is_none() -> None:
    policy = small_policy(capacity_rows=20)
    engine, rules = engine_of(run(lane_split(labelled(200, 80), 1), policy), 5)
    records = lane_split(labelled(200, 80), 1)[LaneId("u", 0)]

    def kept(order: list[Record], own: Rules) -> list[list[int]]:
        rows, _, _ = candidates(engine, order)
        chosen = selection.select(rows, own, 20).rows
        assert sorted(chosen.tolist()) == chosen.tolist()
        found: list[list[int]] = rows.keys[chosen].tolist()
        return sorted(found)

    assert kept(records, rules) == kept(records[::-1], rules)
    assert kept(records, rules) != kept(records, replace(rules, key=b"another key"))


def test_nothing_is_selected_of_nothing() -> None:
    engine, rules = engine_of(run(lane_split(labelled(100), 1), small_policy()), 5)
    rows, _, _ = candidates(engine, [])
    kept = selection.select(rows, rules, 5)
    assert len(kept.rows) == len(kept.reasons) == len(kept.contradicted) == 0 and not kept.taus
