"""What a scored sample teaches, by the rules of the calibration: terms, groups and quotas.

The stream learns them window by window from its own shards; here they are made at once, of rows at
hand. Also the plain names and the keys that rows of a file are grouped and kept once by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import msgspec
from msgspec import UnsetType

from buffers import draw
from buffers.base import Ids
from daemon.decode.near import folding, unfolded
from daemon.decode.normalise import normaliser
from daemon.lanes.pin import FIRST
from daemon.learning import rules as rulebook
from daemon.learning.calibration import (
    SCALE,
    Calibration,
    Traffic,
    half_of,
)
from daemon.learning.edition import Edition
from daemon.learning.rules import Rules
from daemon.policy import Kind, Policy
from scoring import kinds
from scoring.types import Policy as Weigher
from scoring.types import Scored

Noise = float | tuple[int, int] | None  # assumed rate | (audit answers, wrong ones) | unknown


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """n scored rows. Equal keys are one text (or one id): `text_keys` makes them.

    A label that is no class has its row's name only: where groups are not of labels, two such
    labels of one text are taken for one, as they are not in the daemon.
    """

    scored: Scored
    keys: Ids  # (n, 2)
    names: Sequence[str]  # (n,) plain name of what each row is grouped by: `names_of`


def text_keys(
    texts: Sequence[str],
    policy: Policy,
    key: bytes,
    locales: Sequence[str | None] | None = None,
) -> Ids:
    """(n, 2) what is kept once where the policy keeps texts once. Texts as they came."""
    normalise = normaliser(policy.normaliser, policy.unicode)
    spoken = locales or [None] * len(texts)
    fold = folding(policy.identity) or unfolded
    folded = (fold(normalise(text), at) for text, at in zip(texts, spoken, strict=True))
    said = [f"{at or ''}\x1f{text}" for text, at in zip(folded, spoken, strict=True)]
    return draw.identity(key, "text", said)


def id_keys(ids: Sequence[str], key: bytes) -> Ids:
    """(n, 2) identities of utterance ids: what arms are drawn by."""
    return draw.identity(key, "id", list(ids))


def names_of(
    scored: Scored,
    labels: Sequence[str | None],
    policy: Policy,
    classes: Sequence[str],
    hypotheses: Sequence[str | None] | None = None,
) -> list[str]:
    """(n,) the first of `policy.groups.by` that each row has."""
    sources = {
        "label": labels,
        "hypothesis": hypotheses or [None] * len(labels),
        "argmax": [classes[i] for i in scored.argmax.tolist()],
    }
    found = zip(*(sources[by] for by in policy.groups.by), strict=True)
    return [next((name for name in names if name), "") for names in found]


def rules_for(
    sample: Candidates,
    policy: Policy,
    classes: tuple[str, ...],
    key: bytes,
    noise: Noise = None,
    *,
    traffic: bool = True,
) -> Rules:
    """What a calibration that was taught these rows says: terms, groups and quotas.

    `noise`: of the labels; unknown, the rules are cold if groups are of labels: uniform, neither
    balanced nor quarantined. A sample that is not part of what is selected from makes it
    prequential. `traffic`: group shares are learnt too, of the rows that the rules accept; without
    them every class owns the same share, as in the first windows after a publish.
    """
    if isinstance(noise, float):
        policy, noise = assuming(policy, noise), None
    half = half_of(sample.scored, "in memory")
    edition = Edition(0, half.checkpoint, classes, policy, half, 0)
    learnt = taught(sample, edition, key, noise or (0, 0), traffic=traffic)
    return _made(edition, learnt, key)


def assuming(policy: Policy, rate: float) -> Policy:
    """The policy with a rate of wrong labels, for as long as no answers tell."""
    quarantine = msgspec.structs.replace(policy.quarantine, assumed_rate=rate)
    return msgspec.structs.replace(policy, quarantine=quarantine)


def taught(
    sample: Candidates,
    edition: Edition,
    key: bytes,
    answers: tuple[int, int] = (0, 0),
    *,
    window: int = FIRST,
    traffic: bool = True,
) -> Calibration:
    """The calibration that a sample and audit answers teach; scores are the edition's half."""
    answered, wrong = (count * SCALE for count in answers)
    learnt = Calibration(window, Traffic({}, answered, wrong))
    if not traffic:
        return learnt
    terms = _made(edition, learnt, key).terms
    accepted = weigher(edition.policy.select).weigh(sample.scored, terms).reasons == 0
    counts = Counter(n for n, ok in zip(sample.names, accepted.tolist(), strict=True) if ok)
    groups = {name: counts[name] * SCALE for name in sorted(counts)}
    return Calibration(window, Traffic(groups, answered, wrong))


def weigher(select: Kind) -> Weigher:
    """What `policy.select` names. Raises UnknownKind, BadOptions."""
    return cast(Weigher, kinds.load("scoring.policies", select.kind, select.options))


def _made(edition: Edition, learnt: Calibration, key: bytes) -> Rules:
    select, cascade = weigher(edition.policy.select), edition.policy.cascade
    second = None if isinstance(cascade, UnsetType) else weigher(cascade.select)
    return rulebook.make(
        learnt.window + 1,
        edition,
        learnt,
        key,
        reads=select.reads,
        asks=select.asks,
        second=(second.reads, second.asks) if second else None,
    )
