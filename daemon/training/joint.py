"""The whole subject: the encoder's first layers, fine-tuned to intents and slots with torch."""

from __future__ import annotations

from collections.abc import Sequence

from daemon.corpus import Row
from daemon.demo.encoder import MAX_LENGTH, cut, weights_folder
from daemon.training.subject import Answers
from scoring.models.base import CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE
from scoring.models.tokens import Tokens
from scoring.training.dynamics import Reduce
from scoring.training.examples import OUTSIDE, Examples, examples, tag_names
from scoring.training.joint import Joint
from scoring.training.network import Shape, written


class JointSubject:
    """Texts as they stand; rows without tags teach their intent alone."""

    def __init__(
        self,
        rows: Sequence[Row],
        classes: tuple[str, ...],
        *,
        layers: int,
        seed: int,
        threads: int,
        reduce: Reduce,
        coarse: bool = False,
    ) -> None:
        """Raises Fatal without the encoder's package, BadModel for more layers than it has."""
        place = weights_folder()
        self._origin = {name: (place / name).read_bytes() for name in (CONFIG_FILE, WEIGHTS_FILE)}
        self._tokenizer = cut((place / TOKENIZER_FILE).read_bytes(), MAX_LENGTH)
        self._tokens = Tokens(self._tokenizer, MAX_LENGTH)
        self._shape = Shape(classes, tag_names([row.tags for row in rows]), layers)
        self.learner = Joint(
            self._origin,
            self._shape,
            self._examples(rows),
            seed=seed,
            reduce=reduce,
            threads=threads,
            coarse=coarse,
        )

    def _examples(self, rows: Sequence[Row]) -> Examples:
        texts, intents, tags = zip(*rows, strict=True)
        return examples(self._tokens, texts, intents, tags, self._shape.classes, self._shape.tags)

    def answers(self, rows: Sequence[Row]) -> Answers:
        places, of_words = self.learner.answers(self._examples(rows))
        intents = tuple(self._shape.classes[place] for place in places)
        if not self._shape.tags:
            return Answers(intents, None)
        tags = []
        for row, words in zip(rows, of_words, strict=True):
            named = [self._shape.tags[place] for place in words]
            behind = len(row.text.split()) - len(named)  # the cut: nobody read these words
            tags.append((*named, *[OUTSIDE] * behind))
        return Answers(intents, tuple(tags))

    def files(self) -> dict[str, bytes]:
        return written(self.learner.network, self._origin, self._shape, self._tokenizer)
