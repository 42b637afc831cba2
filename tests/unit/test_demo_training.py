"""The sentence encoder of the demo, its checkpoints, and lift."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from daemon.corpus import Row
from daemon.demo.encoder import Encoder, weights_folder
from daemon.demo.lift import lift
from daemon.demo.training import write_checkpoint
from daemon.ports import EXIT_DEPENDENCY, Fatal
from scoring import checkpoints
from scoring.models import onnx as onnx_engine
from scoring.models.base import Files
from scoring.training.heads import fit
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


def test_the_real_encoder_tells_commands_apart() -> None:
    real = Encoder()
    rows = real.features(["turn on the lamp", "switch the light on", "what time is it"])
    assert rows.shape == (3, 384)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2
    real.close()
