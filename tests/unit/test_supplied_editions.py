"""Every score through real small checkpoints: published, run, replayed; what lacks is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pytest

from daemon import tables
from daemon.clock import SystemClock
from daemon.config.settings import Stream
from daemon.doctor import costs
from daemon.policy import Kind
from daemon.ports import EXIT_CONFIG, Fatal, Store
from daemon.registry.publish import Published
from daemon.registry.registry import Registry
from daemon.running import supplying
from daemon.running.engines import Engines
from daemon.shards import shard
from daemon.stores.memory import MemoryStore
from scoring.catalogue import catalogue
from scoring.models.base import NotInvariant
from scoring.models.torch import TorchModel
from scoring.scores.vog import Vog
from scoring.supplies import SUPPLIERS, Unsupplied
from scoring.types import Floats, Ints, Outputs
from tests import tiny_bert
from tests.cases import Case, Edition, Schedule
from tests.streams import KEY, PERIOD_MS
from tests.supplied import ALL, policy, published, put, records, sample
from tests.worlds import play

STREAM = Stream(period_ms=PERIOD_MS, grace=1, label_wait=0, lag=3)
FORWARD = tuple(entry.name for entry in catalogue() if entry.cost != "backward")


def whole(kind: str, scores: tuple[str, ...]) -> MemoryStore:
    """A store whose edition names all that scores can need."""
    store = MemoryStore()
    history = put(store, kind, 1, 2, 3)
    (reference,) = put(store, kind, 9)
    outcome = published(
        store, kind, policy(kind, scores, history=4, calibrate="temperature"),
        history=history, reference=reference,
        sample=replace(sample(kind), trusted=sample(kind)),
    )  # fmt: skip
    assert isinstance(outcome, Published), outcome
    return store


def copy(store: MemoryStore) -> MemoryStore:
    other = MemoryStore()
    for name in store.list(""):
        other.create(name, store.get(name))
    return other


def run(store: Store, schedule: Schedule) -> dict[str, Any]:
    """Digests of all that was made."""
    (edition,) = (e.policy for e in _editions(store).values())
    case = Case(records(), {}, STREAM, (Edition(edition),))
    play(case, schedule, store=store)
    registry = Registry(store)
    names = [n for n in store.list("shards/") if n.endswith("manifest.json")]
    found = [registry.manifest(int(name.split("/")[1])) for name in names]
    return {str(m.window): (m.rows_digest, tables.digest(m.calibration)) for m in found}


def _editions(store: Store) -> dict[int, Any]:
    registry = Registry(store)
    registry.read_editions()
    return registry.editions


def rows(store: Store) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name in store.list("shards/"):
        if name.endswith("manifest.json"):
            manifest = shard.read_manifest(store.get(name))
            columns, _ = tables.decode(store.get(manifest.rows_object))
            for column, values in columns.items():
                found.setdefault(column, []).extend(values)
    return found


@pytest.mark.parametrize(
    ("kind", "scores"), [pytest.param("torch", ALL, marks=pytest.mark.slow), ("onnx", FORWARD)]
)
def test_every_score_runs_and_replays_to_the_same_digests(
    kind: str, scores: tuple[str, ...]
) -> None:
    origin = whole(kind, scores)
    one, other = copy(origin), copy(origin)
    digests = run(one, Schedule(1, 1, 3, 0, 1))
    assert digests == run(other, Schedule(2, 50, 100, 3, 2))
    assert len(digests) == 4
    columns = rows(one)
    labelled = [label is not None for label in columns["label"]]
    assert any(labelled) and not all(labelled)
    for entry in catalogue():
        if entry.name not in scores:
            continue
        values = columns[f"score_{entry.name}"]
        there = [value is not None for value in values]
        assert there == (labelled if "label" in entry.needs else [True] * len(values)), entry.name
        assert all(0 <= value <= entry.high for value in values if value is not None), entry.name
        assert len({value for value in values if value is not None}) > 2, entry.name


def test_the_edition_names_what_it_was_given_and_nothing_else() -> None:
    (edition,) = _editions(whole("onnx", FORWARD)).values()
    named = edition.supplies
    assert len(named.history) == 3 and named.reference
    assert set(named.temperatures) == {edition.checkpoint, named.reference, *named.history}
    assert len(named.trails) == 5 and max(named.trails) > 0
    assert named.direction is not None and named.direction.classes == 5
    assert edition.half.checkpoint == edition.half_name != edition.checkpoint
    store = MemoryStore()
    published(store, "onnx", policy("onnx", ("entropy",)))
    assert b"supplied" not in store.get("editions/000000.json")
    assert b'"history"' not in store.get("editions/000000.json")
    (plain,) = _editions(store).values()
    assert plain.half_name == plain.checkpoint == plain.half.checkpoint


WANTING = [(e.name, need) for e in catalogue() for need in e.needs if need != "label"]
BY_PUBLISH = (
    *("history", "hidden_history", "gradient", "layer_gradient", "reference", "trails"),
    *("slot_labels", "direction"),
)


@pytest.mark.parametrize(("score", "need"), [w for w in WANTING if w[1] in BY_PUBLISH])
def test_what_nobody_feeds_is_refused_in_one_line_before_anything_is_written(
    score: str, need: str
) -> None:
    kind = "onnx" if need in ("gradient", "layer_gradient") else "torch"
    store = MemoryStore()
    named: dict[str, Any] = {"history": put(store, kind, 1, 2, 3)}
    (named["reference"],) = put(store, kind, 9)
    given, wanted = sample(kind), policy(kind, ("entropy", score))
    if need in ("history", "hidden_history"):
        del named["history"]
    elif need == "reference":
        del named["reference"]
    elif need == "trails":
        given.tags.clear()
    elif need == "slot_labels":
        record = msgspec.structs.replace(wanted.record, tags=msgspec.UNSET)
        wanted = msgspec.structs.replace(wanted, record=record)
    before = list(store.list(""))
    with pytest.raises(Fatal) as caught:
        published(store, kind, wanted, sample=given, **named)
    line = str(caught.value)
    assert caught.value.code == EXIT_CONFIG
    assert "\n" not in line and f"score {score!r}" in line
    expected = "history" if need == "hidden_history" else need
    assert f"{expected!r}" in line and SUPPLIERS[expected] in line
    assert list(store.list("")) == before


def test_too_few_checkpoints_for_vog_are_refused() -> None:
    store = MemoryStore()
    history = put(store, "torch", 1)
    with pytest.raises(Fatal, match="vog needs 4 checkpoints or more, not 2"):
        published(store, "torch", policy("torch", ("vog",)), history=history)


def test_history_is_of_the_editions_before() -> None:
    store = MemoryStore()
    plain = policy("onnx", ("entropy",))
    for seed in (1, 2, 1, 3):
        assert isinstance(published(store, "onnx", plain, seed), Published)
    wanted = policy("onnx", ("entropy", "forgetting"), history=3)
    last = published(store, "onnx", wanted, 4)
    assert isinstance(last, Published)
    made = dict(zip((1, 3), put(store, "onnx", 1, 3), strict=True))
    assert last.edition.supplies.history == (made[1], made[3]), "each once, the newest last"
    assert last.passes == 3
    again = published(store, "onnx", wanted, 3)
    assert isinstance(again, Published)
    assert made[3] not in again.edition.supplies.history, "not before itself"


def test_a_layer_that_the_checkpoint_does_not_have_is_refused() -> None:
    store = MemoryStore()
    wanted = policy("torch", ("grand_layer",))
    wanted = msgspec.structs.replace(wanted, scores=(Kind("grand_layer", {"layer": 2}),))
    with pytest.raises(Fatal) as caught:
        published(store, "torch", wanted)
    assert caught.value.code == EXIT_CONFIG and str(caught.value) == (
        "policy.scores: score 'grand_layer': there is no layer 2, this checkpoint has 2: "
        "options.layer is 0 to 1, or -1 for the last"
    )
    assert not list(store.list(""))


def test_a_layer_costs_one_backward_pass_and_doctor_times_it() -> None:
    store, wanted = MemoryStore(), policy("torch", ("entropy", "grand_layer"))
    outcome = published(store, "torch", wanted, history=put(store, "torch", 1))
    assert isinstance(outcome, Published)
    supplied = outcome.edition.supplies
    assert outcome.passes == supplying.backward(supplied, outcome.needs) == 1
    assert supplying.backward(supplied, frozenset({"gradient", "layer_gradient"})) == 2 + 1
    assert supplying.backward(supplied, frozenset({"history", "label"})) == 0
    engines = Engines(store, KEY, threads=1)
    rows = costs.Rows(tuple(sample("torch").texts[:12]), tiny_bert.LABELS * 2 + ("new", "newer"))
    load = partial(engines.model, outcome.edition)
    told = list(costs.every(SystemClock(), engines.of(outcome.edition), load, rows))
    timed = {cost.name: cost for cost in told if isinstance(cost, costs.Cost)}
    assert timed["grand_layer"].passes == 1 and timed["grand_layer"].seconds > 0
    assert timed["grand"].passes == 0
    unfed = {error.score: error.missing for error in told if isinstance(error, Unsupplied)}
    assert unfed["vog"] == "gradient", "two checkpoints are too few for it"
    engines.close()


def test_a_score_that_fails_is_none_that_lacks_something(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_vog: Vog, _outputs: Outputs) -> Floats:
        raise ValueError("broken")

    store = MemoryStore()
    outcome = published(
        store, "torch", policy("torch", ("entropy",)), history=put(store, "torch", 1)
    )
    assert isinstance(outcome, Published)
    engines = Engines(store, KEY, threads=1)
    monkeypatch.setattr(costs, "catalogue", lambda: [e for e in catalogue() if e.name == "vog"])
    monkeypatch.setattr(Vog, "__call__", broken)
    load = partial(engines.model, outcome.edition)
    rows = costs.Rows(tuple(sample("torch").texts[:2]), tiny_bert.LABELS[:2])
    with pytest.raises(ValueError, match="broken"):
        list(costs.every(SystemClock(), engines.of(outcome.edition), load, rows))
    engines.close()


def test_a_layer_whose_gradient_depends_on_the_batch_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = TorchModel.layer_gradients

    def leaking(self: TorchModel, texts: Sequence[str], classes: Ints, layer: int) -> Floats:
        return real(self, texts, classes, layer) * np.float32(1 + len(texts) / 2**20)

    monkeypatch.setattr(TorchModel, "layer_gradients", leaking)
    store = MemoryStore()
    with pytest.raises(NotInvariant, match="leave scores that need a gradient out"):
        published(store, "torch", policy("torch", ("entropy", "grand_layer")))
    assert not list(store.list(""))


def test_a_temperature_needs_labels_of_the_checkpoint() -> None:
    rows = sample("onnx")
    rows.labels[:] = ["nobody knows"] * len(rows.labels)
    rows.labels[:40] = sample("onnx").labels[:40]
    wanted = policy("onnx", ("entropy",), calibrate="temperature")
    with pytest.raises(Fatal, match=r"policy\.calibrate: the sample has too few rows"):
        published(MemoryStore(), "onnx", wanted, sample=rows)


def test_scores_that_need_no_other_checkpoint_run_none() -> None:
    store = MemoryStore()
    outcome = published(
        store, "onnx", policy("onnx", ("entropy", "el2n")), history=put(store, "onnx", 1, 2)
    )
    assert isinstance(outcome, Published)
    assert outcome.passes == 1
    assert outcome.edition.policy.scores == (Kind("entropy"), Kind("el2n"))
