"""What a reference sample teaches when a checkpoint is published: its half, and its supplies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from daemon.decode.near import by_text, folding
from daemon.decode.normalise import normaliser
from daemon.learning.calibration import Half, half_of
from daemon.learning.edition import half_name
from daemon.learning.supplied import BIT, MILLION, Fit, Supplied, Trusted
from daemon.policy import Policy
from daemon.ports import EXIT_CONFIG, Fatal
from daemon.running import supplying
from scoring import directions, temperature, trails
from scoring.influence import NotSolved
from scoring.scorer import Scorer
from scoring.supplies import Tags, Unsupplied, shares
from scoring.types import UNKNOWN_LABEL, Floats, Ints, Model, Score

SAMPLE_ROWS = 2_000  # reference rows scored for a half


@dataclass(frozen=True, slots=True)
class Sample:
    """Reference rows: texts as the model reads them, and labels and tags where known."""

    texts: list[str]
    labels: list[str | None]
    tags: list[Tags | None] = field(default_factory=list)  # none, or one entry for each text
    locales: list[str | None] = field(default_factory=list)  # likewise
    trusted: Sample | None = None  # other rows: their labels are right, and no training saw them


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """The rows of a sample that are scored, as a policy's model reads them."""

    texts: list[str]
    labels: list[str | None]
    tags: list[Tags | None]
    trusted: Reading | None = None

    def classes(self, names: Sequence[str]) -> Ints:
        """(n,) indices of the labels; UNKNOWN_LABEL where there is none of these."""
        index = {name: at for at, name in enumerate(names)}
        return np.array([index.get(label or "", UNKNOWN_LABEL) for label in self.labels], np.int32)

    def counts(self, names: Sequence[str]) -> list[int]:
        """Of each class, rows and one more: what shares are made of."""
        known = self.classes(names)
        found = np.bincount(known[known >= 0], minlength=len(names))
        return [int(count) + 1 for count in found]


def reading(sample: Sample, policy: Policy) -> Reading:
    """Tags of a text that normalising cuts into other words are left out."""
    texts = sample.texts[:SAMPLE_ROWS]
    if by_text(policy.identity):
        normalise, fold = normaliser(policy.normaliser, policy.unicode), folding(policy.identity)
        texts = [normalise(text) for text in texts]
        spoken = sample.locales[:SAMPLE_ROWS] or [None] * len(texts)
        texts = [fold(*said) for said in zip(texts, spoken, strict=True)] if fold else texts
    tags = sample.tags[:SAMPLE_ROWS] or [None] * len(texts)
    fit = [
        said if said is not None and len(said) == len(text.split()) else None
        for text, said in zip(texts, tags, strict=True)
    ]
    trusted = reading(sample.trusted, policy) if sample.trusted else None
    return Reading(texts, sample.labels[:SAMPLE_ROWS], fit, trusted)


def supplied_of(
    own: Model,
    policy: Policy,
    named: Supplied,
    rows: Reading,
    needs: frozenset[str],
    load: supplying.Load,
) -> Supplied | UnsetType:
    """`named`, with what the sample teaches; UNSET where nothing is asked for. Raises Fatal."""
    made = named
    if not isinstance(policy.calibrate, UnsetType):
        made = _calibrated(own, made, rows, needs, load)
    if "trails" in needs:
        made = msgspec.structs.replace(made, trails=_trails(rows, own.classes))
    if "direction" in needs and rows.trusted:
        whole = supplying.model(own.fingerprint, made, frozenset({"hidden"}), load)
        made = msgspec.structs.replace(made, direction=_direction(whole, rows, rows.trusted))
    return UNSET if made == Supplied() else made


def _calibrated(
    own: Model,
    named: Supplied,
    rows: Reading,
    needs: frozenset[str],
    load: supplying.Load,
) -> Supplied:
    """With a temperature of every checkpoint that runs."""
    history, reference = supplying.others(named, needs)
    temperatures, mine = {}, None
    for digest in (*history, *reference, own.fingerprint):
        model = load(digest)
        logits = model.run(rows.texts).logits if rows.texts else np.empty((0, 1), np.float32)
        fitted = temperature.fit(logits, rows.classes(model.classes))
        if fitted is None:
            raise Fatal(
                "policy.calibrate: the sample has too few rows with a label that the checkpoint "
                f"{digest[:12]} knows",
                code=EXIT_CONFIG,
                hint=f"give --sample with {temperature.ROWS_MIN} or more, or leave calibrate out",
            )
        temperatures[digest] = fitted.temperature
        mine = fitted
    assert mine is not None, "the checkpoint itself comes last"
    errors = (round(error * MILLION) for error in (mine.before, mine.after))
    return msgspec.structs.replace(named, temperatures=temperatures, fit=Fit(mine.rows, *errors))


def _trails(rows: Reading, classes: Sequence[str]) -> tuple[int, ...]:
    """Slot-trail entropy of each class in 1/BIT bits; nothing where no row has tags and a label."""
    known = rows.classes(classes)
    told = [at for at, tags in enumerate(rows.tags) if tags is not None and known[at] >= 0]
    if not told:
        return ()
    walked = [trails.trail(rows.tags[at] or (), rows.texts[at].split()) for at in told]
    bits = trails.entropies(known[told], walked, len(classes))
    return tuple(round(float(one) * BIT) for one in bits)


def _direction(model: Model, rows: Reading, trusted: Reading) -> Trusted | None:
    """Where the trusted rows pull; None where the model does not say what its last layer read."""

    def read(some: Reading) -> tuple[Floats, Floats | None, Ints]:
        outputs = model.run(some.texts or [""])
        return outputs.probs, outputs.hidden, some.classes(model.classes)

    (probs, hidden, labels), (own, own_hidden, own_labels) = read(trusted), read(rows)
    if hidden is None or own_hidden is None:
        return None  # the scorer says so
    try:
        made = directions.solve((probs, hidden, labels), (own, own_hidden, own_labels))
    except (ValueError, NotSolved) as error:
        hint = "give --trusted and --sample, each with rows whose labels the checkpoint knows"
        raise Fatal(f"score 'influence': {error}", code=EXIT_CONFIG, hint=hint) from error
    return supplying.stored(made)


def scorer_of(
    model: Model, supplied: Supplied, policy: Policy, scores: Sequence[Score], rows: Reading
) -> Scorer:
    """Of an edition that is not published yet. Raises Fatal for a score that nobody feeds.

    The sample's shares of the classes stand in for those of the traffic.
    """
    prior = shares(rows.counts(model.classes))
    try:
        return Scorer(model, scores, supplying.supplies(supplied, policy, prior))
    except ValueError as error:
        later = isinstance(error, Unsupplied) and error.score not in {s.kind for s in policy.scores}
        where = "policy.cascade.scores" if later else "policy.scores"
        raise Fatal(f"{where}: {error}", code=EXIT_CONFIG) from error


def sample_half(
    scorer: Scorer, checkpoint: str, supplied: Supplied | UnsetType, rows: Reading
) -> Half | None:
    """How the sample's scores are spread under this checkpoint; None without a sample."""
    if not rows.texts:
        return None
    scored = scorer.score(rows.texts, rows.labels, tags=rows.tags)
    return half_of(scored, half_name(checkpoint, supplied))
