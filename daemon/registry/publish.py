"""Publishing: a checkpoint passes its gates, gets its calibration half, becomes an edition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec import UnsetType

from daemon.learning import grading
from daemon.learning.calibration import Half
from daemon.learning.edition import Edition
from daemon.learning.supplied import NOTHING, Supplied
from daemon.policy import Policy
from daemon.ports import Missing, Retry
from daemon.registry import versions
from daemon.registry.halves import (
    SAMPLE_ROWS,
    Sample,
    reading,
    sample_half,
    scorer_of,
    supplied_of,
)
from daemon.registry.registry import Registry
from daemon.running import supplying
from daemon.running.models import Models
from daemon.shards import shard
from scoring import checkpoints, gates, kinds
from scoring.gates import Verdict
from scoring.manifest import Checkpoint
from scoring.models.base import ENGINES
from scoring.models.selftest import PROBES
from scoring.types import Model

__all__ = ["NONE", "Others", "Published", "Refused", "Sample", "publish", "recent_sample"]

GOLDEN_ROWS = 256  # of them, run through the gates
RECENT_SHARDS = 8  # whose audit rows are the reference sample when none is given


@dataclass(frozen=True, slots=True)
class Refused:
    """A checkpoint that did not pass: the edition before goes on."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Published:
    """The edition, and what the gates found."""

    edition: Edition
    verdict: Verdict
    sample_rows: int
    needs: frozenset[str]  # of the policy's scores
    second: frozenset[str]  # of those that a cascade computes of candidates alone

    @property
    def passes(self) -> int:
        """Forward passes that each text will cost."""
        return supplying.passes(self.edition.supplies, self.needs)


@dataclass(frozen=True, slots=True)
class Others:
    """Checkpoints in the store that an edition shall name: digests, of the history oldest first.

    Without a history, and with `policy.history`, those of the editions before.
    """

    history: tuple[str, ...] = ()
    reference: str = ""


NONE = Others()


def recent_sample(registry: Registry) -> Sample:
    """Audit rows of the newest shards: traffic as it is, and out of the checkpoint's sample."""
    sample = Sample([], [])
    windows = list(shard.windows(registry.store.list(shard.PREFIX)))
    for window in windows[-RECENT_SHARDS:]:
        try:
            _, columns = versions.newest_rows(registry, window)
        except Missing:
            continue
        for text, label, locale, arms in zip(
            *(columns[name] for name in ("text", "label", "locale", "arms")), strict=True
        ):
            if "audit" in arms:
                sample.texts.append(text)
                sample.labels.append(label)
                sample.locales.append(locale)
    return sample


def publish(
    registry: Registry,
    checkpoint: Checkpoint,
    blobs: Mapping[str, bytes],
    policy: Policy,
    *,
    first_window: int,
    sample: Sample,
    allow_missing_labels: bool = False,
    threads: int = 1,
    others: Others = NONE,
) -> Published | Refused:
    """Run the gates; if they pass, write checkpoint and edition.

    Raises Retry, BadCheckpoint, and Fatal for a score that nobody feeds; then nothing is written.
    """
    registry.read_editions()
    previous = registry.editions.get(max(registry.editions, default=-1))
    files = checkpoints.as_files(checkpoint, blobs)
    build = kinds.module("scoring.models", policy.engine.kind).build
    model: Model = build(files, threads)
    loaded = Models(registry.store, threads=threads)
    try:
        golden: Sequence[str] = sample.texts[:GOLDEN_ROWS]
        labels: Sequence[str | None] | None = sample.labels[:GOLDEN_ROWS]
        if len(set(golden)) < len(PROBES):
            golden, labels = PROBES, None  # too few to judge by
        verdict = _judge(model, golden, labels, previous, allow_missing_labels)
        if not verdict.passed:
            return Refused(verdict)
        digest, loads = model.fingerprint, (model, loaded)
        named = _named(registry, digest, policy, others)
        half, supplied, (needs, second) = _learnt(loads, policy, named, sample)
        checkpoints.put(registry.store, checkpoint, blobs)
    finally:
        model.close()
        loaded.close()
    number = max(registry.editions, default=-1) + 1
    edition = Edition(
        number, digest, model.classes, policy, half, first_window, supplied=supplied
    )
    if registry.publish(edition) != edition:
        raise Retry(f"edition {number} was published by somebody else at the same moment")
    return Published(edition, verdict, min(len(sample.texts), SAMPLE_ROWS), needs, second)


def _learnt(
    loads: tuple[Model, Models], policy: Policy, named: Supplied, sample: Sample
) -> tuple[Half | None, Supplied | UnsetType, tuple[frozenset[str], frozenset[str]]]:
    """The half of a checkpoint that is not in the store yet, its supplies, and what they feed: of
    the first stage and of the second."""
    model, loaded = loads
    digest = model.fingerprint
    graded, rows = grading.build(policy), reading(sample, policy)
    scores, first = graded.everything, supplying.needs_of(graded.scores)
    second = supplying.needs_of(graded.second.scores) if graded.second else frozenset[str]()
    needs = first | second

    def load(name: str) -> Model:
        return model if name == digest else loaded.get(name, policy.engine.kind)

    supplied = supplied_of(model, policy, named, rows, needs, load)
    known = NOTHING if isinstance(supplied, UnsetType) else supplied
    whole = supplying.model(digest, known, needs, load)
    scorer = scorer_of(whole, known, policy, scores, rows)
    return sample_half(scorer, digest, supplied, rows), supplied, (first, second)


def _named(registry: Registry, digest: str, policy: Policy, others: Others) -> Supplied:
    """The checkpoints that the edition names beside its own."""
    history = others.history
    if not history and not isinstance(policy.history, UnsetType):
        newest = _before(registry, digest, policy)[: policy.history - 1]
        history = tuple(reversed(newest))
    return Supplied(history=history, reference=others.reference)


def _before(registry: Registry, digest: str, policy: Policy) -> list[str]:
    """Checkpoints of the editions so far that the engine reads, each once, newest first."""
    numbers = sorted(registry.editions, reverse=True)
    found = dict.fromkeys(registry.editions[number].checkpoint for number in numbers)
    found.pop(digest, None)
    forms = ((d, checkpoints.read_checkpoint(registry.store, d).format) for d in found)
    return [d for d, form in forms if ENGINES[form] == policy.engine.kind]


def _judge(
    model: Model,
    golden: Sequence[str],
    labels: Sequence[str | None] | None,
    previous: Edition | None,
    allow_missing_labels: bool,
) -> Verdict:
    return gates.judge(
        model,
        golden,
        expected_labels=labels,
        previous=previous.classes if previous else None,
        allow_missing_labels=allow_missing_labels,
    )
