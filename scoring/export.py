"""From a Hugging Face checkpoint to an ONNX one, which scores faster and needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import safetensors

from scoring import manifest
from scoring.documents import json_object
from scoring.layouts import LABELS_FILE, inspect
from scoring.manifest import BadCheckpoint, Checkpoint, Fault
from scoring.models.base import CONFIG_FILE, ONNX_FILE, TOKENIZER_FILE, WEIGHTS_FILE, Files
from scoring.models.graph import sequence_classification


def export(files: Files, name: str = "") -> tuple[Checkpoint, dict[str, bytes]]:
    """A published "hf" checkpoint -> manifest and files of an "onnx" one, ready to be put.

    The same bytes for the same checkpoint; its manifest names its origin. Labels, tokenizer
    and max_length are kept, the length also where a folder of these files is
    read again. Raises BadCheckpoint, and BadModel for an architecture that has
    no graph here. How far both differ on texts says `scoring.models.graph.parity`.
    """
    if files.kind != "hf":
        raise BadCheckpoint(Fault.UNSUPPORTED, f"format {files.kind}: only hf has an export")
    inspect(files.kind, files.blobs)
    tensors = _tensors(files.blob(WEIGHTS_FILE))
    config = json_object(CONFIG_FILE, files.blob(CONFIG_FILE))
    blobs = {
        LABELS_FILE: msgspec.json.encode(files.labels),
        ONNX_FILE: sequence_classification(config, tensors),
        TOKENIZER_FILE: _cut(files.blob(TOKENIZER_FILE), files.max_length),
    }
    inspect("onnx", blobs)
    described = manifest.describe(
        "onnx", blobs, files.labels, files.max_length, name, files.fingerprint
    )
    return described, blobs


def _cut(tokenizer: bytes, longest: int) -> bytes:
    """The tokenizer with its cut at `longest` tokens: where a folder's max_length is read."""
    value = json_object(TOKENIZER_FILE, tokenizer)
    cut = value.get("truncation")
    if isinstance(cut, dict) and cut.get("max_length") == longest:
        return tokenizer
    fields = {"direction": "Right", "strategy": "LongestFirst", "stride": 0}
    value["truncation"] = {**fields, "max_length": longest}
    return msgspec.json.encode(value)


_DTYPES: Mapping[str, str] = {
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "I64": "<i8",
    "I32": "<i4",
    "U8": "|u1",
    "BOOL": "|b1",  # buffers beside the weights
}


def _tensors(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """By name; bfloat16, which numpy lacks, widened to float32 without loss."""
    tensors: dict[str, npt.NDArray[Any]] = {}
    try:
        entries = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError:
        hint = f"{WEIGHTS_FILE} is damaged; save it again"
        raise BadCheckpoint(Fault.BAD_WEIGHTS, hint) from None
    for name, entry in entries:
        if entry["dtype"] == "BF16":  # the upper half of a float32
            upper = np.frombuffer(entry["data"], "<u2").astype("<u4")
            flat: npt.NDArray[Any] = (upper << np.uint32(16)).view("<f4")
        elif entry["dtype"] in _DTYPES:
            flat = np.frombuffer(entry["data"], _DTYPES[entry["dtype"]])
        else:
            hint = f"{WEIGHTS_FILE}: weights of fewer than 16 bits; save it as float32"
            raise BadCheckpoint(Fault.UNSUPPORTED, hint)
        tensors[name] = flat.reshape(entry["shape"])
    return tensors
