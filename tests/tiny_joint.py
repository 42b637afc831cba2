"""Tiny joint checkpoints, several of one run: real engines, real files, a slot head, a history."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import torch
import transformers
from safetensors.numpy import save

from scoring import manifest
from scoring.export import export
from scoring.manifest import Checkpoint
from scoring.models.base import Files
from tests import tiny_bert

TAGS = ("O", "B-room", "B-artist", "B-minutes")
WIDTH = 32
MAX_LENGTH = 24


@cache
def tensors(seed: int, labels: tuple[str, ...] = tiny_bert.LABELS) -> dict[str, np.ndarray]:
    """State dict of one checkpoint: the first one's weights, moved a little by `seed`."""
    settings = {
        k: v for k, v in tiny_bert.config().items() if k not in ("model_type", "architectures")
    }
    torch.manual_seed(11)
    made = transformers.BertConfig(**settings, num_labels=len(labels), initializer_range=0.3)
    network = transformers.BertForSequenceClassification(made)
    state = {name: value.numpy().copy() for name, value in network.state_dict().items()}
    r = np.random.default_rng(5)
    state["slot_classifier.weight"] = r.normal(size=(len(TAGS), WIDTH)).astype(np.float32)
    state["slot_classifier.bias"] = r.normal(size=len(TAGS)).astype(np.float32)
    moved = np.random.default_rng(100 + seed)
    return {
        name: value + (0.08 * moved.normal(size=value.shape)).astype(np.float32) * bool(seed)
        for name, value in state.items()
    }


def described(
    seed: int, labels: tuple[str, ...] = tiny_bert.LABELS
) -> tuple[Checkpoint, dict[str, bytes]]:
    """In the form of Hugging Face."""
    config = tiny_bert.config(
        slot_labels=list(TAGS), id2label={str(i): name for i, name in enumerate(labels)}
    )
    blobs = {
        "config.json": json.dumps(config).encode(),
        "model.safetensors": save(tensors(seed, labels)),
        "tokenizer.json": tiny_bert.tokenizer_json(),
    }
    return manifest.describe("hf", blobs, labels, MAX_LENGTH, f"step-{seed}"), blobs


def exported(seed: int) -> tuple[Checkpoint, dict[str, bytes]]:
    """In the form of ONNX."""
    return export(files(*described(seed)), f"step-{seed}")


def files(checkpoint: Checkpoint, blobs: dict[str, bytes]) -> Files:
    """As an engine is built from it."""
    digest = manifest.digest(checkpoint)
    return Files(checkpoint.format, blobs, checkpoint.labels, checkpoint.max_length, digest)
