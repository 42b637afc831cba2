"""The BERT encoder (Devlin et al. 2019, arXiv:1810.04805) as ONNX nodes, from a state dict.

Plain operators of opset 20, so that any runtime reads them. No node mixes rows of a batch.
Shapes in comments: r rows, t tokens, d width, h heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from scoring.models.base import BadModel
from scoring.types import Floats

OPSET = 20  # the first with Gelu
IR_VERSION = 9
_MASKED = np.float32(-1e9)  # added to the scores of padding: exp gives exactly 0

Tensors = Mapping[str, npt.NDArray[Any]]


class BertConfig(msgspec.Struct, frozen=True):
    """The part of a Hugging Face config.json that shapes the graph."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    model_type: str = "bert"
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-12
    position_embedding_type: str = "absolute"
    is_decoder: bool = False


def read_config(config: Mapping[str, Any]) -> BertConfig:
    """BadModel if the config is malformed or of an architecture that this graph cannot say."""
    try:
        bert = msgspec.convert(dict(config), BertConfig)
    except msgspec.ValidationError as error:
        raise BadModel(f"config.json: {error}") from error
    absolute = bert.position_embedding_type == "absolute" and not bert.is_decoder
    if bert.model_type != "bert" or not absolute:
        raise BadModel(
            "config.json: only BERT encoders with absolute positions are exported here; "
            "export other models yourself and publish the ONNX file"
        )
    if bert.hidden_act not in _ACTIVATIONS:
        raise BadModel(f"config.json: hidden_act must be one of {', '.join(_ACTIVATIONS)}")
    if bert.num_attention_heads < 1 or bert.hidden_size % bert.num_attention_heads:
        raise BadModel("config.json: hidden_size must be a multiple of num_attention_heads")
    return bert


_ACTIVATIONS: Mapping[str, tuple[str, dict[str, str]]] = {
    "gelu": ("Gelu", {}),
    "gelu_new": ("Gelu", {"approximate": "tanh"}),
    "gelu_pytorch_tanh": ("Gelu", {"approximate": "tanh"}),
    "relu": ("Relu", {}),
}


class Graph:
    """Collects nodes and weights; every method returns the name of what it computes."""

    def __init__(self, tensors: Tensors, prefix: str) -> None:
        self._tensors = tensors
        self._prefix = prefix
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def tensor(self, name: str) -> Floats:
        """One tensor of the encoder as float32; BadModel if the checkpoint lacks it."""
        full = self._prefix + name
        if full not in self._tensors:
            raise BadModel(f"the checkpoint has no tensor {full}: is it of this architecture?")
        return np.asarray(self._tensors[full], dtype=np.float32)

    def const(self, value: npt.NDArray[Any]) -> str:
        """Add a weight."""
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def ints(self, *values: int) -> str:
        """Add a vector of int64."""
        return self.const(np.array(values, dtype=np.int64))

    def op(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add one node with one output."""
        name = output or f"n{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def linear(self, x: str, weight: Floats, bias: Floats, output: str = "") -> str:
        """x @ weight.T + bias, weight (out, in) as torch keeps it."""
        product = self.op("MatMul", x, self.const(weight.T))
        return self.op("Add", product, self.const(bias), output=output)

    def norm(self, x: str, name: str, eps: float) -> str:
        """LayerNorm over the last axis with the weights of `name`."""
        scale, bias = self.tensor(name + ".weight"), self.tensor(name + ".bias")
        weights = self.const(scale), self.const(bias)
        return self.op("LayerNormalization", x, *weights, axis=-1, epsilon=eps)

    def first(self, x: str) -> str:
        """The first token's (r, 1, d) of (r, t, d)."""
        return self.op("Slice", x, self.ints(0), self.ints(1), self.ints(1))

    def to_bytes(
        self,
        outputs: Mapping[str, tuple[str | int, ...]],
        metadata: Mapping[str, str] = MappingProxyType({}),
    ) -> bytes:
        """Check and serialise, with inputs input_ids and attention_mask (rows, length) int64."""
        info, axes = helper.make_tensor_value_info, ("rows", "length")
        graph = helper.make_graph(
            self._nodes,
            "bert",
            [info(name, TensorProto.INT64, axes) for name in ("input_ids", "attention_mask")],
            [info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
            self._weights,
        )
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))


