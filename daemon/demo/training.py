"""A checkpoint of the demo: the frozen sentence encoder with a head that was trained on it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from daemon.demo.encoder import Encoder
from scoring.layouts import LABELS_FILE
from scoring.models.base import ONNX_FILE, TOKENIZER_FILE
from scoring.training.heads import Head


def write_checkpoint(
    folder: Path, head: Head, classes: Sequence[str], name: str, encoder: Encoder
) -> Path:
    """Write `folder/name` with model.onnx, tokenizer.json and labels.json: ready to publish."""
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    (place / ONNX_FILE).write_bytes(encoder.graph(head.weight, head.bias))
    (place / TOKENIZER_FILE).write_bytes(encoder.tokenizer)
    (place / LABELS_FILE).write_text(json.dumps(list(classes)), encoding="utf-8")
    return place
