"""Hugging Face text classifiers in PyTorch, float32, CPU or CUDA: for checkpoints without export.

Kernels choose their blocking by shape, so a row's last bits follow the number of rows in its call.
Here every length has one row count, always the same; the tail of a call is filled with dummies.
"""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import safetensors
import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from safetensors.torch import load as load_safetensors

from scoring.models.base import (
    CONFIG_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    BadModel,
    Files,
    check_outputs,
    softmax,
)
from scoring.models.cpu import cpu_level
from scoring.models.lengths import Batch, each, group, rows_for, scatter
from scoring.models.tokens import Tokens
from scoring.types import Floats, Model, Outputs

precision = "fp32"

BUDGET = 256  # tokens per call: most of a small group's call is dummies, so not more
HEADER_MAX = 10_000_000  # bytes of a safetensors header: 100,000 tensors cost seconds to parse
_DERIVED = "position_ids"  # older checkpoints store this counting buffer


def build(files: Files, threads: int) -> Model:
    """Load, check and try out. BadModel says what is wrong with the checkpoint."""
    model = TorchModel(files, threads)
    model.probe()
    return model


class TorchModel:
    """One network, called by `threads` workers at a time on CPU, by one on CUDA."""

    def __init__(self, files: Files, threads: int) -> None:
        self.classes = files.labels
        self.fingerprint = files.fingerprint
        on_gpu = torch.cuda.is_available()
        self._device = torch.device("cuda" if on_gpu else "cpu")
        place = torch.cuda.get_device_name() if on_gpu else f"cpu-{cpu_level()}"
        self.engine = f"torch {torch.__version__} {precision} {place}"
        self._tokens = Tokens(files.blob(TOKENIZER_FILE), files.max_length)
        self._max_length = files.max_length
        self._network = _network(files).to(self._device)
        self._head_input = threading.local()  # one per worker: calls overlap
        _last_linear(self._network, len(files.labels)).register_forward_pre_hook(self._keep)
        # One thread per call, as many calls as workers: how a product is split over threads
        # changes its bits. This holds for the process; nothing else here computes with torch.
        torch.set_num_threads(1)
        workers = 1 if on_gpu else threads
        self._pool = ThreadPoolExecutor(workers, "torch") if workers > 1 else None

    def probe(self) -> None:
        """Run a short text, the longest text and the largest id; BadModel if one of them fails."""
        embedding = self._network.get_input_embeddings()
        if self._tokens.id_max >= embedding.weight.shape[0]:
            raise BadModel(
                "tokenizer.json has ids beyond the model's embedding: publish the tokenizer that "
                "the model was trained with"
            )
        longest = np.zeros((1, self._max_length), dtype=np.int64)
        try:
            self._call(Batch(np.zeros(1, np.int64), longest))
        except (IndexError, RuntimeError) as error:
            raise BadModel("the model fails on max_length tokens: lower max_length") from error
        check_outputs(self.run(("a b", "")), 2, self.classes)

    def run(self, texts: Sequence[str]) -> Outputs:
        """See `scoring.types.Model`."""
        if not texts:
            one = self.run(("",))
            hidden = None if one.hidden is None else one.hidden[:0]
            return Outputs(one.logits[:0], one.probs[:0], hidden)
        batches = group(self._tokens.encode(texts), BUDGET)
        parts = each(batches, self._call, self._pool)
        logits = scatter(batches, [part[0] for part in parts], len(texts))
        hidden = scatter(batches, [part[1] for part in parts], len(texts))
        return Outputs(logits, softmax(logits), hidden)

    def close(self) -> None:
        """Stop the workers."""
        if self._pool is not None:
            self._pool.shutdown()

    def _keep(self, _: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self._head_input.value = inputs[0]

    def _call(self, batch: Batch) -> tuple[Floats, Floats]:
        rows, length = batch.ids.shape
        ids = np.zeros((rows_for(length, BUDGET), length), dtype=np.int64)
        ids[:rows] = batch.ids
        with torch.inference_mode():
            given = torch.from_numpy(ids).to(self._device)
            logits = self._network(input_ids=given, attention_mask=torch.ones_like(given)).logits
            hidden = self._head_input.value
            return logits[:rows].cpu().numpy(), hidden[:rows].cpu().numpy()


def _network(files: Files) -> Any:
    """The architecture of config.json with the weights of model.safetensors; no code, no pickle."""
    try:
        config = json.loads(files.blob(CONFIG_FILE))
    except ValueError as error:
        raise BadModel("config.json is not JSON: publish it again") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise BadModel("config.json names no model_type: publish the model's own config")
    if _mentions(config, "auto_map"):
        raise BadModel("config.json asks for code of its own (auto_map): this is never run")
    # A private or attention setting may name kernels to be fetched from elsewhere.
    settings = {k: v for k, v in config.items() if k not in _UNUSED and not k.startswith("_")}
    settings["num_labels"] = len(files.labels)
    try:
        read = transformers.AutoConfig.for_model(config["model_type"], **settings)
        auto: Any = transformers.AutoModelForSequenceClassification  # its methods are untyped
        network = auto.from_config(
            read, dtype=torch.float32, attn_implementation="eager", trust_remote_code=False
        )
        problems = network.load_state_dict(_weights(files), strict=False)
    except _CONFIG_FAULTS as error:
        raise BadModel("config.json and model.safetensors do not make one model") from error
    if problems.missing_keys or problems.unexpected_keys:
        first = (problems.missing_keys + problems.unexpected_keys)[0]
        raise BadModel(f"model.safetensors does not fit config.json, first at {first}")
    return network.eval()


_CONFIG_FAULTS = (
    *(ValueError, TypeError, KeyError, AttributeError, RuntimeError),
    *(ZeroDivisionError, StrictDataclassError),
)
_UNUSED = frozenset(
    {
        *("model_type", "id2label", "label2id", "num_labels", "architectures"),
        *("dtype", "torch_dtype", "attn_implementation", "quantization_config"),
    }
)


def _weights(files: Files) -> dict[str, torch.Tensor]:
    blob = files.blob(WEIGHTS_FILE)
    size = struct.unpack("<Q", blob[:8])[0] if len(blob) >= 8 else 0
    if not 2 <= size <= min(HEADER_MAX, len(blob)):
        raise BadModel("model.safetensors is cut off or no safetensors file: publish it again")
    try:
        tensors = load_safetensors(blob)
    except safetensors.SafetensorError as error:
        raise BadModel("model.safetensors is damaged: publish it again") from error
    kept = {name: value for name, value in tensors.items() if not name.endswith(_DERIVED)}
    return {name: value.float() for name, value in kept.items()}


def _last_linear(network: torch.nn.Module, classes: int) -> torch.nn.Linear:
    """The layer that makes the logits: what it reads is `hidden`."""
    linears = [part for part in network.modules() if isinstance(part, torch.nn.Linear)]
    if not linears or linears[-1].out_features != classes:
        raise BadModel(f"the model's last layer does not give the manifest's {classes} classes")
    return linears[-1]


def _mentions(value: Any, key: str) -> bool:
    """Whether `key` stands anywhere in nested JSON: composite configs nest others."""
    if isinstance(value, dict):
        return key in value or any(_mentions(inner, key) for inner in value.values())
    return isinstance(value, list) and any(_mentions(inner, key) for inner in value)
