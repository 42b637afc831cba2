"""A Hugging Face folder as a network: its architecture by config.json, weights by safetensors.

Nothing of the folder runs: no code of its own, no pickle, nothing fetched.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

import safetensors
import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from safetensors.torch import load as load_safetensors

from scoring.models.base import CONFIG_FILE, WEIGHTS_FILE, BadModel, Files
from scoring.models.slots import HEAD, NAMES, check_tags, tags_of

HEADER_MAX = 10_000_000  # bytes of a safetensors header: 100,000 tensors cost seconds to parse
_DERIVED = "position_ids"  # older checkpoints store this counting buffer


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """What the files hold. A slot head is no part of any architecture: it stands beside."""

    network: Any
    slots: tuple[torch.Tensor, ...]  # weight (S, d) and bias (S,), reading each last state
    tags: tuple[str, ...]  # S names, or none


def network_of(files: Files) -> Network:
    """The architecture of config.json with the weights of model.safetensors; no code, no pickle.

    Raises BadModel.
    """
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
        tensors = _weights(files)
        head = {name: tensors.pop(name) for name in HEAD if name in tensors}
        problems = network.load_state_dict(tensors, strict=False)
    except _CONFIG_FAULTS as error:
        raise BadModel("config.json and model.safetensors do not make one model") from error
    if problems.missing_keys or problems.unexpected_keys:
        first = (problems.missing_keys + problems.unexpected_keys)[0]
        raise BadModel(f"model.safetensors does not fit config.json, first at {first}")
    tags = tags_of(config.get(NAMES)) if head else ()
    return Network(network.eval().requires_grad_(False), _slot_head(head, tags), tags)


_CONFIG_FAULTS = (
    *(ValueError, TypeError, KeyError, AttributeError, RuntimeError),
    *(ZeroDivisionError, StrictDataclassError),
)
_UNUSED = frozenset(
    {
        *("model_type", "id2label", "label2id", "num_labels", "architectures"),
        *(NAMES, "dtype", "torch_dtype", "attn_implementation", "quantization_config"),
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


def _slot_head(
    tensors: dict[str, torch.Tensor], tags: tuple[str, ...]
) -> tuple[torch.Tensor, ...]:
    if not tensors:
        return ()
    if len(tensors) < len(HEAD) or tensors[HEAD[0]].shape[:1] != tensors[HEAD[1]].shape:
        raise BadModel(f"the slot head needs {' and '.join(HEAD)}, (S, d) and (S,): save both")
    check_tags(tags, len(tensors[HEAD[1]]))
    return tensors[HEAD[0]], tensors[HEAD[1]]


def last_linear(network: torch.nn.Module, classes: int) -> torch.nn.Linear:
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
