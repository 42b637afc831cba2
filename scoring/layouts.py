"""The formats of a checkpoint: which files each has, how large, and what they say of labels.

All checks here come before any library parses a file, and repeat whenever one is loaded.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scoring.containers import check_npz, check_onnx, check_safetensors
from scoring.documents import json_object, json_value, keys_of, vocabulary_end
from scoring.manifest import TOKENS_MAX, BadCheckpoint, Fault, File, check_labels
from scoring.models.base import (
    CONFIG_FILE,
    ONNX_FILE,
    TABLE_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    FormatKind,
)

LABELS_FILE = "labels.json"
MIB = 1024 * 1024
DEFAULT_MAX_LENGTH = 128  # tokens; the 512 characters that a record may have are rarely more
BYTES_MAX: Mapping[str, int] = {
    WEIGHTS_FILE: 4096 * MIB,
    ONNX_FILE: 2048 * MIB - 1,  # protobuf's own limit
    TABLE_FILE: 256 * MIB,
    TOKENIZER_FILE: 20 * MIB,
    LABELS_FILE: 4 * MIB,
    CONFIG_FILE: MIB,
}
FORMATS: Mapping[FormatKind, tuple[str, ...]] = {
    "hf": (CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE),
    "onnx": (LABELS_FILE, ONNX_FILE, TOKENIZER_FILE),
    "table": (TABLE_FILE,),
}
# Keys that make transformers import Python from the folder or from a hub.
CODE_KEYS = frozenset({"auto_map", "custom_pipelines", "trust_remote_code"})


@dataclass(frozen=True, slots=True)
class Inspected:
    """What the files of a checkpoint say of themselves."""

    labels: tuple[str, ...] | None  # None: only the manifest says them
    max_length: int  # tokens, the default where nobody asks for another
    longest: int  # tokens that the weights have positions for


def check_files(kind: FormatKind, files: Iterable[File]) -> None:
    """Exactly the format's names, each within its size: no path, no device name gets further."""
    sizes = {file.name: file.bytes for file in files}
    if sorted(sizes) != sorted(FORMATS[kind]):
        hint = f"format {kind} has exactly the files {', '.join(FORMATS[kind])}"
        raise BadCheckpoint(Fault.BAD_MANIFEST, hint)
    for name, size in sizes.items():
        check_size(name, size)


def check_size(name: str, size: int) -> None:
    """1 .. BYTES_MAX[name] bytes. Raises BadCheckpoint."""
    if size == 0:
        raise BadCheckpoint(Fault.EMPTY, f"{name} has no bytes; save the checkpoint again")
    if size > BYTES_MAX[name]:
        hint = f"{name} has {size} bytes; {BYTES_MAX[name]} are allowed"
        raise BadCheckpoint(Fault.TOO_LARGE, hint)


def inspect(kind: FormatKind, blobs: Mapping[str, bytes]) -> Inspected:
    """Everything that can be known before a parser of weights runs. Raises BadCheckpoint."""
    for name, data in blobs.items():
        check_size(name, len(data))
    found = _INSPECT[kind](blobs)
    if found.labels is not None:
        check_labels(found.labels)
    return found


def _hf(blobs: Mapping[str, bytes]) -> Inspected:
    config = json_object(CONFIG_FILE, blobs[CONFIG_FILE])
    if keys_of(config) & CODE_KEYS:
        hint = f"{CONFIG_FILE} asks for Python code of its own (auto_map); use a built-in class"
        raise BadCheckpoint(Fault.REMOTE_CODE, hint)
    tokenizer = json_object(TOKENIZER_FILE, blobs[TOKENIZER_FILE])
    check_safetensors(WEIGHTS_FILE, blobs[WEIGHTS_FILE])
    rows = config.get("vocab_size")
    if not isinstance(rows, int) or vocabulary_end(tokenizer) > rows:
        hint = f"{TOKENIZER_FILE} has tokens that {CONFIG_FILE} (vocab_size) has no embedding for"
        raise BadCheckpoint(Fault.BAD_VOCABULARY, hint)
    positions = config.get("max_position_embeddings", TOKENS_MAX)
    if not isinstance(positions, int) or positions < 3:
        raise BadCheckpoint(Fault.BAD_LENGTH, f"{CONFIG_FILE}: max_position_embeddings is no size")
    if str(config.get("model_type")) in _SHIFTED:
        padding = config.get("pad_token_id")
        positions = max(1, positions - 1 - (padding if isinstance(padding, int) else 0))
    return _limited(_mapped_labels(config.get("id2label")), tokenizer, min(positions, TOKENS_MAX))


# Their position embeddings start behind the padding token's (RoBERTa and its children).
_SHIFTED = frozenset({"roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "mpnet"})


def _onnx(blobs: Mapping[str, bytes]) -> Inspected:
    check_onnx(ONNX_FILE, blobs[ONNX_FILE])
    tokenizer = json_object(TOKENIZER_FILE, blobs[TOKENIZER_FILE])
    labels = json_value(LABELS_FILE, blobs[LABELS_FILE])
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        hint = f"{LABELS_FILE} is a JSON list of strings in the order of the logits"
        raise BadCheckpoint(Fault.BAD_LABELS, hint)
    return _limited(tuple(labels), tokenizer, TOKENS_MAX)


def _table(blobs: Mapping[str, bytes]) -> Inspected:
    check_npz(TABLE_FILE, blobs[TABLE_FILE])
    with np.load(io.BytesIO(blobs[TABLE_FILE]), allow_pickle=False) as arrays:
        labels = arrays.get("labels")
    if labels is None:
        return Inspected(None, TOKENS_MAX, TOKENS_MAX)
    if labels.dtype.kind != "U" or labels.ndim != 1:
        hint = f"`labels` in {TABLE_FILE} are strings in the order of the logits"
        raise BadCheckpoint(Fault.BAD_LABELS, hint)
    return Inspected(tuple(str(label) for label in labels), TOKENS_MAX, TOKENS_MAX)


_INSPECT: Mapping[FormatKind, Callable[[Mapping[str, bytes]], Inspected]] = {
    "hf": _hf,
    "onnx": _onnx,
    "table": _table,
}


def _limited(labels: tuple[str, ...], tokenizer: dict[str, Any], longest: int) -> Inspected:
    truncation = tokenizer.get("truncation")
    wished = truncation.get("max_length") if isinstance(truncation, dict) else None
    length = wished if isinstance(wished, int) and wished > 0 else DEFAULT_MAX_LENGTH
    return Inspected(labels, min(length, longest), longest)


def _mapped_labels(mapping: object) -> tuple[str, ...]:
    """id2label {"0": ..., "1": ...} -> labels; every index once, none left out."""
    if not isinstance(mapping, dict) or not all(isinstance(v, str) for v in mapping.values()):
        hint = f"{CONFIG_FILE} needs id2label: a name for every class"
        raise BadCheckpoint(Fault.BAD_LABELS, hint)
    if set(mapping) != {str(index) for index in range(len(mapping))}:
        hint = f"id2label in {CONFIG_FILE} must number its {len(mapping)} classes from 0"
        raise BadCheckpoint(Fault.BAD_LABELS, hint)
    return tuple(mapping[str(index)] for index in range(len(mapping)))
