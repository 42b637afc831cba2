"""A small BERT with two heads, one for the intent and one for the tag of each word.

A checkpoint of it is a text classifier as `transformers` saves one, with the slot head beside it
(scoring.models.slots), so that every engine reads it. Its first tokens' states make the intent
(the pooler of Devlin et al. 2019, arXiv:1810.04805); each word's first token makes its tag.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from safetensors.torch import load, save

from scoring.models.base import CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE, BadModel
from scoring.models.slots import NAMES

STARTING_DEVIATION = 0.02  # of the heads' weights, as BERT begins


@dataclass(frozen=True, slots=True)
class Shape:
    """What the network answers, and how much of the encoder it has."""

    classes: tuple[str, ...]
    tags: tuple[str, ...]  # none: no slot head
    layers: int  # the encoder's first ones


class JointNetwork(torch.nn.Module):
    """(b, t) ids and mask -> (b, k) logits of the intents, (w, S) logits of the tags of w words."""

    def __init__(self, config: Mapping[str, Any], classes: int, tags: int) -> None:
        super().__init__()
        settings = {k: v for k, v in config.items() if not k.startswith("_")}
        made = transformers.BertConfig(**settings)
        made._attn_implementation = "eager"  # one kernel on every machine  # noqa: SLF001
        self.bert: Any = transformers.BertModel(made)
        width = int(config["hidden_size"])
        self.dropout = torch.nn.Dropout(float(config.get("hidden_dropout_prob", 0.1)))
        self.classifier = torch.nn.Linear(width, classes)
        self.slot_classifier = torch.nn.Linear(width, tags) if tags else None

    def forward(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor,
        words: tuple[torch.Tensor, torch.Tensor],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """`words`: of each word its row and its position, (w,) and (w,)."""
        read = self.bert(input_ids=ids, attention_mask=mask)
        intents = self.classifier(self.dropout(read.pooler_output))
        if self.slot_classifier is None:
            return intents, None
        return intents, self.slot_classifier(self.dropout(read.last_hidden_state[words]))


def begin(origin: Mapping[str, bytes], shape: Shape, seed: int) -> JointNetwork:
    """The encoder of `origin` (config.json, model.safetensors) with heads that know nothing yet.

    The embeddings stay as they are: most of a small encoder's weights, which a small set hardly
    moves. Raises BadModel where `origin` is no BERT of as many layers.
    """
    config = configured(origin, shape)
    network = JointNetwork(config, len(shape.classes), len(shape.tags))
    kept = {
        name.removeprefix("bert."): value.float()
        for name, value in load(origin[WEIGHTS_FILE]).items()
        if not name.endswith("position_ids") and not _beyond(name, shape.layers)
    }
    encoder = {name: value for name, value in kept.items() if name in network.bert.state_dict()}
    problems = network.bert.load_state_dict(encoder, strict=False)
    if problems.missing_keys:
        raise BadModel(f"the encoder has no tensor {problems.missing_keys[0]}: is it a BERT?")
    generator = torch.Generator().manual_seed(seed)
    for head in (network.classifier, network.slot_classifier, network.bert.pooler.dense):
        if head is not None:
            torch.nn.init.normal_(head.weight, std=STARTING_DEVIATION, generator=generator)
            torch.nn.init.zeros_(head.bias)
    network.bert.embeddings.requires_grad_(False)
    return network


def configured(origin: Mapping[str, bytes], shape: Shape) -> dict[str, Any]:
    """config.json of the checkpoints. Raises BadModel."""
    config: dict[str, Any] = json.loads(origin[CONFIG_FILE])
    if config.get("model_type") != "bert":
        raise BadModel("joint training starts from a BERT: model_type of config.json is another")
    if not 1 <= shape.layers <= int(config["num_hidden_layers"]):
        raise BadModel(f"the encoder has {config['num_hidden_layers']} layers: take 1 or more")
    numbered = {str(place): name for place, name in enumerate(shape.classes)}
    return {
        **{k: v for k, v in config.items() if k not in ("_name_or_path", "transformers_version")},
        "architectures": ["BertForSequenceClassification"],
        "num_hidden_layers": shape.layers,
        "id2label": numbered,
        "label2id": {name: int(place) for place, name in numbered.items()},
        **({NAMES: list(shape.tags)} if shape.tags else {}),
    }


def written(
    network: JointNetwork, origin: Mapping[str, bytes], shape: Shape, tokenizer: bytes
) -> dict[str, bytes]:
    """The files of a checkpoint in the form of Hugging Face: the same weights, the same bytes."""
    config = json.dumps(configured(origin, shape), indent=1, sort_keys=True, ensure_ascii=False)
    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    return {
        CONFIG_FILE: config.encode(),
        WEIGHTS_FILE: save({name: tensors[name] for name in sorted(tensors)}),
        TOKENIZER_FILE: tokenizer,
    }


def _beyond(name: str, layers: int) -> bool:
    """A tensor of a layer that is not taken."""
    parts: Sequence[str] = name.split(".")
    return "layer" in parts and int(parts[parts.index("layer") + 1]) >= layers
