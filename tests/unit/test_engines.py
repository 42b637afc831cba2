"""Refusals of the PyTorch engine and of tables; lengths; names of CPUs."""

from __future__ import annotations

import dataclasses
import io
import json
import pickle
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.models import lengths, table, torch_network
from scoring.models import torch as engine
from scoring.models.base import BadModel, Files
from scoring.models.cpu import cpu_level, level_of
from scoring.models.lengths import Batch
from tests import tiny_bert

LISTS = st.lists(st.lists(st.integers(0, 999), min_size=1, max_size=9), max_size=60)


@given(ids=LISTS, budget=st.integers(1, 40))
def test_batches_hold_every_text_once_at_its_own_length(ids: list[list[int]], budget: int) -> None:
    batches = lengths.group(ids, budget)
    assert sorted(row for batch in batches for row in batch.rows.tolist()) == [*range(len(ids))]
    for batch in batches:
        assert batch.ids.tolist() == [ids[row] for row in batch.rows]
        assert batch.ids.size <= budget or len(batch.rows) == 1
        assert batch.rows.tolist() == sorted(batch.rows)
    per_length = [batch.ids.shape[1] for batch in batches]
    assert per_length == sorted(per_length)


@given(ids=LISTS, threads=st.integers(1, 3))
def test_scatter_brings_results_home(ids: list[list[int]], threads: int) -> None:
    def call(batch: Batch) -> np.ndarray:
        return np.stack([batch.ids.sum(axis=1), batch.ids[:, 0]], axis=1)

    if not ids:
        return
    with ThreadPoolExecutor(threads) as pool:
        batches = lengths.group(ids, 12)
        parts = lengths.each(batches, call, pool if threads > 1 else None)
    whole = lengths.scatter(batches, parts, len(ids))
    assert whole.tolist() == [[sum(row), row[0]] for row in ids]


def test_a_failing_batch_fails_the_run() -> None:
    def call(batch: Batch) -> None:
        raise ZeroDivisionError(len(batch.rows))

    with ThreadPoolExecutor(2) as pool, pytest.raises(ZeroDivisionError):
        lengths.each(lengths.group([[1], [1, 2], [3]]), call, pool)


def test_cpu_levels(tmp_path: Path) -> None:
    assert level_of(frozenset({"avx2", "avx512f", "amx_tile"}), "x86_64") == "amx"
    assert level_of(frozenset({"avx2", "avx512f"}), "x86_64") == "avx512"
    assert level_of(frozenset({"avx2", "sse"}), "x86_64") == "avx2"
    assert level_of(frozenset(), "AARCH64") == "aarch64"
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512f\n\nflags: amx_tile\n")
    assert cpu_level(info) == "avx512"
    assert cpu_level(tmp_path / "absent") == level_of(frozenset(), __import__("platform").machine())


def hf(**blobs: bytes) -> Files:
    names = {"config": "config.json", "weights": "model.safetensors", "words": "tokenizer.json"}
    changed = {names[name]: blob for name, blob in blobs.items()}
    return tiny_bert.files("hf", {**tiny_bert.hf_files().blobs, **changed})


def config(**changes: object) -> bytes:
    return json.dumps(tiny_bert.config(**changes)).encode()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "not JSON"),
        (b"[]", "no model_type"),
        (b'{"model_type": 7}', "no model_type"),
        (config(auto_map={"AutoModel": "x--y.Z"}), "auto_map"),
        (config(vision_config={"deep": [{"auto_map": {}}]}), "auto_map"),
        (config(model_type="no-such-model"), "do not make one model"),
        (config(hidden_size="wide"), "do not make one model"),
        (config(num_attention_heads=0), "do not make one model"),
        (config(hidden_size=64), "do not make one model"),
        (config(num_hidden_layers=3), "first at bert.encoder.layer.2"),
        (config(num_hidden_layers=1), "first at bert.encoder.layer.1"),
    ],
)
def test_bad_configs_are_refused(raw: bytes, message: str) -> None:
    with pytest.raises(BadModel, match=message):
        engine.build(hf(config=raw), 1)


def header(size: int) -> bytes:
    return struct.pack("<Q", size)


GOOD = tiny_bert.weights()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        GOOD[:7],
        GOOD[:100],
        GOOD[:-1],
        header(2**63) + GOOD[8:],
        header(0) + GOOD[8:],
        header(2) + b"[]",
        header(2) + b"{}" + GOOD,
        pickle.dumps({"weight": [1.0]}, protocol=4),
        GOOD.replace(b'"F32"', b'"F99"', 1),
    ],
)
def test_bad_weights_are_refused(raw: bytes) -> None:
    with pytest.raises(BadModel, match=r"model\.safetensors"):
        engine.build(hf(weights=raw), 1)


