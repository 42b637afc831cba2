"""From a Hugging Face checkpoint to an ONNX one: published, loaded and run by the real engines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from daemon.stores.memory import MemoryStore
from scoring import checkpoints, manifest
from scoring.checkpoints import BadCheckpoint, Fault
from scoring.export import export
from scoring.models import onnx as engine
from scoring.models.base import BadModel, Files
from scoring.models.graph import parity
from tests import checkpoint_parts as parts

TEXTS = ("", "set an alarm", "lights on", "rain today", "rain " * 99, "unknown words")


def published(store: MemoryStore, blobs: dict[str, bytes]) -> Files:
    checkpoint = manifest.describe("hf", blobs, parts.LABELS, 64)
    return checkpoints.load(store, checkpoints.put(store, checkpoint, blobs))


def test_an_export_answers_as_its_origin() -> None:
    store = MemoryStore()
    origin = published(store, parts.hf())
    checkpoint, blobs = export(origin, "exported")
    assert (checkpoint.format, checkpoint.name) == ("onnx", "exported")
    assert checkpoint.created_from == origin.fingerprint
    assert (checkpoint.labels, checkpoint.max_length) == (origin.labels, origin.max_length)
    assert export(origin, "exported") == (checkpoint, blobs)  # the same bytes
    files = checkpoints.load(store, checkpoints.put(store, checkpoint, blobs))
    outputs = engine.build(files, 1).run(TEXTS)
    assert outputs.logits.shape == (len(TEXTS), 3)
    assert len(np.unique(outputs.logits, axis=0)) > 3
    assert parity(files, origin, TEXTS) < 1e-4
    assert len(list(checkpoints.list_checkpoints(store))) == 2


def test_a_folder_of_the_export_publishes_with_the_same_cut(tmp_path: Path) -> None:
    for longest in (9, 64):
        manifested = manifest.describe("hf", parts.hf(), parts.LABELS, longest)
        _, blobs = export(checkpoints.as_files(manifested, parts.hf()))
        folder = parts.folder(tmp_path / str(longest), blobs)
        assert checkpoints.read_directory(folder)[0].max_length == longest
        assert export(checkpoints.as_files(manifested, parts.hf()))[1] == blobs


def test_weights_that_are_not_a_number_stop_at_the_engine() -> None:
    tensors = parts.bert_tensors()
    tensors["classifier.weight"][1, 2] = np.nan  # right shapes: nothing before can see it
    blobs = {**parts.hf(), "model.safetensors": safetensors.numpy.save(tensors)}
    checkpoint, exported = export(published(MemoryStore(), blobs))
    with pytest.raises(BadModel, match="NaN"):
        engine.build(checkpoints.as_files(checkpoint, exported), 1)


def test_what_has_no_export_is_refused() -> None:
    store = MemoryStore()
    table = parts.table()
    manifested = manifest.describe("table", table, parts.LABELS, 8)
    with pytest.raises(BadCheckpoint) as caught:
        export(checkpoints.as_files(manifested, table))
    assert caught.value.reason is Fault.UNSUPPORTED
    small = {"bert.pooler.dense.bias": np.zeros(8, np.float32)}
    origin = published(store, {**parts.hf(), "model.safetensors": safetensors.numpy.save(small)})
    with pytest.raises(BadModel, match="classifier"):
        export(origin)
    tiny = {"a": torch.zeros(4, dtype=torch.float8_e4m3fn)}
    origin = published(store, {**parts.hf(), "model.safetensors": safetensors.torch.save(tiny)})
    with pytest.raises(BadCheckpoint) as caught:
        export(origin)
    assert caught.value.reason is Fault.UNSUPPORTED


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_floats_are_exported_as_what_they_are_in_float32(dtype: torch.dtype) -> None:
    store = MemoryStore()
    given = {
        name: torch.from_numpy(value).to(dtype) for name, value in parts.bert_tensors().items()
    }
    given["bert.embeddings.position_ids"] = torch.arange(64)
    wide = {name: value.float() for name, value in given.items()}
    graphs = [
        export(published(store, {**parts.hf(), "model.safetensors": safetensors.torch.save(each)}))
        for each in (given, wide)
    ]
    assert graphs[0][1] == graphs[1][1]
