"""Joint training of intents and slots: repeatable, resumable, and read by the engines."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scoring import checkpoints
from scoring.models import torch as engine
from scoring.models.base import BadModel
from scoring.models.tokens import Tokens
from scoring.training import joint
from scoring.training.course import Course
from scoring.training.examples import Examples, examples, tag_names
from scoring.training.joint import Joint
from scoring.training.network import Shape, begin, configured, written
from scoring.training.schedules import Schedule
from scoring.types import NO_LABEL
from tests import tiny_bert

WHERE, WHAT = ("kitchen", "b", "c"), ("light", "music", "weather")
CLASSES = ("play", "set", "turn")
SAY = {"turn": "turn on the", "set": "set an", "play": "play some music"}
EPOCHS = 4


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint, "BATCH", 8)  # several steps in an epoch of 27 rows


def rows() -> list[tuple[str, str, tuple[str, ...]]]:
    made = []
    for intent, start in SAY.items():
        for what in WHAT:
            for where in WHERE:
                words = [*start.split(), what, "in", where]
                tags = ["O"] * len(start.split()) + ["B-thing", "O", "B-place"]
                made.append((" ".join(words), intent, tuple(tags)))
    return made


@cache
def origin() -> dict[str, bytes]:
    config = json.dumps(tiny_bert.config(hidden_dropout_prob=0.1)).encode()
    return {"config.json": config, "model.safetensors": tiny_bert.weights()}


@cache
def tokens() -> Tokens:
    return Tokens(tiny_bert.tokenizer_json(), 16)


@cache
def given_rows() -> Examples:
    texts, intents, tags = zip(*rows(), strict=True)
    return examples(tokens(), texts, intents, tags, CLASSES, NAMES)


NAMES = tag_names([tags for _, _, tags in rows()])
SHAPE = Shape(CLASSES, NAMES, 2)


def course(schedule: Schedule | None = None, seed: int = 0, **changes: Any) -> Course:
    learner = Joint(origin(), SHAPE, given_rows(), seed=seed, **{"rate": 3e-3, **changes})
    return Course(learner, len(rows()), schedule or Schedule(), epochs=EPOCHS, seed=seed)


def finished(made: Course) -> Course:
    while made.done < made.epochs:
        made.epoch()
    return made


def files(made: Course) -> dict[str, bytes]:
    learner = made.learner
    assert isinstance(learner, Joint)
    return written(learner.network, origin(), SHAPE, tiny_bert.tokenizer_json())


@pytest.mark.parametrize("kind", ["full", "dynamic"])
def test_equal_seeds_give_equal_bytes_and_a_resumed_course_the_same(kind: Any) -> None:
    schedule = Schedule(kind=kind, keep=0.5, warm=1, every=1)
    whole = finished(course(schedule))
    assert files(finished(course(schedule))) == files(whole)
    for stop in (1, 3):
        first = course(schedule)
        for _ in range(stop):
            first.epoch()
        torch.manual_seed(99)  # what else used torch meanwhile
        second = course(schedule)
        second.restore(first.state())
        assert files(finished(second)) == files(whole)
    assert files(finished(course(schedule, seed=1))) != files(whole)


def test_keeping_everything_is_training_on_everything() -> None:
    everything = Schedule(kind="dynamic", keep=1.0, warm=1, every=1)
    assert files(finished(course(everything))) == files(finished(course()))


def test_it_learns_intents_and_slots_and_the_errors_fall() -> None:
    made = course(rate=1e-2)
    before = made.learner.measure(lambda _: None)
    made.epochs = 30
    after = finished(made).learner.measure(lambda _: None)
    assert after.error.mean() < before.error.mean() / 3
    assert isinstance(made.learner, Joint)
    classes, tags = made.learner.answers(given_rows())
    assert (classes == given_rows().labels).mean() > 0.9
    pairs = zip(tags, given_rows().tags, strict=True)
    assert np.mean([np.array_equal(said, true) for said, true in pairs]) > 0.9


def test_measuring_changes_nothing_and_rows_keep_their_places() -> None:
    made = course()
    made.epoch()
    before = made.learner.state()
    found = made.learner.measure(lambda _: None)
    after = made.learner.state()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    learner = made.learner
    assert isinstance(learner, Joint)
    for row in (0, 13, 26):
        alone = learner._outputs(given_rows(), np.array([row]))
        label = given_rows().labels[row]
        assert found.answer[row, 0] == pytest.approx(alone.probs[0, label], abs=1e-5)
        error = np.square(alone.probs[0] - np.eye(3)[label]).sum()
        assert alone.slot_probs is not None
        for probs, tag in zip(alone.slot_probs[0], given_rows().tags[row], strict=True):
            error += np.square(probs - np.eye(len(NAMES))[tag]).sum()
        assert found.error[row] == pytest.approx(np.sqrt(error), abs=1e-3)


def test_the_loss_by_hand() -> None:
    learner = Joint(origin(), SHAPE, given_rows(), seed=0)
    batch = np.array([0, 20])
    learner.network.eval()
    outputs = learner._outputs(given_rows(), batch)
    assert outputs.slot_probs is not None
    intents = -np.log(outputs.probs[[0, 1], given_rows().labels[batch]])
    of_words = [
        -np.log(probs[range(len(probs)), given_rows().tags[row]])
        for row, probs in zip(batch, outputs.slot_probs, strict=True)
    ]
    expected = 0.5 * intents.mean() + 0.5 * np.concatenate(of_words).mean()
    assert learner.loss(batch).item() == pytest.approx(expected, abs=1e-5)


def test_rows_without_tags_teach_their_intent_alone() -> None:
    texts, intents, _ = zip(*rows(), strict=True)
    untagged = examples(tokens(), texts, intents, [None] * len(texts), CLASSES, ())
    assert all(set(each.tolist()) == {NO_LABEL} for each in untagged.tags)
    learner = Joint(origin(), Shape(CLASSES, (), 1), untagged, seed=0, rate=3e-3)
    made = finished(Course(learner, len(texts), Schedule(), epochs=2, seed=0))
    classes, tags = learner.answers(untagged)
    assert classes.shape == (27,)
    assert {len(each) for each in tags} == {0}
    assert made.learner.measure(lambda _: None).error.max() <= np.sqrt(2) + 1e-5
    half = [tags if place % 2 else None for place, (_, _, tags) in enumerate(rows())]
    mixed = examples(tokens(), texts, intents, half, CLASSES, NAMES)
    both = Joint(origin(), SHAPE, mixed, seed=0)
    assert torch.isfinite(both.loss(np.arange(27)))
    assert torch.isfinite(both.loss(np.array([0])))  # a batch without any tag


def test_a_checkpoint_is_read_by_the_engine_and_answers_alike(tmp_path: Path) -> None:
    made = finished(course())
    for name, data in files(made).items():
        (tmp_path / name).write_bytes(data)
    checkpoint, blobs = checkpoints.read_directory(tmp_path, name="joint")
    assert checkpoint.labels == CLASSES
    model = engine.build(checkpoints.as_files(checkpoint, blobs), 1)
    texts = [text for text, _, _ in rows()]
    said = model.run(texts)
    model.close()
    learner = made.learner
    assert isinstance(learner, Joint)
    ours = learner._outputs(given_rows(), np.arange(len(texts)))
    assert said.probs == pytest.approx(ours.probs, abs=1e-5)
    assert said.slot_probs is not None
    assert ours.slot_probs is not None
    for one, other in zip(said.slot_probs, ours.slot_probs, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_only_the_first_layers_are_taken_and_embeddings_stay() -> None:
    network = begin(origin(), Shape(CLASSES, NAMES, 1), 0)
    assert not any("layer.1" in name for name in network.state_dict())
    assert configured(origin(), Shape(CLASSES, NAMES, 1))["num_hidden_layers"] == 1
    weights = network.bert.embeddings.word_embeddings.weight
    theirs = tiny_bert.tensors()["bert.embeddings.word_embeddings.weight"]
    assert np.array_equal(weights.detach().numpy(), theirs)
    made = finished(course())
    assert isinstance(made.learner, Joint)
    learnt = made.learner.network.state_dict()
    assert np.array_equal(learnt["bert.embeddings.word_embeddings.weight"].numpy(), theirs)
    assert not any("embeddings" in name for name in made.learner.state())


@pytest.mark.parametrize(("change", "layers", "why"), [
    ({"model_type": "roberta"}, 1, "BERT"), ({}, 3, "layers"), ({}, 0, "layers"),
])  # fmt: skip
def test_an_encoder_that_does_not_fit_is_refused(
    change: dict[str, Any], layers: int, why: str
) -> None:
    wrong = {**origin(), "config.json": json.dumps(tiny_bert.config(**change)).encode()}
    with pytest.raises(BadModel, match=why):
        begin(wrong, Shape(CLASSES, NAMES, layers), 0)


def test_labels_that_are_no_classes_are_refused() -> None:
    texts, intents, tags = zip(*rows(), strict=True)
    unknown = examples(tokens(), texts, ("zanzibar",) * len(texts), tags, CLASSES, NAMES)
    with pytest.raises(ValueError, match="are all classes") as caught:
        Joint(origin(), SHAPE, unknown, seed=0)
    assert "zanzibar" not in str(caught.value)
    assert intents


def test_coarse_measures_are_near_and_training_stays_exact() -> None:
    fine, coarse = course(), course(coarse=True)
    exact, near = (made.learner.measure(lambda _: None) for made in (fine, coarse))
    assert (exact.error != near.error).any()
    np.testing.assert_allclose(exact.error, near.error, rtol=0.05)
    trained, other = finished(fine).learner.state(), finished(coarse).learner.state()
    assert all((trained[name] == other[name]).all() for name in trained)


def test_a_share_of_tokens_is_no_share_of_rows() -> None:
    made = course(Schedule(kind="dynamic", keep=0.5, by="tokens", warm=1, every=1), reduce="sum")
    lengths = made.learner.lengths
    made.epoch()
    made.epoch()
    kept = made.state()["kept"]
    assert 0.3 * lengths.sum() < lengths[kept].sum() <= 0.5 * lengths.sum()
    assert len(kept) < len(lengths) / 2  # a sum of errors prefers long rows
