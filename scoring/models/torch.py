"""Hugging Face text classifiers in PyTorch, float32, CPU or CUDA: for checkpoints without export.

Kernels choose their blocking by shape, so a row's last bits follow the number of rows in its call.
Here every length has one row count, always the same; the tail of a call is filled with dummies.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from scoring.grade import take
from scoring.models.base import TOKENIZER_FILE, BadModel, Files, check_outputs, softmax
from scoring.models.cpu import cpu_level
from scoring.models.lengths import Batch, each, group, lengths_of, rows_for, scatter
from scoring.models.slots import by_word
from scoring.models.tokens import Tokens
from scoring.models.torch_layers import Layers
from scoring.models.torch_network import last_linear, network_of
from scoring.types import Floats, Ints, Model, Outputs

precision = "fp32"

BUDGET = 256  # tokens per call: most of a small group's call is dummies, so not more


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
        read = network_of(files)
        self._network = read.network.to(self._device)
        self._layers = Layers(self._network)
        self._slots = tuple(tensor.to(self._device) for tensor in read.slots)
        self.tags = read.tags
        # gradients of two checkpoints can be held against each other where both read alike
        embedding = self._network.get_input_embeddings()
        cut = f"{files.max_length} {embedding.weight.shape[1]}".encode()
        self.reads = hashlib.sha256(files.blob(TOKENIZER_FILE) + cut).hexdigest()
        self._local = threading.local()  # of each worker: calls overlap
        last_linear(self._network, len(files.labels)).register_forward_pre_hook(self._keep)
        embedding.register_forward_hook(self._embedded)
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
            return take(self.run(("",)), np.array([], np.intp))
        ids = self._tokens.encode(texts)
        batches = group(ids, BUDGET)
        parts = each(batches, self._call, self._pool)
        logits = scatter(batches, [part[0] for part in parts], len(texts))
        hidden = scatter(batches, [part[1] for part in parts], len(texts))
        slots = read = None
        if self._slots:
            tags, states = [part[2] for part in parts], [part[3] for part in parts]
            slots, read = by_word(self._tokens, texts, batches, tags, states)
        return Outputs(
            logits, softmax(logits), hidden, slots, slot_hidden=read, lengths=lengths_of(ids)
        )

    def gradients(self, texts: Sequence[str], classes: Ints) -> tuple[Floats, ...]:
        """Per text (L_i, d): the derivative of the logit of `classes[i]` by what the embedding
        layer gives, at each token. A function of text and class alone, to the last bit."""
        batches = group(self._tokens.encode(texts), BUDGET)
        parts = each(batches, lambda batch: self._backward(batch, classes[batch.rows]), self._pool)
        found: dict[int, Floats] = {}
        for batch, part in zip(batches, parts, strict=True):
            found.update(zip(batch.rows.tolist(), part, strict=True))
        return tuple(found[row] for row in range(len(texts)))

    @property
    def layers(self) -> int:
        """How many the encoder has; 0 where no row's gradient can be had by one of them."""
        return len(self._layers.names)

    def layer_gradients(self, texts: Sequence[str], classes: Ints, layer: int) -> Floats:
        """(n,) length of the gradient of each row's cross-entropy by the parameters of a layer;
        a class < 0 is one outside the k. IndexError where there is no such layer."""
        part = self._layers.names[layer]

        def lengths(batch: Batch) -> Floats:
            given = (torch.from_numpy(batch.ids), torch.from_numpy(classes[batch.rows]).long())
            found = self._layers.lengths(part, *(one.to(self._device) for one in given))
            length: Floats = found.cpu().numpy()
            return length

        batches = group(self._tokens.encode(texts), BUDGET)
        return scatter(batches, each(batches, lengths, self._pool), len(texts))

    def close(self) -> None:
        """Stop the workers."""
        if self._pool is not None:
            self._pool.shutdown()

    def _keep(self, _: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self._local.head_input = inputs[0]

    def _embedded(self, _: torch.nn.Module, __: Any, output: torch.Tensor) -> torch.Tensor | None:
        """In a backward run the embeddings are what is derived by: a leaf in place of them."""
        if not torch.is_grad_enabled():
            return None
        self._local.leaf = output.detach().requires_grad_()
        leaf: torch.Tensor = self._local.leaf
        return leaf

    def _given(self, batch: Batch) -> dict[str, torch.Tensor]:
        """The batch and dummies behind it: of every length always as many rows."""
        rows, length = batch.ids.shape
        ids = np.zeros((rows_for(length, BUDGET), length), dtype=np.int64)
        ids[:rows] = batch.ids
        given = torch.from_numpy(ids).to(self._device)
        return {"input_ids": given, "attention_mask": torch.ones_like(given)}

    def _call(self, batch: Batch) -> list[Floats]:
        """Logits and what the last layer read; with a slot head its logits and what it read."""
        with torch.inference_mode():
            whole = self._network(**self._given(batch), output_hidden_states=bool(self._slots))
            found = [whole.logits, self._local.head_input]
            if self._slots:
                states = whole.hidden_states[-1]
                found += [torch.nn.functional.linear(states, *self._slots), states]
            return [tensor[: len(batch.rows)].cpu().numpy() for tensor in found]

    def _backward(self, batch: Batch, classes: Ints) -> Floats:
        given = self._given(batch)
        wanted = torch.zeros(len(given["input_ids"]), dtype=torch.int64)
        wanted[: len(classes)] = torch.from_numpy(classes.astype(np.int64))
        with torch.enable_grad():
            logits = self._network(**given).logits
            chosen = logits[torch.arange(len(wanted)), wanted.to(self._device)]
            # rows do not mix, so the sum's derivative by a row is that of the row's own logit
            (derived,) = torch.autograd.grad(chosen.sum(), self._local.leaf)
        gradient: Floats = derived[: len(classes)].cpu().numpy()
        return gradient
