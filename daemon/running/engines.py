"""Editions at work: decoder, scorer and policy of each edition, loaded once per process."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from buffers import draw
from daemon.decode.decoder import Decoder
from daemon.decode.normalise import normaliser
from daemon.lanes.candidate import Prepared
from daemon.lanes.window import Segment
from daemon.learning import grading
from daemon.learning import rules as rulebook
from daemon.learning.calibration import Calibration
from daemon.learning.edition import Edition
from daemon.learning.grading import Grading
from daemon.learning.rules import Rules
from daemon.policy import SEMANTICS
from daemon.ports import EXIT_DEPENDENCY, EXIT_STATE, Batch, CannotRun, Fatal, Store
from scoring import checkpoints, kinds
from scoring.manifest import BadCheckpoint
from scoring.models import selftest
from scoring.models.base import BadModel
from scoring.scorer import Scorer
from scoring.types import Model

MODELS = 4  # checkpoints in memory


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """What turns records into prepared segments under one edition."""

    edition: Edition
    decoder: Decoder
    scorer: Scorer
    grading: Grading
    model: Model

    def prepare(self, rules: Rules, batch: Batch, segment: Segment) -> Prepared:
        """Decode, score and weigh one segment; runs beside the core, touches no lane."""
        cut = slice(segment.first, segment.end)
        decoded = self.decoder.decode(batch.values[cut])
        utterances = decoded.utterances
        by_text = self.edition.policy.identity == "text"
        texts = [u.key_text if by_text else u.text for u in utterances]
        scored = self.scorer.score(texts, [u.label for u in utterances])
        weighed = self.grading.policy.weigh(scored, rules.terms)
        ids = draw.identity(rules.key, "id", [u.id for u in utterances])
        keys = ids
        if by_text:
            said = [f"{u.locale or ''}\x1f{u.key_text}" for u in utterances]
            keys = draw.identity(rules.key, "text", said)
        return Prepared(
            batch.positions[cut],
            batch.times_ms[cut],
            utterances,
            np.asarray(decoded.rows, np.int64),
            decoded.refusals,
            keys,
            ids,
            scored,
            weighed,
            segment.late,
        )


class Engines:
    """Loads what editions name. Old checkpoints load again in catch-up."""

    def __init__(self, store: Store, key: bytes, *, threads: int) -> None:
        self._store, self._key, self._threads = store, key, threads
        self._engines: dict[int, Engine] = {}
        self._models: dict[str, Model] = {}

    def model(self, checkpoint: str, kind: str) -> Model:
        """A checkpoint, loaded and self-tested. Raises Fatal where this CPU cannot hold the law."""
        if checkpoint not in self._models:
            try:
                files = checkpoints.load(self._store, checkpoint)
                model: Model = kinds.module("scoring.models", kind).build(files, self._threads)
                selftest.self_test(model)
            except BadCheckpoint as error:
                raise Fatal(f"checkpoint {checkpoint[:12]}: {error}", code=EXIT_STATE) from error
            except BadModel as error:  # also where this CPU cannot hold the law (NotInvariant)
                message = f"checkpoint {checkpoint[:12]}: {error}"
                raise CannotRun(message, code=EXIT_DEPENDENCY) from error
            self._models[checkpoint] = model
            while len(self._models) > MODELS:
                self._evict(next(iter(self._models)))
        return self._models[checkpoint]

    def _evict(self, checkpoint: str) -> None:
        """The oldest goes, with the engines that use it; it loads again if it is needed again."""
        self._models.pop(checkpoint).close()
        for number in [n for n, e in self._engines.items() if e.edition.checkpoint == checkpoint]:
            del self._engines[number]

    def of(self, edition: Edition) -> Engine:
        """The engine of an edition. Raises Fatal with a remedy where it cannot run here."""
        if edition.number not in self._engines:
            policy = edition.policy
            if policy.semantics != SEMANTICS:
                raise CannotRun(
                    f"edition {edition.number} wants semantics {policy.semantics}, "
                    f"this image runs {SEMANTICS}",
                    code=EXIT_DEPENDENCY,
                    hint="run an image that has it, or publish an edition for this one",
                )
            self._engines[edition.number] = self._built(edition)
        return self._engines[edition.number]

    def _built(self, edition: Edition) -> Engine:
        policy = edition.policy
        try:
            normalise = normaliser(policy.normaliser, policy.unicode)
            graded = grading.build(policy)
            model = self.model(edition.checkpoint, policy.engine.kind)
            scorer = Scorer(model, graded.scores)
        except (ValueError, ImportError) as error:  # a kind, table or library of another image
            message = f"edition {edition.number}: {error}"
            hint = "run the image that published it, or publish an edition for this one"
            raise CannotRun(message, code=EXIT_DEPENDENCY, hint=hint) from error
        decoder = Decoder(policy.record, policy.limits, self._key, normalise, policy.weak)
        return Engine(edition, decoder, scorer, graded, model)

    def rules(self, window: int, edition: Edition, calibration: Calibration) -> Rules:
        """Resolve a pin."""
        select = self.of(edition).grading.policy
        reads, asks = select.reads, select.asks
        return rulebook.make(window, edition, calibration, self._key, reads=reads, asks=asks)

    def close(self) -> None:
        for model in self._models.values():
            model.close()
