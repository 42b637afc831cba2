"""What a release is tried with: two checkpoints, a sample, and people who never stop talking."""

from __future__ import annotations

import json
import random
import threading
from functools import cache
from pathlib import Path
from typing import Any, Self

from tokenizers import Tokenizer

from scoring.models import graph, onnx
from scoring.types import Model
from tests import tiny_bert
from tests.kafka.broker import Broker

SENTENCES = (
    "turn on the light", "turn off the light", "what is the weather in ten minutes",
    "play some music in the kitchen", "set a timer for ten minutes please", "stop it", "next song",
)  # fmt: skip
PAUSE_SECONDS = 0.02
FIRST, SECOND = "first", "second"


@cache
def model() -> Model:
    return onnx.build(tiny_bert.onnx_files(), 1)


def write_checkpoints(folder: Path) -> None:
    """`first` and `second`: one network with its head turned up a little, and a sample of texts."""
    files = tiny_bert.onnx_files()
    tokenizer = Tokenizer.from_str(files.blobs["tokenizer.json"].decode())
    tokenizer.enable_truncation(tiny_bert.MAX_LENGTH)
    tensors = tiny_bert.tensors()
    louder = tensors | {"classifier.weight": tensors["classifier.weight"] * 1.1}
    other = graph.sequence_classification(tiny_bert.config(), louder)
    for name, network in ((FIRST, files.blobs["model.onnx"]), (SECOND, other)):
        (folder / name).mkdir()
        (folder / name / "model.onnx").write_bytes(network)
        (folder / name / "tokenizer.json").write_text(tokenizer.to_str())
        (folder / name / "labels.json").write_text(json.dumps(tiny_bert.LABELS))
    texts = [text_of(number) for number in range(400)]
    rows = zip(texts, truths(texts), strict=True)
    lines = [json.dumps({"text": text, "label": label}) + "\n" for text, label in rows]
    (folder / "sample.jsonl").write_text("".join(lines))


def text_of(number: int) -> str:
    """The sentence of an utterance: a few of them often, others once."""
    rng = random.Random(number)
    return f"{rng.choice(SENTENCES)} {rng.choice(SENTENCES)} {int(rng.paretovariate(0.7)) % 500}"


def truths(texts: list[str]) -> list[str]:
    """Labels of a world in which the first checkpoint is always right."""
    return [tiny_bert.LABELS[i] for i in model().run(texts).probs.argmax(axis=1).tolist()]


class Talk:
    """Speaks to every partition of a topic, in turn, from a thread, until the block is left."""

    def __init__(self, broker: Broker, topic: str, partitions: int) -> None:
        self._broker, self._topic, self._partitions = broker, topic, partitions
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._speak, daemon=True)
        self.said = 0

    def _record(self) -> bytes:
        text = text_of(self.said)
        label = truths([text])[0] if self.said % 7 else tiny_bert.LABELS[self.said % 5]
        value: dict[str, Any] = {"id": f"u-{self.said}", "text": text, "label": label}
        return json.dumps(value).encode()

    def _speak(self) -> None:
        while not self._over.wait(PAUSE_SECONDS):
            self.speak(1)

    def speak(self, count: int) -> None:
        """So many records, now."""
        for _ in range(count):
            partition = self.said % self._partitions
            self._broker.producer.send(self._topic, self._record(), partition=partition)
            self.said += 1
        self._broker.producer.flush(timeout=60)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
