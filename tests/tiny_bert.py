"""A random BERT of two layers with a real WordPiece tokenizer: small, quick, and all its parts."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.numpy import load as load_numpy
from safetensors.torch import save as save_torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from scoring.models import graph
from scoring.models.base import Files

LABELS = ("light_on", "light_off", "weather", "music", "timer")
MAX_LENGTH = 32
VOCABULARY = (
    "turn on the light off what is weather play some music set a timer for ten minutes stop it "
    "in kitchen please next song an ##s ##ing ##er ##ed . , ? ! ' - b c d e t ##t ##e ##n"
)
WORDS = VOCABULARY.split()


@cache
def tokenizer_json() -> bytes:
    """BERT's normaliser, pre-tokenizer and template over a few words."""
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *dict.fromkeys(WORDS)]
    table = {word: index for index, word in enumerate(vocab)}
    tokenizer = Tokenizer(models.WordPiece(table, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(vocab[:4])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer.to_str().encode()


def config(**changes: Any) -> dict[str, Any]:
    """config.json of the tiny model."""
    return {
        "model_type": "bert",
        "architectures": ["BertForSequenceClassification"],
        "vocab_size": len(set(WORDS)) + 4,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 40,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        **changes,
    }


@cache
def weights() -> bytes:
    """model.safetensors, larger than trained ones so that probabilities are far from uniform."""
    torch.manual_seed(7)
    settings = {k: v for k, v in config().items() if k not in ("model_type", "architectures")}
    made = transformers.BertConfig(**settings, num_labels=len(LABELS), initializer_range=0.3)
    network = transformers.BertForSequenceClassification(made)
    return save_torch({name: value.clone() for name, value in network.state_dict().items()})


def tensors() -> dict[str, np.ndarray]:
    """The same weights as arrays."""
    return load_numpy(weights())


def files(kind: str, blobs: dict[str, bytes]) -> Files:
    """As the registry hands them over."""
    digest = hashlib.sha256(b"".join(blobs.values())).hexdigest()
    return Files(kind, blobs, LABELS, MAX_LENGTH, digest)  # type: ignore[arg-type]


@cache
def hf_files() -> Files:
    """As `transformers` saves it."""
    parts = {"config.json": json.dumps(config()).encode(), "model.safetensors": weights()}
    return files("hf", {**parts, "tokenizer.json": tokenizer_json()})


@cache
def onnx_files() -> Files:
    """The export."""
    model = graph.sequence_classification(config(), tensors())
    return files("onnx", {"model.onnx": model, "tokenizer.json": tokenizer_json()})
