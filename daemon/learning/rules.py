"""The rules of one window: what its pin's edition and calibration say, resolved once.

Pure: equal (edition, calibration, key) give equal rules on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from buffers import draw, exact
from buffers.base import TARGET_SUM, Quotas
from daemon.learning import emitted
from daemon.learning.calibration import (
    SCALE,
    Calibration,
    Half,
    Histogram,
    noise_rate,
    suspect_below,
    wrong_share,
)
from daemon.learning.edition import Edition
from daemon.learning.emitted import Known
from daemon.learning.spreads import spread
from daemon.policy import Groups, Policy
from scoring.types import GRID, Asks, Spread, Terms

OTHER = "(other)"  # names that have no group of their own
ALL = "(all)"  # the one group of a cold window
CONSTANT = 0  # the epoch of all windows whose draws are those of any other
NO_HALF, NO_NOISE_RATE, NO_PLAUSIBILITY = "no_half", "no_noise_rate", "no_plausibility"
COLD: Mapping[str, str] = {  # why a window is cold, for people
    NO_HALF: "the checkpoint has no calibration half yet: publish it with a sample",
    NO_PLAUSIBILITY: "no label could be judged yet: publish with a sample that has labels",
    NO_NOISE_RATE: "no audit answers yet and no assumed rate: the label noise is unknown",
}
NO_CAP = 1 << 40
NOTHING = Asks()


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """What decides a window, beside the records. Groups are indices into `groups`."""

    window: int
    edition: Edition
    calibration: int  # window that it was learnt up to, or pin.FIRST
    key: bytes
    terms: Terms
    cold: str  # a key of COLD: nothing is weighed or balanced here; "" when warm
    groups: tuple[str, ...]
    quotas: Quotas
    known: Known = emitted.NOTHING  # what the lanes refuse as emitted already
    second: Terms | None = None  # of a cascade's policy; None: there is one stage
    noise: int = 0  # share of labels that are wrong, in steps of 1 / GRID; 0: none, or unknown

    @property
    def epoch(self) -> int:
        """Of the window's draws (law 2): its own where what is known is refused."""
        return CONSTANT if self.policy.epoch == "constant" else self.window

    @property
    def by_chance(self) -> bool:
        """Draws decide who stays, text by text. Where the newest records do, no tau tells."""
        return self.policy.reservoir.kind != "newest"

    @property
    def policy(self) -> Policy:
        return self.edition.policy

    @property
    def index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.groups)}

    def mask(self, group: int, name: str) -> int:
        """What tells two names apart that share `(other)`: XORed into the key's low word."""
        return draw.name_hash(self.key, name) if group == 0 and not self.cold else 0


def targets(shares: list[int], exponent: float) -> list[int]:
    """Integer targets proportional to share ** exponent, each >= 1, summing to TARGET_SUM."""
    # one pseudo-record each, so that a group that nobody has used yet still owns a slot
    values = np.array([share + SCALE for share in shares], dtype=np.float64)
    powers = exact.exp(exponent * exact.ln(values / float(SCALE)))
    weights = [int(p * (1 << 20)) for p in powers.tolist()]
    total = sum(weights)
    whole = [max(1, w * TARGET_SUM // total) for w in weights]
    spare = TARGET_SUM - sum(whole)
    largest = max(range(len(whole)), key=lambda i: (whole[i], -i))
    whole[largest] += spare
    return whole


def group_names(
    classes: tuple[str, ...], counts: dict[str, int], groups: Groups, key: bytes
) -> tuple[str, ...]:
    """The groups that own slots: known to the checkpoint or seen often enough, and `other`.

    A constant of the window (law 2): a name that appears in its records only is `other`.
    """
    known = set(classes) | {n for n, c in counts.items() if c >= groups.support * SCALE}
    known -= {OTHER, ""}  # "": what has none of the policy's sources
    ordered = sorted(known, key=lambda n: (-counts.get(n, 0), draw.name_hash(key, n), n))
    return (OTHER, *sorted(ordered[: groups.limit]))


def _cold_reason(half: Half | None, calibration: Calibration, policy: Policy) -> str:
    if half is None or half.rows < policy.learning.minimum_rows:
        return NO_HALF
    rate = noise_rate(calibration.traffic, policy.quarantine)
    if "label" in policy.groups.by and rate is None and policy.quarantine.assumed_rate is None:
        # balancing by unquarantined labels nearly doubled the noise kept (.099 -> .178)
        return NO_NOISE_RATE
    if "label" in policy.groups.by and not half.plausibility:
        return NO_PLAUSIBILITY  # the rate is known, but not which labels are the doubtful ones
    return ""


def _histogram(score: str, half: Half | None, published: Half | None) -> Histogram:
    """Of a score that a policy begins to weigh nothing was folded, but it was published."""
    found = half.histograms.get(score) if half else None
    return found or (published.histograms.get(score, {}) if published else {})


def make(
    window: int,
    edition: Edition,
    calibration: Calibration,
    key: bytes,
    *,
    reads: Sequence[str] = (),
    asks: Asks = NOTHING,
    already: Known = emitted.NOTHING,
    second: tuple[Sequence[str], Asks] | None = None,
) -> Rules:
    """Resolve a pin. `reads` and `asks`: the scores that the edition's policy weighs, and what
    it wants to know of them; `second`: those of its cascade's policy. `already`: the content of
    the runs that the calibration names."""
    policy = edition.policy
    half = calibration.half(edition.half_name) or edition.half
    cold = _cold_reason(half, calibration, policy)

    def spreads(reads: Sequence[str], asks: Asks) -> tuple[Spread, ...]:
        found = (_histogram(name, half, edition.half) for name in reads)
        return tuple(spread(histogram, policy.learning, asks) for histogram in found)

    noise = 0 if cold else round(GRID * (wrong_share(calibration, policy.quarantine) or 0.0))
    suspect = None if cold or half is None else suspect_below(calibration, half, policy.quarantine)
    if cold:
        names: tuple[str, ...] = (ALL,)
        shares, exponent = [0], 0.0
    else:
        counts = calibration.traffic.groups
        names = group_names(edition.classes, counts, policy.groups, key)
        known = set(names)
        rest = sum(count for name, count in counts.items() if name not in known)
        shares = [rest if name == OTHER else counts.get(name, 0) for name in names]
        exponent = policy.groups.traffic_exponent
    floor = 0 if cold else policy.groups.floor_rows
    cap = NO_CAP if cold else policy.groups.cap_rows or NO_CAP
    quotas = Quotas(
        np.array(targets(shares, exponent), dtype=np.int64),
        np.full(len(names), floor, dtype=np.int64),
        np.full(len(names), cap, dtype=np.int64),
        np.array([draw.name_hash(key, name) for name in names], dtype=np.uint64),
    )
    seen = calibration.traffic.groups
    classes = tuple(seen.get(name, 0) + SCALE for name in edition.classes)
    terms = Terms(spreads(reads, asks), suspect, bool(cold), classes)
    later = replace(terms, spreads=spreads(*second)) if second else None
    return Rules(
        window, edition, calibration.window, key, terms, cold, names, quotas, already, later, noise
    )