def test_long_headers_are_refused_unparsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_network, "HEADER_MAX", 1000)
    with pytest.raises(BadModel, match=r"model\.safetensors is cut off or no"):
        engine.build(hf(), 1)


def test_nan_weights_and_wrong_manifests_are_refused() -> None:
    assert engine.build(hf(), 1).classes == tiny_bert.LABELS
    tail = np.full(2_000, np.nan, np.float32).tobytes()
    with pytest.raises(BadModel, match="NaN"):
        engine.build(hf(weights=GOOD[: -len(tail)] + tail), 1)
    with pytest.raises(BadModel, match="do not make one model"):
        engine.build(dataclasses.replace(hf(), labels=("a", "b")), 1)
    with pytest.raises(BadModel, match="max_length"):
        engine.build(dataclasses.replace(hf(), max_length=41), 1)
    layout = json.loads(tiny_bert.tokenizer_json())
    layout["model"]["vocab"]["extra"] = len(layout["model"]["vocab"])
    with pytest.raises(BadModel, match="beyond the model's embedding"):
        engine.build(hf(words=json.dumps(layout).encode()), 1)


def test_stored_position_ids_and_half_precision_are_read() -> None:
    from safetensors.numpy import save

    extra = {"bert.embeddings.position_ids": np.arange(40)[None]}
    halves = {name: value.astype(np.float16) for name, value in tiny_bert.tensors().items()}
    model = engine.build(hf(weights=save({**halves, **extra}), config=config(dtype="float16")), 1)
    found, full = model.run(["stop it"]), engine.build(hf(), 1).run(["stop it"])
    assert found.logits.dtype == np.float32
    np.testing.assert_allclose(found.logits, full.logits, atol=0.05)


ENTRIES = {"stop": [0.0, 9.0], "\ud800": [3.0, 1.0], "": [1.0, 1.0]}


def test_tables_give_what_was_recorded() -> None:
    files = table.table_files(("a", "b"), ENTRIES)
    outputs = table.build(files, 1).run([*ENTRIES, "Stop"])
    assert outputs.logits[:3].tolist() == [*ENTRIES.values()]
    assert outputs.logits[3].tolist() != [0.0, 9.0]
    assert b"stop" not in files.blobs["table.npz"], "no text in the file"


def test_tables_are_made_alike_and_differ_by_seed() -> None:
    one, two = (table.table_files(("a", "b"), ENTRIES) for _ in range(2))
    assert one == two
    assert table.table_files(("a", "b"), ENTRIES, seed=1).fingerprint != one.fingerprint
    assert table.table_files(("a", "c"), ENTRIES).fingerprint != one.fingerprint
    texts = [f"text {i}" for i in range(500)]
    probs = table.build(table.table_files(("a", "b", "c")), 1).run(texts).probs
    assert len({row.tobytes() for row in probs}) > 400
    assert probs.max(axis=1).max() > 0.99
    assert probs.max(axis=1).min() < 0.5
    assert set(probs.argmax(axis=1).tolist()) == {0, 1, 2}


def saved(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


BANK, NONE = np.zeros((2, 2), np.float32), np.zeros((0, 16), np.uint8)
PARTS = {"bank": BANK, "digests": NONE, "logits": BANK[:0], "projection": BANK}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"PK\x03\x04",
        saved(bank=BANK),
        saved(**{**PARTS, "bank": BANK[:0]}),
        saved(**{**PARTS, "logits": BANK}),
        saved(**{**PARTS, "projection": BANK[:1]}),
        saved(**{**PARTS, "bank": np.full((2, 2), np.nan)}),
        saved(**{**PARTS, "bank": np.array([[{}, {}]])}),
        table.table_files(("a", "b")).blobs["table.npz"][:-30],
        table.table_files(("a", "b", "c")).blobs["table.npz"],
    ],
)
def test_bad_tables_are_refused(raw: bytes) -> None:
    with pytest.raises(BadModel):
        table.build(Files("table", {"table.npz": raw}, ("a", "b"), 1, "0"), 1)


def test_table_entries_must_fit_the_labels_and_archives_their_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(BadModel, match="one logit for each"):
        table.table_files(("a", "b"), {"x": [1.0]})
    monkeypatch.setattr(table, "SIZE_MAX", 1000)
    with pytest.raises(BadModel, match="unpacks to more"):
        table.build(table.table_files(("a", "b")), 1)
