"""ONNX files that must not be run, and those that run but do not fit their manifest."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from scoring.models import onnx as engine
from scoring.models.base import BadModel
from scoring.models.onnx_checks import check_bytes
from scoring.models.selftest import PROBES, self_test
from tests import tiny_bert

GOOD = tiny_bert.onnx_files().blobs["model.onnx"]


def build(model: bytes, **changes: object) -> engine.Model:
    files = tiny_bert.files("onnx", {**tiny_bert.onnx_files().blobs, "model.onnx": model})
    return engine.build(dataclasses.replace(files, **changes), 1)


def edited(edit: Callable[[onnx.ModelProto], object]) -> bytes:
    model = onnx.load_model_from_string(GOOD)
    edit(model)
    return model.SerializeToString()


def external(model: onnx.ModelProto, location: str = "../../etc/passwd") -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)


def marked(model: onnx.ModelProto) -> None:
    """An address in memory without the flag that says so."""
    external(model, "*/_ORT_MEM_ADDR_/*")
    model.graph.initializer[0].data_location = TensorProto.DEFAULT


def hidden_constant(model: onnx.ModelProto) -> None:
    """External data in the attribute of a node."""
    constant = numpy_helper.from_array(np.zeros(3, np.float32))
    constant.data_location = TensorProto.EXTERNAL
    model.graph.node.append(helper.make_node("Constant", [], ["extra"], value=constant))


def sparse(model: onnx.ModelProto) -> None:
    values = numpy_helper.from_array(np.zeros(3, np.float32), "s")
    values.data_location = TensorProto.EXTERNAL
    indices = numpy_helper.from_array(np.arange(3), "i")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [9]))


def custom(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "ai.onnx.contrib"


def looped(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["x"], body=body))


def branched(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    node = helper.make_node("If", ["c"], ["x"], then_branch=body, else_branch=body)
    model.graph.node.append(node)


def functions(model: onnx.ModelProto) -> None:
    model.functions.append(helper.make_function("own", "f", [], [], [], []))


def newer(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 99


def renamed(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "scores"
    for node in model.graph.node:
        node.output[:] = ["scores" if name == "logits" else name for name in node.output]


def other_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["rows"]))


def per_token(model: onnx.ModelProto) -> None:
    """`hidden` is the last layer's states instead of one row per text."""
    before = next(node for node in model.graph.node if node.op_type == "Squeeze")
    states = before.input[0]
    model.graph.node.append(helper.make_node("Identity", [states], ["states"]))
    for node in model.graph.node:
        node.output[:] = ["pooled" if name == "hidden" else name for name in node.output]
        node.input[:] = ["pooled" if name == "hidden" else name for name in node.input]
    model.graph.node.append(helper.make_node("Identity", ["states"], ["hidden"]))
    shape = ["rows", "length", 32]
    info = helper.make_tensor_value_info("hidden", TensorProto.FLOAT, shape)
    model.graph.output[1].CopyFrom(info)


def damaged(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.raw_data = np.full(len(tensor.raw_data) // 4, np.nan, np.float32).tobytes()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (external, "outside of itself"),
        (marked, "outside of itself"),
        (hidden_constant, "outside of itself"),
        (sparse, "outside of itself"),
        (custom, r"ai\.onnx\.contrib"),
        (looped, "control flow"),
        (branched, "control flow"),
        (functions, "functions"),
    ],
)
def test_files_that_reach_out_are_refused_before_any_runtime(
    edit: Callable[[onnx.ModelProto], None], message: str
) -> None:
    with pytest.raises(BadModel, match=message):
        check_bytes(edited(edit))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (newer, "refuses"),
        (renamed, "no output named logits"),
        (other_input, "inputs must be"),
        (damaged, "NaN"),
        (per_token, "hidden is"),
    ],
)
def test_files_that_cannot_score_are_refused(
    edit: Callable[[onnx.ModelProto], None], message: str
) -> None:
    check_bytes(edited(edit))
    with pytest.raises(BadModel, match=message):
        build(edited(edit))


@pytest.mark.parametrize("size", [0, 1, 100, len(GOOD) // 2, len(GOOD) - 1])
def test_cut_off_files_are_refused(size: int) -> None:
    with pytest.raises(BadModel, match="publish it again"):
        build(GOOD[:size])


@pytest.mark.parametrize("raw", [b"\x80\x04pickle", b"{}", b"PK\x03\x04", bytes(1000)])
def test_garbage_is_refused(raw: bytes) -> None:
    with pytest.raises(BadModel, match="publish it again"):
        build(raw)


def test_a_missing_file_is_named() -> None:
    files = tiny_bert.files("onnx", {"model.onnx": GOOD})
    with pytest.raises(BadModel, match=r"no tokenizer\.json"):
        engine.build(files, 1)


def test_the_manifest_must_fit_the_model() -> None:
    build(GOOD)
    with pytest.raises(BadModel, match="4 labels"):
        build(GOOD, labels=tiny_bert.LABELS[:4])
    with pytest.raises(BadModel, match="6 labels"):
        build(GOOD, labels=(*tiny_bert.LABELS, "more"))
    with pytest.raises(BadModel, match="max_length"):
        build(GOOD, max_length=41)  # the model has 40 positions


def test_ids_beyond_the_embedding_are_refused() -> None:
    layout = json.loads(tiny_bert.tokenizer_json())
    layout["model"]["vocab"]["extra"] = len(layout["model"]["vocab"])
    blobs = {"model.onnx": GOOD, "tokenizer.json": json.dumps(layout).encode()}
    with pytest.raises(BadModel, match="largest id"):
        engine.build(tiny_bert.files("onnx", blobs), 1)


def with_slots() -> bytes:
    """slot_logits: one-hot of the token id modulo 3, so that each token tells its place."""

    def add(model: onnx.ModelProto) -> None:
        nodes = [
            helper.make_node("Mod", ["input_ids", "three"], ["rest"]),
            helper.make_node("OneHot", ["rest", "three", "values"], ["slot_logits"], axis=-1),
        ]
        model.graph.node.extend(nodes)
        values = np.array([0, 5], np.float32)
        consts = (("three", np.array(3, np.int64)), ("values", values))
        model.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in consts)
        shape = ["rows", "length", 3]
        info = helper.make_tensor_value_info("slot_logits", TensorProto.FLOAT, shape)
        model.graph.output.append(info)

    return edited(add)


def test_slots_are_read_at_the_first_token_of_each_word() -> None:
    model = build(with_slots())
    texts = ["turning the lights", "stop", ""]
    slots = model.run(texts).slot_probs
    assert slots is not None
    vocab = json.loads(tiny_bert.tokenizer_json())["model"]["vocab"]
    for text, firsts in zip(texts, (["turn", "the", "light"], ["stop"], []), strict=True):
        found = slots[texts.index(text)]
        assert found.shape == (len(firsts), 3)
        assert found.argmax(axis=1).tolist() == [vocab[word] % 3 for word in firsts]
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    self_test(model, PROBES)
    assert model.run([]).slot_probs == ()
