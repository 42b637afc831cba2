"""Small real checkpoints of every format, as users' libraries write them, and how to spoil them."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from onnx import TensorProto, helper
from tokenizers import Tokenizer, models, pre_tokenizers

from scoring import checkpoints
from scoring.checkpoints import BadCheckpoint, Fault

SECRET = "canary_9f3a"  # stands in files, never in a refusal
LABELS = ("alarm_set", "lights_on", "weather")
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "set", "an", "alarm", "lights", "on", "rain", "today")


def tokenizer() -> bytes:
    """A WordPiece tokenizer of eleven words."""
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    built = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    built.pre_tokenizer = pre_tokenizers.Whitespace()
    return built.to_str().encode()


def config(**changes: object) -> bytes:
    """A config.json of a two-layer BERT with three classes."""
    value = {
        "model_type": "bert",
        "architectures": ["BertForSequenceClassification"],
        "hidden_size": 8,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "vocab_size": len(WORDS),
        "max_position_embeddings": 64,
        "type_vocab_size": 2,
        "id2label": {str(index): label for index, label in enumerate(LABELS)},
    }
    value.update(changes)
    return json.dumps(value).encode()


def bert_tensors(seed: int = 7, scale: float = 0.5) -> dict[str, np.ndarray]:
    """Random weights of that BERT, by the names that transformers gives them."""
    draw = np.random.default_rng(seed)
    shapes = {
        "bert.embeddings.word_embeddings.weight": (len(WORDS), 8),
        "bert.embeddings.position_embeddings.weight": (64, 8),
        "bert.embeddings.token_type_embeddings.weight": (2, 8),
        "bert.pooler.dense.weight": (8, 8),
        "bert.pooler.dense.bias": (8,),
        "classifier.weight": (3, 8),
        "classifier.bias": (3,),
    }
    norms = ["bert.embeddings.LayerNorm"]
    for layer in ("bert.encoder.layer.0.", "bert.encoder.layer.1."):
        for part in ("attention.self.query", "attention.self.key", "attention.self.value"):
            shapes |= {f"{layer}{part}.weight": (8, 8), f"{layer}{part}.bias": (8,)}
        shapes |= {f"{layer}attention.output.dense.weight": (8, 8)}
        shapes |= {f"{layer}attention.output.dense.bias": (8,)}
        shapes |= {f"{layer}intermediate.dense.weight": (16, 8)}
        shapes |= {f"{layer}intermediate.dense.bias": (16,)}
        shapes |= {f"{layer}output.dense.weight": (8, 16), f"{layer}output.dense.bias": (8,)}
        norms += [f"{layer}attention.output.LayerNorm", f"{layer}output.LayerNorm"]
    tensors = {
        name: (draw.standard_normal(shape) * scale).astype(np.float32)
        for name, shape in shapes.items()
    }
    for norm in norms:
        tensors |= {f"{norm}.weight": np.ones(8, np.float32), f"{norm}.bias": np.zeros(8, "f4")}
    return tensors


def hf(**changes: object) -> dict[str, bytes]:
    """Files of a Hugging Face checkpoint; `changes` go to its config."""
    return {
        "config.json": config(**changes),
        "model.safetensors": safetensors.numpy.save(bert_tensors(), {"format": "pt"}),
        "tokenizer.json": tokenizer(),
    }


def onnx() -> dict[str, bytes]:
    """Files of an ONNX checkpoint; its graph is not a useful one."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["logits"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (None, 3))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, (None, 3))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return {
        "labels.json": json.dumps(LABELS).encode(),
        "model.onnx": model.SerializeToString(),
        "tokenizer.json": tokenizer(),
    }


def npz(**arrays: np.ndarray) -> bytes:
    """An npz of these arrays, stored."""
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def table() -> dict[str, bytes]:
    """Files of a table checkpoint."""
    return {"table.npz": npz(labels=np.array(LABELS), weights=np.eye(3, dtype=np.float32))}


def folder(path: Path, blobs: dict[str, bytes]) -> Path:
    """Write the files below `path`, which is made."""
    path.mkdir()
    for name, data in blobs.items():
        (path / name).write_bytes(data)
    return path


KINDS = {"hf": hf, "onnx": onnx, "table": table}


class Runs:
    """A pickle that leaves a mark when it is loaded."""

    def __reduce__(self) -> object:
        return os.system, (f"touch {SECRET}",)


PICKLED = pickle.dumps(Runs())


def bomb() -> bytes:
    """A zip of 50 kB that unpacks to 50 MB."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.pkl", b"\0" * 50_000_000)
    return out.getvalue()


BOMB = bomb()


def refused(path: Path, reason: Fault) -> BadCheckpoint:
    """The folder is refused for this reason, with a hint and without quoting it."""
    with pytest.raises(BadCheckpoint) as caught:
        checkpoints.read_directory(path)
    assert caught.value.reason is reason, caught.value
    assert caught.value.hint
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None  # a cause is printed with its own message
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


def spoilt(tmp_path: Path, kind: str, name: str, data: bytes, reason: Fault) -> BadCheckpoint:
    """The same of a sound checkpoint in which one file holds these bytes."""
    return refused(folder(tmp_path / "m", {**KINDS[kind](), name: data}), reason)
