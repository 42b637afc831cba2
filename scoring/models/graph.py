"""BERT checkpoints as ONNX files without torch: encoders, classifiers with a new head, exports.

Inputs input_ids and attention_mask, (rows, length) int64; token types are all 0 (one sentence).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from scoring.models import onnx as onnx_engine
from scoring.models.base import BadModel, Files
from scoring.models.onnx_bert import BertConfig, Graph, Tensors, encode, read_config
from scoring.models.slots import HEAD, NAMES, check_tags, tags_of

Pooling = Literal["mean", "cls", "pooler"]
_SMALLEST_NORM = np.float32(1e-12)  # as torch.nn.functional.normalize


def encoder(
    config: Mapping[str, Any],
    tensors: Tensors,
    pooling: Pooling = "mean",
    *,
    normalize: bool = False,
) -> bytes:
    """ONNX bytes with the output `hidden` (rows, d) float32.

    `normalize=True` divides by the Euclidean norm, as all-MiniLM-L6-v2 does.
    """
    bert = read_config(config)
    graph = Graph(tensors, _prefix(tensors))
    _pool(graph, bert, pooling, normalize)
    return graph.to_bytes({"hidden": ("rows", bert.hidden_size)})


def classifier(
    config: Mapping[str, Any],
    tensors: Tensors,
    *,
    head_weight: npt.NDArray[Any],
    head_bias: npt.NDArray[Any],
    pooling: Pooling = "mean",
    normalize: bool = False,
    scale: float = 1.0,
    tags: Sequence[str] = (),
) -> bytes:
    """ONNX bytes with `logits` = scale * hidden @ head_weight.T + head_bias, and `hidden`.

    `head_weight` (k, d), `head_bias` (k,). `hidden` (rows, d) is what the head reads. A slot head
    among the tensors (scoring.models.slots) adds `slot_logits` and `slot_hidden`, and the names
    of its tags.
    """
    bert = read_config(config)
    weight = np.asarray(head_weight, dtype=np.float32) * np.float32(scale)
    bias = np.asarray(head_bias, dtype=np.float32)
    if weight.ndim != 2 or weight.shape[1] != bert.hidden_size or bias.shape != weight.shape[:1]:
        raise BadModel(
            f"the head is {weight.shape} and {bias.shape}, but this encoder wants "
            f"(classes, {bert.hidden_size}) and (classes,)"
        )
    graph = Graph(tensors, _prefix(tensors))
    joint = HEAD[0] in tensors
    hidden = _pool(graph, bert, pooling, normalize, slots=joint)
    graph.linear(hidden, weight, bias, output="logits")
    outputs = {"logits": ("rows", len(bias)), "hidden": ("rows", bert.hidden_size)}
    if not joint:
        return graph.to_bytes(outputs)
    slots = [np.asarray(tensors[name], np.float32) for name in HEAD if name in tensors]
    if len(slots) < len(HEAD) or len(slots[0]) != len(slots[1]):
        raise BadModel(f"the slot head needs {' and '.join(HEAD)}, (S, d) and (S,): save both")
    check_tags(tags, len(slots[1]))
    graph.linear("slot_hidden", slots[0], slots[1], output="slot_logits")
    of_words = {
        "slot_logits": ("rows", "length", len(slots[1])),
        "slot_hidden": ("rows", "length", bert.hidden_size),
    }
    names = msgspec.json.encode(list(tags)).decode()
    return graph.to_bytes({**outputs, **of_words}, {NAMES: names} if tags else {})


def sequence_classification(config: Mapping[str, Any], tensors: Tensors) -> bytes:
    """ONNX bytes of a BertForSequenceClassification state dict: pooler, then its classifier."""
    missing = [name for name in ("classifier.weight", "classifier.bias") if name not in tensors]
    if missing:
        raise BadModel(f"the checkpoint has no tensor {missing[0]}: it is not a text classifier")
    return classifier(
        config,
        tensors,
        head_weight=tensors["classifier.weight"],
        head_bias=tensors["classifier.bias"],
        pooling="pooler",
        tags=tags_of(config.get(NAMES)),
    )


def parity(files_onnx: Files, files_hf: Files, texts: Sequence[str]) -> float:
    """Largest absolute difference of probabilities and logits between an export and its origin.

    A text goes through both engines whole: tokenizer, model, softmax.
    """
    from scoring.models import torch as torch_engine  # heavy, and only an export needs it

    ours, theirs = onnx_engine.build(files_onnx, 1), torch_engine.build(files_hf, 1)
    try:
        one, other = ours.run(texts), theirs.run(texts)
    finally:
        ours.close()
        theirs.close()
    if not texts:
        return 0.0
    differences = np.abs(one.logits - other.logits), np.abs(one.probs - other.probs)
    return float(max(difference.max() for difference in differences))


def _prefix(tensors: Tensors) -> str:
    """Classifiers keep their encoder under `bert.`, bare encoders at the root."""
    return "bert." if any(name.startswith("bert.") for name in tensors) else ""


def _pool(
    graph: Graph, bert: BertConfig, pooling: Pooling, normalize: bool, *, slots: bool = False
) -> str:
    """Add everything up to `hidden` (rows, d); with `slots` also `slot_hidden` (rows, t, d)."""
    first_only = pooling != "mean" and not slots
    states = encode(graph, bert, first_only=first_only)
    if slots:
        graph.op("Identity", states, output="slot_hidden")
    if pooling == "mean":
        pooled = _mean(graph, states)  # (rows, 1, d)
    else:
        pooled = states if first_only else graph.first(states)
    last = "" if normalize or pooling == "pooler" else "hidden"
    pooled = graph.op("Squeeze", pooled, graph.ints(1), output=last)
    if pooling == "pooler":
        weight, bias = graph.tensor("pooler.dense.weight"), graph.tensor("pooler.dense.bias")
        dense = graph.linear(pooled, weight, bias)
        pooled = graph.op("Tanh", dense, output="" if normalize else "hidden")
    if normalize:
        norm = graph.op("ReduceL2", pooled, graph.ints(-1), keepdims=1)
        norm = graph.op("Max", norm, graph.const(np.array([_SMALLEST_NORM])))
        pooled = graph.op("Div", pooled, norm, output="hidden")
    return pooled


def _mean(graph: Graph, states: str) -> str:
    """Mean of the states of real tokens, (rows, 1, d).

    Written as a product with the mask: a reduction over tokens may take another path for one row
    than for many, a product of one row's own matrices never does.
    """
    mask = graph.op("Cast", "attention_mask", to=1)
    count = graph.op("ReduceSum", mask, graph.ints(1), keepdims=1)
    shares = graph.op("Unsqueeze", graph.op("Div", mask, count), graph.ints(1))  # (rows, 1, t)
    return graph.op("MatMul", shares, states)
