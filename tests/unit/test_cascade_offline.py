"""A cascade in memory and from a file is that of the stream: the same rows, taus and chances."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from daemon.derived.history import History
from daemon.offline import selection, terms
from daemon.offline.terms import Candidates
from daemon.policy import Kind, Policy, Quarantine
from daemon.ports import LaneId
from daemon.registry.registry import Registry
from daemon.running.engines import Engines
from daemon.shards import seconds
from daemon.shards.shard import ShardManifest
from scoring.types import CODES, Reason
from tests.cascading import COSTLY, SECOND, cascading, one_stage, published
from tests.cases import Case, Edition, Schedule
from tests.selection import WAITS, labelled, lane_split, shard_rows
from tests.streams import CLASSES, KEY, Record, say
from tests.unit.test_agreement import stream
from tests.unit.test_offline_selection import shown, told
from tests.worlds import play, shards

TEMPERED = Kind("tempered", {"score": "el2n_mean", "quarantine": False})


@pytest.mark.parametrize(
    ("candidates", "texts", "second"),
    [(9, 60, SECOND), (24, 90, SECOND), (80, 70, SECOND), (24, 90, TEMPERED)],
)
def test_a_shard_of_a_cascade_is_what_is_selected_in_memory(
    candidates: int, texts: int, second: Kind
) -> None:
    policy = cascading(candidates, second)
    manifest, kept = both(policy, lane_split(labelled(140, texts), 3))
    assert len(kept.rows) == policy.capacity_rows
    assert manifest.agreed.back == 0


def test_what_repeats_bring_back_passes_both_stages() -> None:
    """Each of the two would put a label aside that the checkpoint doubts."""
    second = Kind("default", {"score": "el2n_mean"})
    policy = cascading(
        120, second, capacity_rows=100, select=Kind("default", {"score": "el2n"}),
        quarantine=Quarantine(assumed_rate=0.2),
    )  # fmt: skip
    log = lane_split(stream(1, copied=False), 3)
    manifest, kept = both(policy, log)
    doubted = kept.rows[kept.reasons[kept.rows] == CODES[Reason.SUSPECT]]
    assert 0 < len(doubted) <= manifest.agreed.back


def both(policy: Policy, log: dict[LaneId, list[Record]]) -> tuple[ShardManifest, selection.Kept]:
    """The shard of window 5 and the selection in memory, held against each other."""
    case = Case(log, dict.fromkeys(log, "utterances"), WAITS, (Edition(policy),))
    store = play(case, Schedule(), store=published(policy))
    engines = Engines(store, KEY, threads=1)
    _, rules = History(Registry(store), engines).rules(5)
    engine = engines.of(rules.edition)
    values = [value for lane in sorted(log) for _, value in log[lane]]
    said = engine.decoder.decode(values).utterances
    read, labels = [u.key_text for u in said], [u.label for u in said]
    first = engine.scorer.score(read, labels)
    assert engine.second is not None
    later = engine.second.scorer.score(read, labels)
    scored = replace(first, scores={**first.scores, **later.scores})
    keys = terms.text_keys([u.text for u in said], policy, KEY)
    rows = Candidates(scored, keys, terms.names_of(scored, labels, policy, CLASSES))
    kept = selection.select(rows, rules, policy.capacity_rows)
    assert told(kept, rules, [u.id for u in said], rows.names) == shown(shard_rows(store))
    manifest = shards(store)[5]
    assert kept.taus == {n: t for n, t in manifest.taus.items() if not n.startswith("arm:")}
    return manifest, kept


@pytest.mark.parametrize("identity", ["text", "near-en", "id"])
def test_candidates_are_read_as_records_are(identity: Any) -> None:
    """Parts hold what was said as it was received; the model reads what it is kept once by."""
    policy = cascading(24, identity=identity)
    log = lane_split([say(n, f"Please,  SAY it {n} TIMES", CLASSES[n % 4]) for n in range(60)], 2)
    case = Case(log, dict.fromkeys(log, "utterances"), WAITS, (Edition(policy),))
    store = play(case, Schedule(), store=published(policy))
    registry = Registry(store)
    registry.read_editions()
    engine = Engines(store, KEY, threads=1).of(registry.editions[0])
    said = engine.decoder.decode([v for lane in sorted(log) for _, v in log[lane]]).utterances
    assert {u.key_text == u.text for u in said} == {False}
    read = [u.text if identity == "id" else u.key_text for u in said]
    assert engine.second is not None
    scores = engine.second.scorer.score(read, [u.label for u in said]).scores["tracin"]
    expected = {(f"u/{at // 30}", at % 30): step for at, step in enumerate(scores.tolist())}
    held = seconds.decode(store.get(seconds.name(5))).columns
    found = zip(held["lane"], held["position"], held["score_tracin"], strict=True)
    assert all(expected[lane, position] == step for lane, position, step in found)


def test_rules_of_a_sample_know_how_both_stages_are_spread() -> None:
    policy = cascading()
    store = published(one_stage(policy))
    registry = Registry(store)
    registry.read_editions()
    engine = Engines(store, KEY, threads=1).of(registry.editions[0])
    texts = [f"say {n}" for n in range(300)]
    labels = [CLASSES[n % 4] for n in range(300)]
    scored = engine.scorer.score(texts, labels)
    assert set(COSTLY) < set(scored.scores)
    rows = Candidates(scored, terms.text_keys(texts, policy, KEY), labels)
    rules = terms.rules_for(rows, policy, CLASSES, KEY, 0.1)
    assert rules.second is not None and rules.second.spreads != rules.terms.spreads
    (spread,) = rules.second.spreads
    steps = sorted(scored.scores["el2n_mean"].tolist())
    assert steps[0] <= spread.low < spread.high <= steps[-1]
    kept = selection.select(rows, rules, 8)
    plain = msgspec.structs.replace(one_stage(policy), select=Kind("weighted", {"score": "el2n"}))
    other = selection.select(rows, terms.rules_for(rows, plain, CLASSES, KEY, 0.1), 8)
    assert len(kept.rows) == 8 and kept.rows.tolist() != other.rows.tolist()
