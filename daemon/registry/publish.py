"""Publishing: a checkpoint passes its gates, gets its calibration half, becomes an edition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from daemon import tables
from daemon.decode.normalise import normaliser
from daemon.learning import grading
from daemon.learning.calibration import Counts, Half, publish_half
from daemon.learning.edition import Edition
from daemon.policy import Policy
from daemon.ports import Missing, Retry
from daemon.registry.registry import Registry
from scoring import checkpoints, gates, kinds
from scoring.gates import Verdict
from scoring.manifest import Checkpoint
from scoring.models.selftest import PROBES
from scoring.scorer import Scorer
from scoring.types import Model

SAMPLE_ROWS = 2_000  # reference rows scored for a half
GOLDEN_ROWS = 256  # of them, run through the gates
RECENT_SHARDS = 8  # whose audit rows are the reference sample when none is given


@dataclass(frozen=True, slots=True)
class Sample:
    """Reference rows: texts as the model reads them, and labels where known."""

    texts: list[str]
    labels: list[str | None]


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


def recent_sample(registry: Registry) -> Sample:
    """Audit rows of the newest shards: traffic as it is, and out of the checkpoint's sample."""
    sample = Sample([], [])
    names = [n for n in registry.store.list("shards/") if n.endswith("/manifest.json")]
    for name in names[-RECENT_SHARDS:]:
        try:
            manifest = registry.manifest(int(name.split("/")[1]))
            columns, _ = tables.decode(registry.store.get(manifest.rows_object))
        except Missing:
            continue
        for text, label, arms in zip(
            columns["text"], columns["label"], columns["arms"], strict=True
        ):
            if "audit" in arms:
                sample.texts.append(text)
                sample.labels.append(label)
    return sample


def half_of(model: Model, checkpoint: str, policy: Policy, sample: Sample) -> Half | None:
    """Histograms of the sample's scores under this checkpoint; None without a sample."""
    if not sample.texts:
        return None
    scores = grading.build(policy).scores
    normalise = normaliser(policy.normaliser, policy.unicode)
    texts = sample.texts[:SAMPLE_ROWS]
    if policy.identity == "text":
        texts = [normalise(text) for text in texts]
    scored = Scorer(model, scores).score(texts, sample.labels[:SAMPLE_ROWS])

    def histogram(column: np.ndarray) -> dict[int, int]:
        steps, counts = np.unique(column[column >= 0], return_counts=True)
        return dict(zip(steps.tolist(), counts.tolist(), strict=True))

    counts = Counts(
        records=len(texts),
        histograms={name: histogram(column) for name, column in scored.scores.items()},
        plausibility=histogram(scored.plausibility),
    )
    return publish_half(checkpoint, counts)


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
) -> Published | Refused:
    """Run the gates; if they pass, write checkpoint and edition. Raises Retry, BadCheckpoint."""
    registry.read_editions()
    previous = registry.editions.get(max(registry.editions, default=-1))
    files = checkpoints.as_files(checkpoint, blobs)
    build = kinds.module("scoring.models", policy.engine.kind).build
    model: Model = build(files, threads)
    try:
        golden: Sequence[str] = sample.texts[:GOLDEN_ROWS]
        labels: Sequence[str | None] | None = sample.labels[:GOLDEN_ROWS]
        if len(set(golden)) < len(PROBES):
            golden, labels = PROBES, None  # too few to judge by
        verdict = _judge(model, golden, labels, previous, allow_missing_labels)
        if not verdict.passed:
            return Refused(verdict)
        digest = checkpoints.put(registry.store, checkpoint, blobs)
        half = half_of(model, digest, policy, sample)
    finally:
        model.close()
    number = max(registry.editions, default=-1) + 1
    edition = Edition(number, digest, model.classes, policy, half, first_window)
    if registry.publish(edition) != edition:
        raise Retry(f"edition {number} was published by somebody else at the same moment")
    return Published(edition, verdict, min(len(sample.texts), SAMPLE_ROWS))


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
