"""Editions at work: decoder, scorer and policy of each edition, loaded once per process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from threading import Lock

import numpy as np

from buffers import draw
from daemon.decode.decoder import Decoder
from daemon.decode.erasure import ErasureDecoder
from daemon.decode.near import by_text, folding
from daemon.decode.normalise import normaliser
from daemon.decode.utterance import Utterance
from daemon.lanes.candidate import Prepared
from daemon.lanes.window import Segment
from daemon.learning import grading
from daemon.learning import rules as rulebook
from daemon.learning.calibration import Calibration
from daemon.learning.edition import Edition
from daemon.learning.emitted import Known
from daemon.learning.grading import Grading
from daemon.learning.rules import Rules
from daemon.policy import SEMANTICS
from daemon.ports import EXIT_DEPENDENCY, Batch, CannotRun, Store
from daemon.registry.emitted import Emissions
from daemon.running import cascading, supplying
from daemon.running.cascading import SecondScorer
from daemon.running.models import Models
from daemon.shards.assemble import Inputs
from scoring.models.base import BadModel
from scoring.scorer import Scorer
from scoring.supplies import Tags, shares
from scoring.types import Floats, Model


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """What turns records into prepared segments under one edition."""

    edition: Edition
    decoder: Decoder
    scorer: Scorer
    grading: Grading
    model: Model
    needs: frozenset[str]  # of its scores
    turn: Lock  # models are used from one thread at a time
    second: SecondScorer | None = None  # of a cascade

    @property
    def passes(self) -> int:
        """Forward passes that each text costs."""
        return supplying.passes(self.edition.supplies, self.needs)

    def prepare(self, rules: Rules, batch: Batch, segment: Segment) -> Prepared:
        """Decode, score and weigh one segment; runs beside the core, touches no lane."""
        cut = slice(segment.first, segment.end)
        decoded = self.decoder.decode(batch.values[cut])
        utterances = decoded.utterances
        once = by_text(self.edition.policy.identity)
        texts = [u.key_text if once else u.text for u in utterances]
        with self.turn:
            scored = self.scorer.score(
                texts,
                [u.label for u in utterances],
                tags=_tags(texts, utterances) if "slot_labels" in self.needs else None,
                prior=shares(rules.terms.classes) if "prior" in self.needs else None,
            )
        weighed = self.grading.policy.weigh(scored, rules.terms)
        ids = draw.identity(rules.key, "id", [u.id for u in utterances])
        keys = ids
        if once:
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
        self.key = key
        self._engines: dict[int, Engine] = {}
        self._models = Models(store, threads=threads)
        self._emissions = Emissions(store)
        self._turn = Lock()

    @cached_property
    def erasures(self) -> ErasureDecoder:
        """Of erasure lanes: it belongs to no edition."""
        return ErasureDecoder(self.key)

    def of(self, edition: Edition) -> Engine:
        """The engine of an edition. Raises Fatal with a remedy where it cannot run here."""
        named = {edition.checkpoint, edition.supplies.reference, *edition.supplies.history}
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
            for gone in self._models.forget(named):
                self._drop(gone)
        self._models.touch(named)
        return self._engines[edition.number]

    def _drop(self, checkpoint: str) -> None:
        """Engines that use it go with it; they are built again if they are needed again."""
        for number, engine in list(self._engines.items()):
            e = engine.edition
            if checkpoint in (e.checkpoint, e.supplies.reference, *e.supplies.history):
                del self._engines[number]

    def _built(self, edition: Edition) -> Engine:
        policy = edition.policy
        try:
            normalise = normaliser(policy.normaliser, policy.unicode)
            graded = grading.build(policy)
            needs = supplying.needs_of(graded.scores)
            model = self.model(edition, needs)
            tables = supplying.supplies(edition.supplies, policy, len(model.classes))
            scorer = Scorer(model, graded.scores, tables)
            second = None
            if graded.second is not None:
                scores = graded.second.scores
                whole = self.model(edition, supplying.needs_of(scores))
                read = cascading.reads(policy, normalise)
                second = SecondScorer(Scorer(whole, scores, tables), read, self._turn)
        except (ValueError, ImportError, BadModel) as error:
            # a kind, table or library of another image; a score that nobody feeds
            message = f"edition {edition.number}: {error}"
            hint = "run the image that published it, or publish an edition for this one"
            raise CannotRun(message, code=EXIT_DEPENDENCY, hint=hint) from error
        fold = folding(policy.identity)
        decoder = Decoder(policy.record, policy.limits, self.key, normalise, policy.weak, fold)
        return Engine(edition, decoder, scorer, graded, model, needs, self._turn, second)

    def model(self, edition: Edition, needs: frozenset[str]) -> Model:
        """With all of the edition that scores of these needs read. Raises Fatal, CannotRun."""
        kind = edition.policy.engine.kind
        return supplying.model(
            edition.checkpoint, edition.supplies, needs, lambda name: self._models.get(name, kind)
        )

    def second(self, inputs: Inputs) -> tuple[SecondScorer, Floats]:
        """What scores the candidates of a window, and the shares of its classes."""
        second = self.of(inputs.rules.edition).second
        assert second is not None, "there is one stage"
        return second, shares(inputs.rules.terms.classes)

    def rules(self, window: int, edition: Edition, calibration: Calibration) -> Rules:
        """Resolve a pin."""
        graded = self.of(edition).grading
        select, second = graded.policy, graded.second
        return rulebook.make(
            window,
            edition,
            calibration,
            self.key,
            reads=select.reads,
            asks=select.asks,
            already=self.known(window, edition, calibration),
            second=(second.policy.reads, second.policy.asks) if second else None,
        )

    def known(self, window: int, edition: Edition, calibration: Calibration) -> Known:
        """What a window of this edition refuses as emitted already, up to a calibration."""
        return self._emissions.known(calibration, edition.policy, window)

    def close(self) -> None:
        self._models.close()


def _tags(texts: list[str], utterances: list[Utterance]) -> list[Tags | None]:
    """Of the texts as the model reads them: none where normalising joined or cut words."""
    return [
        u.tags if u.tags is not None and len(u.tags) == len(text.split()) else None
        for text, u in zip(texts, utterances, strict=True)
    ]
