"""What an ONNX file may contain before any runtime sees it: itself and known operators."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import AttributeProto, TensorProto

from scoring.models.base import BadModel

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
_SUBGRAPHS = (AttributeProto.GRAPH, AttributeProto.GRAPHS)


def check_bytes(model: bytes) -> None:
    """BadModel if the file is damaged or could read, run or loop beyond its own bytes."""
    try:
        proto = onnx.load_model_from_string(model)
    except DecodeError as error:
        raise BadModel("model.onnx is not an ONNX file or is cut off: publish it again") from error
    if not proto.graph.output:
        raise BadModel("model.onnx holds no graph: publish it again")
    if proto.functions:
        raise BadModel("model.onnx defines functions of its own: export it with them inlined")
    for node in proto.graph.node:
        if node.domain not in DOMAINS:
            raise BadModel(f"model.onnx uses operators of {node.domain!r}: only ONNX's are run")
        if any(attribute.type in _SUBGRAPHS for attribute in node.attribute):
            raise BadModel(f"model.onnx has control flow ({node.op_type}): export it without")
    if any(_leads_outside(tensor) for tensor in _tensors(proto)):
        raise BadModel(
            "model.onnx refers to data outside of itself: save it as one file "
            "(onnx.save(..., save_as_external_data=False))"
        )


def _leads_outside(tensor: TensorProto) -> bool:
    """External data includes ONNX Runtime's marker for raw addresses in memory."""
    return tensor.data_location == TensorProto.EXTERNAL or len(tensor.external_data) > 0


def _tensors(proto: onnx.ModelProto) -> Iterator[TensorProto]:
    yield from proto.graph.initializer
    for sparse in proto.graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in proto.graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
