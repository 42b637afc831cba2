"""A second stage in a configuration: what cannot be is refused in one line, before it runs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from daemon.config.reader import parse
from daemon.config.sanity import advice
from daemon.lanes import part as parts
from daemon.learning.cascade import Cascade
from daemon.policy import Kind
from daemon.ports import EXIT_CONFIG, Fatal
from daemon.registry.publish import Published
from daemon.shards import seconds
from daemon.stores.memory import MemoryStore
from tests.selection import labelled, lane_split
from tests.streams import ListSource, World
from tests.supplied import policy, published, put
from tests.unit.test_config import BASE, message

GOOD = {
    "candidates": "2000",
    "scores": "[{kind: vog}]",
    "select": "{kind: weighted, options: {score: vog}}",
}


def text(more: str = "rolling: null", **changes: str) -> str:
    cascade = ", ".join(f"{name}: {value}" for name, value in {**GOOD, **changes}.items())
    return f"{BASE}policy: {{cascade: {{{cascade}}}, {more}}}"


REFUSED: dict[str, tuple[str, str]] = {
    "rolling": (
        text("capacity_rows: 10"),
        (
            "policy.cascade: weighs the candidates of one window, and a rolling reservoir would "
            "need those of many; set policy.rolling to null, or leave the cascade out"
        ),
    ),
    "few": (
        text(candidates="1000"),
        (
            "policy.cascade.candidates: 1000 is not above capacity_rows 1000, so the second stage "
            "would have nothing to choose from"
        ),
    ),
    "none": (text(candidates="0"), "policy.cascade.candidates: must be at least 1, found 0"),
    "share": (
        text(candidates="0.1"),
        "policy.cascade.candidates: expected a whole number, found 0.1",
    ),
    "empty": (
        text(scores="[]", select="{kind: weighted}"),
        (
            "policy.cascade.scores: is empty, so candidates would be weighed by what is known of "
            "every utterance; let policy.select do that"
        ),
    ),
    "twice": (
        text(scores="[{kind: vog}, {kind: el2n}]"),
        "policy.cascade.scores: computes el2n twice, or policy.scores does already; name it once",
    ),
    "unknown": (
        text(scores="[{kind: vogue}]"),
        "policy.cascade.scores[0].kind: there is no such kind in scoring/scores; did you mean vog?",
    ),
    "not computed": (
        text(select="{kind: weighted, options: {score: tracin}}"),
        "policy.cascade.select: weighs tracin, which policy.cascade.scores does not compute",
    ),
    "audit": (
        text("rolling: null, arms: {audit_rows: 0}, quarantine: {assumed_rate: 0.1}"),
        (
            "policy.arms.audit_rows: is 0, but from the audit arm it is learnt how the scores of "
            "policy.cascade are spread"
        ),
    ),
    "newest": (
        text("rolling: null, reservoir: {kind: newest}"),
        (
            "policy.reservoir: newest knows no ranks, so no candidate of policy.cascade would be "
            "better than another; take balanced or uniform"
        ),
    ),
    "tags": (
        text("rolling: null, identity: id", scores="[{kind: vog}, {kind: joint_el2n}]"),
        (
            "policy.cascade.scores: joint_el2n needs slot_labels, which candidates do not carry; "
            "compute it in policy.scores"
        ),
    ),
    "pool": (
        text("rolling: null, pool_rows: 1500"),
        (
            "policy.pool_rows: 1500 is below cascade.candidates, parts would hold 2000 rows all "
            "the same; raise it or leave it out"
        ),
    ),
    "groups": (
        text("rolling: null, groups: {by: [argmax]}, select: {kind: uniform}"),
        (
            "policy.groups.by: does not begin with label, but the policy reads the label, so two "
            "records of one text and group could weigh differently; begin with label, or use "
            "identity id"
        ),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_one_line(case: str) -> None:
    given, expected = REFUSED[case]
    assert message(given) == expected


def test_what_can_be_is_accepted_and_advised() -> None:
    candid = "rolling: null, select: {kind: weighted, options: {score: el2n}}"
    assert list(advice(parse(text(candid)))) == []
    (line,) = advice(parse(text()))
    assert line.startswith("policy.cascade.select: weighs labels, and policy.select does not ask")
    assert parse(text(candid)).policy.pool == 4000, "of 2000 candidates some lose to others"


def cascading(kind: str, scores: tuple[str, ...]) -> Any:
    made = Cascade(24, tuple(map(Kind, scores)), Kind("weighted", {"score": scores[0]}))
    return msgspec.structs.replace(
        policy(kind, ("entropy", "el2n")), capacity_rows=8, rolling=None, cascade=made
    )


@pytest.mark.parametrize(
    ("kind", "scores", "lacks"),
    [
        ("onnx", ("tracin",), "'history'"),
        ("onnx", ("vog",), "engine onnx runs no backward pass"),
        ("onnx", ("rho_loss",), "--reference CHECKPOINT"),
    ],
)
def test_what_nobody_feeds_is_refused_by_publish_which_writes_nothing(
    kind: str, scores: tuple[str, ...], lacks: str
) -> None:
    store = MemoryStore()
    history = put(store, kind, 1, 2, 3) if scores == ("vog",) else ()
    before = list(store.list(""))
    with pytest.raises(Fatal) as caught:
        published(store, kind, cascading(kind, scores), history=history)
    line = str(caught.value)
    assert caught.value.code == EXIT_CONFIG and "\n" not in line and lacks in line
    assert line.startswith(f"policy.cascade.scores: score {scores[0]!r} needs ")
    assert list(store.list("")) == before


def test_utterances_run_one_checkpoint_and_candidates_all() -> None:
    store = MemoryStore()
    outcome = published(
        store, "onnx", cascading("onnx", ("tracin",)), history=put(store, "onnx", 1, 2)
    )
    assert isinstance(outcome, Published)
    assert outcome.passes == 1 and outcome.second == {"label", "history", "hidden_history"}
    assert set(outcome.edition.half.histograms) == {"entropy", "el2n", "tracin"}


def test_without_a_cascade_no_object_names_one() -> None:
    log = lane_split(labelled(40), 2)
    world = World()
    assert world.loop(ListSource(log)).run()
    for name in world.store.list(""):
        assert not name.startswith(seconds.PREFIX)
        if name.startswith(("editions/", "shards/")) and name.endswith(".json"):
            assert b"cascade" not in world.store.get(name)
        if name.startswith(parts.PREFIX):
            assert parts.decode(world.store.get(name)).manifest.version == 1
