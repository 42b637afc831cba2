"""What every engine is built from, and how it refuses.

A kind of model is a module of this folder with `build(files, threads) -> Model` and `precision`.
Its bytes come verified (digest and size) from the registry; what they say is still not trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec
import numpy as np

from scoring.types import Floats, Model, Outputs

FormatKind = Literal["onnx", "hf", "table"]
ENGINES: Mapping[FormatKind, str] = {"onnx": "onnx", "hf": "torch", "table": "table"}

ONNX_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
TABLE_FILE = "table.npz"


class BadModel(Exception):
    """This checkpoint cannot be used as it is. The message ends with what to do about it."""


class NotInvariant(BadModel):
    """The engine gives a text another score beside other neighbours: replays would differ."""


@dataclass(frozen=True, slots=True)
class Files:
    """One checkpoint in memory. `blobs` maps file names to verified bytes."""

    kind: FormatKind
    blobs: Mapping[str, bytes]
    labels: tuple[str, ...]  # class names in the order of the logits
    max_length: int  # tokens a text is cut at, special tokens included
    fingerprint: str  # digest of the checkpoint's manifest

    def blob(self, name: str) -> bytes:
        """Bytes of one file; BadModel if the checkpoint has none of that name."""
        if name not in self.blobs:
            raise BadModel(f"the checkpoint has no {name}: publish it again with this file")
        return self.blobs[name]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a deployment may choose about an engine; none of it changes a score."""

    threads: int = 1  # batches scored at the same time, each on one core


class Kind(Protocol):
    """What a module of this folder offers when it is a kind of model."""

    precision: str

    def build(self, files: Files, threads: int) -> Model: ...


def softmax(logits: Floats) -> Floats:
    """(..., k) float32 -> (..., k) float32, rows sum to 1.

    Row by row in contiguous memory, so that a row's bits do not depend on its neighbours.
    """
    rows = np.ascontiguousarray(logits, dtype=np.float32)
    powers: Floats = np.exp(rows - rows.max(axis=-1, keepdims=True))
    probs: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return probs


def check_outputs(outputs: Outputs, rows: int, labels: tuple[str, ...]) -> None:
    """BadModel unless logits are finite and (rows, classes): a first run of a loaded model."""
    if outputs.logits.shape != (rows, len(labels)):
        raise BadModel(
            f"the model gives logits of shape {outputs.logits.shape} for {rows} texts, but the "
            f"manifest names {len(labels)} labels: publish it with the model's own label list"
        )
    finite = np.isfinite(outputs.logits).all()
    if outputs.hidden is not None:
        finite = finite and np.isfinite(outputs.hidden).all()
    if not finite:
        raise BadModel("the model gives NaN or infinite outputs: its weights are damaged")
