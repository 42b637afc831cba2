"""The words that scoring shares with every floor above it: outputs, scores, terms, reasons.

A score leaves this package as an integer on the grid (law 7): `round(score * GRID)`, int16.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

GRID = 4096  # steps per unit; the one resolution of scores, weights and plausibility
MISSING = -1  # on the grid: this row has no such score (no label, say)
NO_LABEL = -1  # in a label column: the record carries no label
UNKNOWN_LABEL = -2  # in a label column: a label that this checkpoint has no class for

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Grid = npt.NDArray[np.int16]


class Reason(enum.StrEnum):
    """Why a record is not selectable. Closed: the order is the code in ledgers, append only."""

    ACCEPTED = "accepted"
    EMPTY_VALUE = "empty_value"
    VALUE_TOO_LARGE = "value_too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    TOO_DEEP = "too_deep"
    NO_ID = "no_id"
    BAD_ID = "bad_id"
    NO_TEXT = "no_text"
    BAD_TEXT = "bad_text"
    EMPTY_TEXT = "empty_text"
    TEXT_TOO_LONG = "text_too_long"
    BAD_LOCALE = "bad_locale"
    NO_MODEL = "no_model"
    BAD_HYPOTHESIS = "bad_hypothesis"
    BAD_SLOTS = "bad_slots"
    BAD_LABEL = "bad_label"
    BAD_SIGNAL = "bad_signal"
    BAD_EVENT_TIME = "bad_event_time"
    NO_CONSENT = "no_consent"
    NO_LABEL = "no_label"
    SUSPECT = "suspect"
    OUTSIDE_BAND = "outside_band"
    ALREADY_EMITTED = "already_emitted"


REASONS: tuple[Reason, ...] = tuple(Reason)
CODES: Mapping[Reason, int] = {reason: code for code, reason in enumerate(REASONS)}
# of policies and of novelty: the record was read and scored; all others are of the decoder
JUDGED = (Reason.NO_LABEL, Reason.SUSPECT, Reason.OUTSIDE_BAND, Reason.ALREADY_EMITTED)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that is counted, dead-lettered and passed over: a value, never an exception."""

    index: int  # row in the batch that was decoded
    reason: Reason


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """What a model says of n texts over k classes (and T slot positions, S slot tags)."""

    logits: Floats  # (n, k)
    probs: Floats  # (n, k), rows sum to 1
    hidden: Floats | None = None  # (n, d), what the last linear layer read
    slot_probs: tuple[Floats, ...] | None = None  # n arrays (T_i, S), first sub-tokens only
    labels: Ints | None = None  # (n,) class index, NO_LABEL or UNKNOWN_LABEL
    history: Floats | None = None  # (m, n, k) probs under the last m checkpoints, this one last
    # what only some scores read, and what stays None where nobody supplies it
    hidden_history: Floats | None = None  # (m, n, d) `hidden` under those checkpoints
    gradients: tuple[Floats, ...] | None = None  # n arrays (m, L_i, d): scores/vog.py says of what
    layer_gradient: Floats | None = None  # (n,) length: scores/grand_layer.py says of what
    slot_labels: tuple[Ints, ...] | None = None  # n arrays (T_i,) tag index, NO_ or UNKNOWN_LABEL
    slot_hidden: tuple[Floats, ...] | None = None  # n arrays (T_i, d), what the slot layer read
    lengths: Ints | None = None  # (n,) tokens that the model read of each text
    reference: Floats | None = None  # (n, k) probs under a model of held-out rows alone
    prior: Floats | None = None  # (k,) share of each class, all > 0; one table for all rows
    trails: Floats | None = None  # (k,) slot-trail entropy of each class, bits; for all rows
    direction: Direction | None = None  # of trusted rows: scoring/directions.py; for all rows


class Direction(Protocol):
    """Where trusted rows pull the last layer; both (n,), finite where all that is given is."""

    def influences(self, probs: Floats, hidden: Floats, labels: Ints) -> Floats: ...

    def efforts(self, probs: Floats, hidden: Floats, labels: Ints) -> Floats: ...


