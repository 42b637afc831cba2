"""The joint learner: intent and slots of a small encoder, fine-tuned together on one CPU.

Half the cross-entropy of intents and half that of words, first sub-tokens only (Attendu and Corbeil
2023, arXiv 2306.03208), both as means: sums would drown the one intent among a row's words. AdamW
(Loshchilov and Hutter 2019, arXiv:1711.05101), the rate falling to zero at the last epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from scoring.models.base import softmax
from scoring.training.course import Arrays, Tell
from scoring.training.dice import Dice, Ints64
from scoring.training.dynamics import Measures, Reduce, measure, together
from scoring.training.examples import Examples, alike, padded, words
from scoring.training.network import JointNetwork, Shape, begin
from scoring.types import Floats, Outputs

BATCH, RATE, DECAY, LONGEST_STEP = 32, 5e-4, 0.01, 1.0
ASKED = 256  # rows answered at a time
_MOMENTS = ("exp_avg", "exp_avg_sq")


class Joint:
    """A `Learner` over examples of which every row has a class."""

    def __init__(
        self,
        origin: Mapping[str, bytes],
        shape: Shape,
        given: Examples,
        *,
        seed: int,
        rate: float = RATE,
        reduce: Reduce = "norm",
        threads: int = 1,
        coarse: bool = False,
    ) -> None:
        """`threads` holds for the process, and another number gives other last bits. `coarse`:
        rows are measured in bfloat16, as Attendu and Corbeil do in float16; never trained so."""
        if (given.labels < 0).any():
            raise ValueError("training needs rows whose labels are all classes")
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(threads)
        self.network: JointNetwork = begin(origin, shape, seed)
        self._given, self._reduce, self._rate = given, reduce, rate
        self._coarse = coarse
        self._dice = Dice("dropout", seed)
        self._moved = {n: p for n, p in self.network.named_parameters() if p.requires_grad}
        self._optimizer = torch.optim.AdamW(self._moved.values(), lr=rate, weight_decay=DECAY)

    @property
    def lengths(self) -> Ints64:
        """(n,) tokens of each row."""
        return self._given.lengths

    def batches(self, rows: Ints64, dice: Dice) -> list[Ints64]:
        return alike(rows, self._given.lengths, BATCH, dice)

    def learn(self, batches: Sequence[Ints64], epoch: int, epochs: int, tell: Tell) -> None:
        # of its own: dropout of an epoch is the same whatever came before, or was resumed
        torch.manual_seed(int(self._dice.below(f"epoch {epoch}", 1, 2**62)[0]))
        self.network.train()
        for number, batch in enumerate(batches):
            done = (epoch + number / len(batches)) / epochs
            for group in self._optimizer.param_groups:
                group["lr"] = self._rate * (1 - done)
            self._optimizer.zero_grad()
            self.loss(batch).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self._moved.values(), LONGEST_STEP)
            self._optimizer.step()
            tell(len(batch))

    def loss(self, rows: Ints64) -> torch.Tensor:
        """Half the mean cross-entropy of the intents, and half that of all words with a tag."""
        at, places, tags = words(self._given, rows)
        said = tags >= 0
        where = torch.from_numpy(at[said]), torch.from_numpy(places[said])
        ids, mask = padded(self._given, rows)
        intents, slots = self.network(torch.from_numpy(ids), torch.from_numpy(mask), where)
        entropy = torch.nn.functional.cross_entropy
        labels = torch.from_numpy(self._given.labels[rows].astype(np.int64))
        total = entropy(intents, labels)
        if slots is not None and len(slots):
            wanted = torch.from_numpy(tags[said].astype(np.int64))
            total = total + entropy(slots, wanted)
        return 0.5 * total

    def measure(self, tell: Tell) -> Measures:
        order = np.argsort(self._given.lengths, kind="stable")
        parts = []
        for first in range(0, len(order), ASKED):
            rows = order[first : first + ASKED]
            with torch.autocast("cpu", torch.bfloat16, enabled=self._coarse):
                parts.append(measure(self._outputs(self._given, rows), self._reduce))
            tell(len(rows))
        found = together(parts)
        back = np.argsort(order, kind="stable")
        return Measures(*(column[back] for column in found))

    def answers(self, asked: Examples) -> tuple[Ints64, tuple[Ints64, ...]]:
        """(n,) the likeliest class of each row; n times (W_i,) the likeliest tag of each word."""
        order = np.argsort(asked.lengths, kind="stable")
        classes = np.zeros(len(asked), np.int64)
        tags: dict[int, Ints64] = {}
        for first in range(0, len(order), ASKED):
            rows = order[first : first + ASKED]
            outputs = self._outputs(asked, rows)
            classes[rows] = outputs.logits.argmax(axis=1)
            slots = outputs.slot_probs or (np.zeros((0, 1), np.float32),) * len(rows)
            tags |= {r: p.argmax(axis=1) for r, p in zip(rows.tolist(), slots, strict=True)}
        return classes, tuple(tags[row] for row in range(len(asked)))

    def _outputs(self, asked: Examples, rows: Ints64) -> Outputs:
        at, places, tags = words(asked, rows)
        ids, mask = padded(asked, rows)
        self.network.eval()
        with torch.inference_mode():
            where = torch.from_numpy(at), torch.from_numpy(places)
            intents, slots = self.network(torch.from_numpy(ids), torch.from_numpy(mask), where)
        logits: Floats = intents.float().numpy()
        outputs = Outputs(logits, softmax(logits), labels=asked.labels[rows])
        if slots is None:
            return outputs
        ends = np.cumsum(np.bincount(at, minlength=len(rows)))[:-1]
        probs = tuple(np.split(softmax(slots.float().numpy()), ends))
        return Outputs(
            logits,
            outputs.probs,
            slot_probs=probs,
            labels=outputs.labels,
            slot_labels=tuple(np.split(tags, ends)),
        )

    def state(self) -> dict[str, npt.NDArray[Any]]:
        found: dict[str, npt.NDArray[Any]] = {}
        for name, weight in self._moved.items():
            found[f"weight/{name}"] = weight.detach().numpy().copy()
            for moment in _MOMENTS:
                kept = self._optimizer.state.get(weight, {})
                if kept:
                    found[f"{moment}/{name}"] = kept[moment].numpy().copy()
                    found["steps"] = np.array([int(kept["step"])], np.int64)
        return found

    def restore(self, state: Arrays) -> None:
        for name, weight in self._moved.items():
            with torch.no_grad():
                weight.copy_(torch.from_numpy(state[f"weight/{name}"]))
            if "steps" in state:
                self._optimizer.state[weight] = {
                    "step": torch.tensor(float(state["steps"][0])),
                    **{m: torch.from_numpy(state[f"{m}/{name}"].copy()) for m in _MOMENTS},
                }
