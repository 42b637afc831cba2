"""The layers of an encoder, and how long the gradient of each row's own loss is by one of them.

Per-sample gradients by `torch.func`: `grad` of one row, `vmap` over rows. Only the length of a
gradient is kept. As elsewhere in this engine every call of one text length has one number of rows.
"""

from __future__ import annotations

import copy
import threading
from functools import cached_property

import torch
from torch.func import functional_call, grad, vmap

from scoring.models.lengths import rows_for

TOKENS = 256  # of a call
ROWS = 8  # of a call: more are hardly faster a row, and more of a small group are dummies
ENTRIES = 2**25  # of all gradients of a call: 128 MiB, and one row's at least


class Layers:
    """A network whose parameters others may read, and nobody else may replace."""

    def __init__(self, network: torch.nn.Module) -> None:
        """Before anybody hooks into the network: hooks would be copied."""
        self._network = _twin(network)
        self._local = threading.local()  # a worker's network: functional_call replaces parameters

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the encoder's layers, first to last: the list of modules that holds most parameters.

        None where there is no such list, or where `vmap` cannot run the architecture.
        """
        lists = [
            (name, part)
            for name, part in self._network.named_modules()
            if isinstance(part, torch.nn.ModuleList) and len(part) and all(map(_size, part))
        ]
        if not lists:
            return ()
        stack, layers = max(lists, key=lambda named: _size(named[1]))
        names = tuple(f"{stack}.{at}" for at in range(len(layers)))
        one = torch.zeros((1, 2), dtype=torch.int64, device=next(layers.parameters()).device)
        try:
            self.lengths(names[-1], one, one[:, 0])
        except (RuntimeError, ValueError):  # control flow that depends on what a row says
            return ()
        return names

    def lengths(self, part: str, ids: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """(r, length) token ids, (r,) classes -> (r,) ||gradient of cross-entropy||.

        By all parameters of the submodule `part`. A class < 0 is one outside the k.
        """
        network = self._own()
        parameters = _parameters(network, part)
        entries = sum(parameter.numel() for parameter in parameters.values())
        step = max(1, min(rows_for(ids.shape[1], TOKENS), ROWS, ENTRIES // entries))
        real = torch.ones_like(ids[:1])  # no padding: equal lengths

        def loss(
            parameters: dict[str, torch.Tensor], row: torch.Tensor, label: torch.Tensor
        ) -> torch.Tensor:
            given = {"input_ids": row[None], "attention_mask": real}
            (logits,) = functional_call(network, parameters, (), given).logits
            own = logits.gather(0, label.clamp(min=0)[None])[0]
            entropy: torch.Tensor = torch.logsumexp(logits, 0) - own * (label >= 0)
            return entropy

        gradients = vmap(grad(loss), in_dims=(None, 0, 0))
        found = []
        for first in range(0, len(ids), step):
            cut = slice(first, first + step)
            rows, labels = _filled(ids[cut], step), _filled(classes[cut], step)
            parts = gradients(parameters, rows, labels).values()
            tensors = [torch.linalg.vector_norm(part.reshape(step, -1), dim=1) for part in parts]
            found.append(torch.linalg.vector_norm(torch.stack(tensors, 1), dim=1))
        return torch.cat(found)[: len(ids)]

    def _own(self) -> torch.nn.Module:
        network: torch.nn.Module | None = getattr(self._local, "network", None)
        if network is None:
            network = self._local.network = _twin(self._network)
        return network


def _twin(network: torch.nn.Module) -> torch.nn.Module:
    """Modules of its own, the same tensors."""
    shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    return copy.deepcopy(network, shared)


def _size(part: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters())


def _parameters(network: torch.nn.Module, part: str) -> dict[str, torch.Tensor]:
    """Of a submodule, each once: name in the network -> tensor."""
    inside = network.get_submodule(part).named_parameters()
    return {f"{part}.{name}": parameter.detach() for name, parameter in inside}


def _filled(some: torch.Tensor, rows: int) -> torch.Tensor:
    """The same with dummies behind it: `rows` in all."""
    whole = some.new_zeros((rows, *some.shape[1:]))
    whole[: len(some)] = some
    return whole