class Model(Protocol):
    """One loaded checkpoint on one engine.

    `run` is called once per batch by the scorer, from one thread at a time. Law: each row of the
    result is a function of its own text alone, to the last bit, whatever its neighbours are.
    Raises nothing for odd text; a text may be empty or longer than the model's limit (truncated).
    """

    classes: tuple[str, ...]
    fingerprint: str  # digest of the checkpoint's manifest
    engine: str  # what a part names: kind, precision, library version, CPU level

    def run(self, texts: Sequence[str]) -> Outputs: ...

    def close(self) -> None: ...


class Score(Protocol):
    """A number per row of `Outputs`. One file in scoring/scores builds each kind.

    Called once per batch with only the rows that have what it `needs` (so "label" in needs means
    `outputs.labels` holds no NO_LABEL; it may hold UNKNOWN_LABEL, a class with p_y = 0).
    Returns (n,) float32 in [0, high], never NaN.
    """

    name: str
    high: float  # upper end of the range; the lower end is 0
    needs: frozenset[str]  # "label", and names of scoring.scorer.SUPPLIERS
    cost: str  # "forward" | "checkpoints" | "backward"
    source: str  # paper and equation

    def __call__(self, outputs: Outputs) -> Floats: ...


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """A batch on the grid: what every later decision reads."""

    argmax: Ints  # (n,) class index of the checkpoint's own answer
    labels: Ints  # (n,) as in Outputs.labels
    scores: Mapping[str, Grid]  # name -> (n,), MISSING where it has no value
    plausibility: Grid  # (n,) of the given label, in [0, GRID]; MISSING without a known label
    probs: Floats  # (n, k), kept for the candidates' top probabilities


@dataclass(frozen=True, slots=True)
class Asks:
    """What a policy wants to know of each score that it reads, besides two quantiles."""

    strata: int = 0  # into how many of equal width the span between them is cut; 0: no strata
    share: float | None = None  # one more quantile: the step with this share at or below it
    rungs: int = 0  # into how many equal shares its rows are cut; 0: no ladder


@dataclass(frozen=True, slots=True)
class Spread:
    """How one score is spread in the pinned calibration. Integers on the grid."""

    low: int  # lower quantile
    high: int  # upper quantile, > low
    rows: int = 1  # scored rows that are remembered; 0: nothing was learnt of this score
    deviation: int = 1  # standard deviation, >= 1
    cut: int = 0  # the quantile at `Asks.share`
    strata: tuple[int, ...] = ()  # mass of each of `Asks.strata`, low to high; any one unit
    ladder: tuple[int, ...] = ()  # steps between `Asks.rungs` equal shares, ascending: one fewer


@dataclass(frozen=True, slots=True)
class Terms:
    """What the pinned calibration says to a policy, for one window. Integers."""

    spreads: tuple[Spread, ...]  # of the scores that the policy reads, in that order
    suspect_below: int | None  # plausibility under this is suspect; None: no quarantine
    cold: bool  # nothing learnt yet: weigh uniformly
    classes: tuple[int, ...] = ()  # of each class, records seen and one more; any one unit


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """A policy's verdict on a batch."""

    weights: Grid  # (n,) in 1..GRID where accepted, 0 where refused
    reasons: npt.NDArray[np.uint8]  # (n,) codes of REASONS; 0 = accepted


class Policy(Protocol):
    """How scores become a weight or a refusal. One file in scoring/policies builds each kind."""

    name: str
    reads: tuple[str, ...]  # names of the scores it weighs
    asks: Asks  # of each of them
    needs_label: bool  # a row without one is refused
    reads_label: bool  # weight or verdict is another where the label is another
    key_only: bool  # weight is a function of (model text, label) alone: allowed in text mode

    def weigh(self, scored: Scored, terms: Terms) -> Weighed: ...
