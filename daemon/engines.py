"""Editions at work: decoder, scorer and policy of each edition, loaded once per process."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from functools import lru_cache
from types import ModuleType
from typing import Any, cast

import numpy as np

from buffers import draw
from buffers.base import Reservoir
from daemon import rules as rulebook
from daemon.calibration import Calibration
from daemon.decode import Decoder
from daemon.edition import Edition
from daemon.gather import Prepared
from daemon.normalise import normaliser
from daemon.policy import SEMANTICS
from daemon.ports import EXIT_DEPENDENCY, EXIT_STATE, Batch, Fatal, Store
from daemon.rules import Rules
from daemon.window import Segment
from scoring import checkpoints, kinds
from scoring.manifest import BadCheckpoint
from scoring.models import selftest
from scoring.models.base import BadModel
from scoring.scorer import Scorer
from scoring.types import Model, Policy, Score, Scored

SELF_TEST = (  # ordinary requests of many lengths: no user ever said them to us
    "play",
    "turn on the light",
    "what time is it",
    "set a timer for ten minutes",
    "is the front door locked",
    "call my sister on her mobile",
    "make it two degrees warmer in here",
    "what is the weather like tomorrow in the north of the country",
    "add milk and two dozen eggs to my shopping list please",
    "skip this song",
    "how far is the moon",
    "wake me at half past six on weekdays",
    "remind me to water the plants when I get home this evening",
    "close all the blinds",
    "read me the headlines",
    "volume up",
    "who wrote the book that I am listening to right now",
    "book a table for four people at eight o'clock on friday",
    "start the vacuum cleaner in the hall",
    "translate good morning into italian",
)


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """What turns records into prepared segments under one edition."""

    edition: Edition
    decoder: Decoder
    scorer: Scorer
    policy: Policy
    model: Model
    scores: tuple[str, ...]
    recallable: tuple[Score, ...]  # what stored probabilities and a late label suffice for

    @property
    def weighed(self) -> str | None:
        """The score whose quantiles the weight is mapped between."""
        return self.policy.reads[0] if self.policy.reads else None

    @staticmethod
    def regraded(scored: Scored, columns: dict[str, list[int]]) -> Scored:
        """`scored` with the scores of `columns`, so that those which cannot be recalled stay."""
        scores = {n[len("score_") :]: np.array(c, np.int16) for n, c in columns.items()}
        return replace(scored, scores=scores)

    def prepare(self, rules: Rules, batch: Batch, segment: Segment) -> Prepared:
        """Decode, score and weigh one segment; runs beside the core, touches no lane."""
        cut = slice(segment.first, segment.end)
        decoded = self.decoder.decode(batch.values[cut])
        utterances = decoded.utterances
        by_text = self.edition.policy.identity == "text"
        texts = [u.key_text if by_text else u.text for u in utterances]
        scored = self.scorer.score(texts, [u.label for u in utterances])
        weighed = self.policy.weigh(scored, rules.terms)
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


def build_scores(policy: Any) -> tuple[Score, ...]:
    """The scores that a policy asks for, in its order."""
    built = [kinds.load("scoring.scores", k.kind, k.options) for k in policy.scores]
    return tuple(cast(Score, score) for score in built)


def build_policy(policy: Any) -> Policy:
    """The kind that weighs."""
    return cast(Policy, kinds.load("scoring.policies", policy.select.kind, policy.select.options))


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
                model: Model = kind_module("scoring.models", kind).build(files, self._threads)
                selftest.self_test(model, SELF_TEST)
            except BadCheckpoint as error:
                raise Fatal(f"checkpoint {checkpoint[:12]}: {error}", code=EXIT_STATE) from error
            except BadModel as error:  # also where this CPU cannot hold the law (NotInvariant)
                message = f"checkpoint {checkpoint[:12]}: {error}"
                raise Fatal(message, code=EXIT_DEPENDENCY) from error
            self._models[checkpoint] = model
        return self._models[checkpoint]

    def of(self, edition: Edition) -> Engine:
        """The engine of an edition. Raises Fatal with a remedy where it cannot run here."""
        if edition.number not in self._engines:
            policy = edition.policy
            if policy.semantics != SEMANTICS:
                raise Fatal(
                    f"edition {edition.number} wants semantics {policy.semantics}, "
                    f"this image runs {SEMANTICS}",
                    code=EXIT_DEPENDENCY,
                    hint="run an image that has it, or publish an edition for this one",
                )
            normalise = normaliser(policy.normaliser, policy.unicode)
            scores = build_scores(policy)
            model = self.model(edition.checkpoint, policy.engine.kind)
            self._engines[edition.number] = Engine(
                edition,
                Decoder(policy.record, policy.limits, self._key, normalise),
                Scorer(model, scores),
                build_policy(policy),
                model,
                tuple(score.name for score in scores),
                tuple(score for score in scores if score.needs <= {"label"}),
            )
        return self._engines[edition.number]

    def rules(self, window: int, edition: Edition, calibration: Calibration) -> Rules:
        """Resolve a pin."""
        weighed = self.of(edition).weighed
        return rulebook.make(window, edition, calibration, self._key, weighed=weighed)

    def close(self) -> None:
        for model in self._models.values():
            model.close()


@lru_cache(maxsize=64)
def kind_module(package: str, kind: str) -> ModuleType:
    """The file of a kind that takes no options. Raises kinds.UnknownKind."""
    available = kinds.names(package)
    if kind not in available:
        raise kinds.UnknownKind(kind, None, available)
    return importlib.import_module(f"{package}.{kind}")


def build_pool(rules: Rules, capacity: int) -> Reservoir:
    """The policy's kind of reservoir, of `capacity` rows."""
    module = kind_module("buffers", rules.policy.reservoir.kind)
    built: Reservoir = module.build(capacity, rules.quotas)
    return built
