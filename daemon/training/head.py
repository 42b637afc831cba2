"""The quick subject: the sentence encoder as it is, and a softmax head that learns."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from daemon.corpus import Row
from daemon.demo.encoder import CHUNK, Encoder
from daemon.training.subject import Answers
from scoring.layouts import LABELS_FILE
from scoring.models.base import ONNX_FILE, TOKENIZER_FILE
from scoring.training.accuracy import indices
from scoring.training.frozen import Frozen
from scoring.training.schedules import Schedule
from scoring.types import Floats


class HeadSubject:
    """All in numpy; texts are read once."""

    def __init__(
        self,
        rows: Sequence[Row],
        classes: tuple[str, ...],
        schedule: Schedule,
        epochs: int,
        tell: Callable[[int], None],
    ) -> None:
        """`tell` hears how many of the rows were just read."""
        self._encoder, self._classes = Encoder(), classes
        for first in range(0, len(rows), CHUNK):
            part = rows[first : first + CHUNK]
            self._features(part)  # the encoder remembers
            tell(len(part))
        targets = indices([row.intent for row in rows], classes)
        self.learner = Frozen(self._features(rows), targets, len(classes), schedule, epochs)

    def _features(self, rows: Sequence[Row]) -> Floats:
        return self._encoder.features([row.text for row in rows])

    def answers(self, rows: Sequence[Row]) -> Answers:
        places = self.learner.head.logits(self._features(rows)).argmax(axis=1)
        return Answers(tuple(self._classes[place] for place in places), None)

    def files(self) -> dict[str, bytes]:
        head = self.learner.head
        return {
            ONNX_FILE: self._encoder.graph(head.weight, head.bias),
            TOKENIZER_FILE: self._encoder.tokenizer,
            LABELS_FILE: json.dumps(list(self._classes)).encode(),
        }
