"""The reference trainer, the encoder under it, and lift with its interval."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.demo import training
from daemon.demo.corpus import Row
from daemon.demo.encoder import Encoder, weights_folder
from daemon.demo.lift import RESAMPLES, differences, lift
from daemon.demo.training import Head, accuracy, fit, hits, indices, tempered, write_checkpoint
from daemon.ports import EXIT_DEPENDENCY, Fatal
from scoring import checkpoints
from scoring.models import onnx as onnx_engine
from scoring.models.base import Files, softmax
from scoring.types import Floats
from tests import tiny_bert

CLASSES = ("a", "b", "c")
TEXTS = ("turn on the light", "Play some  music", "what is weather", "stop", "set a timer")


@cache
def encoder(folder: Path) -> Encoder:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(tiny_bert.config()))
    (folder / "model.safetensors").write_bytes(tiny_bert.weights())
    (folder / "tokenizer.json").write_bytes(tiny_bert.tokenizer_json())
    return Encoder(folder)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return encoder(tmp_path_factory.mktemp("tiny"))


def clouds(count: int, seed: int, spread: float = 0.2) -> tuple[Floats, list[str]]:
    """Points of norm 1 around three directions of eight, classes in turn."""
    generator = np.random.default_rng(seed)
    targets = np.arange(count) % 3
    points = np.eye(3, 8)[targets] + spread * generator.normal(size=(count, 8))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points.astype(np.float32), [CLASSES[t] for t in targets]


def test_features_are_unit_rows_that_ignore_neighbours_order_and_surface(tiny: Encoder) -> None:
    rows = tiny.features(TEXTS)
    assert rows.shape == (5, tiny.dimension)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
    again = tiny.features(["  TURN on the light", *TEXTS[::-1]])
    assert np.array_equal(again, rows[[0, 4, 3, 2, 1, 0]])
    assert tiny.features([]).shape == (0, tiny.dimension)


def test_equal_texts_are_computed_once(tiny: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    run = tiny._model.run
    monkeypatch.setattr(tiny._model, "run", lambda texts: (asked.extend(texts), run(texts))[1])
    tiny.features(["next song", "Next  song", "next song"])
    tiny.features(["next song"])
    assert asked == ["next song"]


def test_long_texts_are_cut_and_empty_ones_have_features_too(tiny: Encoder) -> None:
    rows = tiny.features(["light " * 200, "light " * 300, ""])
    assert np.array_equal(rows[0], rows[1])
    assert np.isfinite(rows).all()


def test_a_missing_encoder_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.demo.encoder.PACKAGE", "no_such_package_of_ours")
    with pytest.raises(Fatal, match=r"utterance-sluice\[demo\]") as caught:
        weights_folder()
    assert caught.value.code == EXIT_DEPENDENCY


def test_a_head_learns_what_can_be_learnt() -> None:
    features, labels = clouds(150, seed=1)
    head = fit(features, labels, CLASSES)
    assert head.weight.shape == (3, 8)
    fresh, truth = clouds(300, seed=2)
    assert accuracy(head, fresh, truth, CLASSES).plain > 0.95
    probs = head.probs(fresh)
    assert probs.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert 0.5 < probs.max(axis=1).mean() < 0.999


def test_fit_is_a_function_of_rows_and_seed() -> None:
    features, labels = clouds(90, seed=1, spread=0.6)
    one, other = (fit(features, labels, CLASSES, seed=s) for s in (1, 2))
    assert np.array_equal(one.weight, fit(features, labels, CLASSES, seed=1).weight)
    assert not np.array_equal(one.weight, other.weight)
    half = fit(features, labels, CLASSES, seed=1, steps=20)
    assert not np.array_equal(one.weight, half.weight)


def test_fit_finds_the_optimum_of_its_loss() -> None:
    # the gradient of mean cross-entropy + penalty is near 0 over all rows, as the law says
    features, labels = clouds(60, seed=3, spread=0.7)
    head = fit(features, labels, CLASSES, steps=3_000)
    errors = head.probs(features)
    errors[np.arange(60), indices(labels, CLASSES)] -= 1
    gradient = errors.T @ features / 60 + training.PENALTY * head.weight
    assert np.abs(gradient).max() < 2e-4
    assert np.abs(errors.mean(axis=0)).max() < 2e-4


@given(st.integers(1, 300), st.integers(1, 40))
@settings(max_examples=30)
def test_every_row_is_seen_equally_often(count: int, steps: int) -> None:
    order = training._order(count, steps, 0)
    assert len(order) == steps
    assert {len(batch) for batch in order} == {min(training.BATCH, count)}
    seen = np.bincount(np.concatenate(order), minlength=count)
    assert seen.max() - seen.min() <= 1


@pytest.mark.parametrize("labels", [[], ["a", "z"]])
def test_fit_refuses_what_it_cannot_learn(labels: list[str]) -> None:
    with pytest.raises(ValueError, match="training needs") as caught:
        fit(np.zeros((len(labels), 8), np.float32), labels, CLASSES)
    assert "'z'" not in str(caught.value)


def test_a_temperature_changes_sureness_and_no_answer() -> None:
    features, labels = clouds(90, seed=1, spread=0.6)
    head = fit(features, labels, CLASSES)
    wild = Head(head.weight * 2, head.bias * 2)
    fresh, truth = clouds(600, seed=9, spread=0.6)
    tame = tempered(wild, fresh, truth, CLASSES)
    plain = accuracy(tame, fresh, truth, CLASSES).plain
    sure = [float(h.probs(fresh).max(axis=1).mean()) for h in (wild, tame)]
    assert sure[0] > plain + 0.1
    assert sure[1] == pytest.approx(plain, abs=0.05)
    assert plain == accuracy(wild, fresh, truth, CLASSES).plain
    assert tempered(wild, fresh, ["new"] * 600, CLASSES) is wild


def test_accuracy_by_hand() -> None:
    head = Head(np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
    answers = np.eye(3, dtype=np.float32)[[0, 0, 0, 1, 2]]
    labels = ["a", "a", "b", "b", "new"]  # a class that the head does not know is never right
    assert hits(head, answers, labels, CLASSES).tolist() == [1, 1, 0, 1, 0]
    found = accuracy(head, answers, labels, CLASSES)
    assert found == pytest.approx((3 / 5, (1 + 0.5 + 0) / 3))


def test_a_checkpoint_can_be_published_and_answers_as_its_head(
    tiny: Encoder, tmp_path: Path
) -> None:
    labels = [CLASSES[i % 3] for i in range(len(TEXTS))]
    features = tiny.features(TEXTS)
    head = fit(features, labels, CLASSES, steps=50)
    folder = write_checkpoint(tmp_path, head, CLASSES, "first", tiny)
    assert folder == tmp_path / "first"
    published, blobs = checkpoints.read_directory(folder, name="first")
    assert published.labels == CLASSES
    assert published.max_length == 40
    files = Files("onnx", blobs, CLASSES, published.max_length, "x")
    outputs = onnx_engine.build(files, 1).run([text.casefold() for text in TEXTS])
    assert outputs.logits == pytest.approx(features @ head.weight.T + head.bias, abs=1e-4)


@given(st.integers(1, 5), st.integers(1, 30), st.integers(0, 99))
@settings(max_examples=15)
def test_differences_hold_their_estimate_and_turn_round(seeds: int, rows: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    gains = generator.integers(-1, 2, (seeds, rows)).astype(np.float64)
    labels = [CLASSES[i % 2] for i in range(rows)]
    plain, macro = differences(gains, labels)
    assert plain.estimate == pytest.approx(gains.mean())
    shares = [gains[:, i::2].mean() for i in range(min(2, rows))]
    assert macro.estimate == pytest.approx(np.mean(shares))
    turned = differences(-gains, labels)
    assert (turned[0].low, turned[0].high) == pytest.approx((-plain.high, -plain.low))
    assert plain.low <= plain.high
    assert macro.low <= macro.high


def test_the_interval_is_as_wide_as_the_answers_vary() -> None:
    generator = np.random.default_rng(1)
    gains = np.repeat(generator.integers(0, 2, (1, 400)).astype(np.float64), 3, axis=0)
    plain, macro = differences(gains, ["a"] * 400)
    error = 1.96 * gains[0].std() / 20
    assert plain.high - plain.estimate == pytest.approx(error, rel=0.2)
    assert plain.estimate - plain.low == pytest.approx(error, rel=0.2)
    assert macro == plain  # one class
    seeds = np.repeat(np.array([[0.0], [1.0], [0.0], [1.0]]), 400, axis=1)
    apart, _ = differences(seeds, ["a"] * 400)  # rows agree, seeds do not
    assert apart.high - apart.low > 0.4
    assert RESAMPLES >= 1_000


def test_lift_finds_the_better_arm(tiny: Encoder) -> None:
    words = {"on": "turn on the light", "off": "turn the light off", "play": "play some music"}
    ends = ("", "please", "in kitchen", "for ten minutes", "now", "next", "stop it")
    rows = [Row(f"{text} {end}", intent) for intent, text in words.items() for end in ends]
    wrong = [Row(row.text, {"on": "off", "off": "on"}.get(row.intent, "on")) for row in rows]
    held = [Row(f"{text} {end} .", intent) for intent, text in words.items() for end in ends]
    found = lift(tiny, rows, wrong, held, seeds=2, steps=100)
    assert found.selected.plain > 0.9
    assert found.random.plain < 0.1
    assert found.plain.low > 0.5
    assert found.macro.estimate == pytest.approx(found.selected.macro - found.random.macro)
    same = lift(tiny, rows, rows, held, seeds=2, steps=100)
    assert same.plain == (0, 0, 0)


def test_softmax_of_the_engine_is_the_one_that_was_trained() -> None:
    features, labels = clouds(30, seed=1)
    head = fit(features, labels, CLASSES, steps=30)
    assert np.array_equal(head.probs(features), softmax(features @ head.weight.T + head.bias))


def test_the_real_encoder_tells_commands_apart() -> None:
    real = Encoder()
    rows = real.features(["turn on the lamp", "switch the light on", "what time is it"])
    assert rows.shape == (3, 384)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2
    real.close()