def encode(graph: Graph, bert: BertConfig, *, first_only: bool) -> str:
    """Hidden states (r, t, d) of the last layer; (r, 1, d) of the first token if `first_only`.

    The last layer then asks with one query a row: a seventh of the work less in six layers.
    """
    mask = graph.op("Cast", "attention_mask", to=TensorProto.FLOAT)
    absent = graph.op("Sub", graph.const(np.ones(1, np.float32)), mask)
    absent = graph.op("Mul", absent, graph.const(np.array([_MASKED])))
    absent = graph.op("Unsqueeze", absent, graph.ints(1, 2))  # (r, 1, 1, t)
    hidden = _embed(graph, bert)
    for index in range(bert.num_hidden_layers):
        last = first_only and index == bert.num_hidden_layers - 1
        hidden = _layer(graph, bert, f"encoder.layer.{index}.", hidden, absent, last)
    return hidden


def _embed(graph: Graph, bert: BertConfig) -> str:
    words = graph.tensor("embeddings.word_embeddings.weight")
    places = graph.tensor("embeddings.position_embeddings.weight")
    segment = graph.tensor("embeddings.token_type_embeddings.weight")[0]  # one sentence: type 0
    looked_up = graph.op("Gather", graph.const(words), "input_ids")
    length = graph.op("Shape", "input_ids", start=1, end=2)
    placed = graph.op("Slice", graph.const(places + segment), graph.ints(0), length)  # (t, d)
    summed = graph.op("Add", looked_up, placed)
    return graph.norm(summed, "embeddings.LayerNorm", bert.layer_norm_eps)


def _layer(graph: Graph, bert: BertConfig, name: str, x: str, absent: str, first: bool) -> str:
    """One post-norm block: attention, Add + LayerNorm, two linears, Add + LayerNorm."""
    heard = _attention(graph, bert, name + "attention.self.", x, absent, first)
    heard = _dense(graph, name + "attention.output.dense", heard)
    if first:
        x = graph.first(x)
    eps = bert.layer_norm_eps
    x = graph.norm(graph.op("Add", heard, x), name + "attention.output.LayerNorm", eps)
    kind, attributes = _ACTIVATIONS[bert.hidden_act]
    wide = graph.op(kind, _dense(graph, name + "intermediate.dense", x), **attributes)
    narrow = _dense(graph, name + "output.dense", wide)
    return graph.norm(graph.op("Add", narrow, x), name + "output.LayerNorm", eps)


def _dense(graph: Graph, name: str, x: str) -> str:
    return graph.linear(x, graph.tensor(name + ".weight"), graph.tensor(name + ".bias"))


def _attention(graph: Graph, bert: BertConfig, name: str, x: str, absent: str, first: bool) -> str:
    heads, width = bert.num_attention_heads, bert.hidden_size
    scale = np.float32(1 / np.sqrt(width // heads))  # folded into the query's weights
    asked = graph.first(x) if first else x
    split = graph.ints(0, 0, heads, width // heads)

    def project(source: str, part: str, factor: np.float32, perm: tuple[int, ...]) -> str:
        weight, bias = graph.tensor(name + part + ".weight"), graph.tensor(name + part + ".bias")
        flat = graph.linear(source, weight * factor, bias * factor)
        return graph.op("Transpose", graph.op("Reshape", flat, split), perm=perm)

    query = project(asked, "query", scale, (0, 2, 1, 3))  # (r, h, t or 1, d/h)
    key = project(x, "key", np.float32(1), (0, 2, 3, 1))  # (r, h, d/h, t)
    value = project(x, "value", np.float32(1), (0, 2, 1, 3))
    scores = graph.op("Add", graph.op("MatMul", query, key), absent)
    mixed = graph.op("MatMul", graph.op("Softmax", scores, axis=-1), value)
    merged = graph.op("Transpose", mixed, perm=(0, 2, 1, 3))
    return graph.op("Reshape", merged, graph.ints(0, 0, width))
