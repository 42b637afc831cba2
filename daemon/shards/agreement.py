"""What the repeats of a text say of its labels: all candidates of a window together. Pure.

A checkpoint doubts right labels of what it hardly knows. Where a text was labelled several times
and mistakes are made anew each time, its other labels know better: each that says the same makes a
label as much likelier as a right one is than a wrong one, ln((1 - r) / r) at the audited rate r
(Dawid and Skene 1979 with one error rate for all annotators).

That holds only as far as mistakes are independent. A label that was copied (a model's, a rule's, a
cached annotation) repeats its mistake, and says nothing new. So it is measured first: of two labels
of one text that were made apart, 2 r (1 - r) differ; where not two thirds as many do, repeats count
for nothing, and what is plausible to the checkpoint alone decides.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

from msgspec import Struct

from buffers import draw
from daemon.decode.near import by_text
from daemon.learning.rules import Rules
from daemon.shards.columns import Columns, plain_name
from scoring.types import CODES, GRID, Reason

MINIMUM = 50  # texts with several labels under which nothing is measured
UNIT = 1 << 20  # of shares
ENOUGH = 2, 3  # of the differences that labels made apart have: two thirds
NEVER_LIKELY = -(1 << 62)  # what cannot be judged is less likely than all that can

Text = tuple[int, int]
T = TypeVar("T")


class Standing(NamedTuple):
    """A label of a text, as one candidate has it."""

    text: Text
    label: int  # hash of its name, which tells equally likely ones apart
    plausibility: int  # in steps of 1 / GRID; negative where the checkpoint cannot judge
    said: int  # times that it was given


class Agreed(Struct, frozen=True):
    """What a shard's manifest says of repeats."""

    texts: int = 0  # with several labels, of the candidates
    differing: float = 0.0  # share of pairs of labels that differ, mean over those texts
    independent: bool = False  # repeats were believed
    back: int = 0  # candidates whose doubted label they brought back


NOTHING_SAID = Agreed()


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """How much repeats count in a window, and how often each label of a text was given."""

    gain: int = 0  # log-odds of one more of them, in steps of 1 / draw.RANK_UNIT; 0: no more
    counts: Mapping[tuple[Text, int], int] = field(default_factory=dict)
    texts: int = 0
    differing: int = 0  # sum over those texts, in steps of 1 / UNIT

    def told(self, back: int) -> Agreed:
        share = self.differing / (UNIT * self.texts) if self.texts else 0.0
        return Agreed(self.texts, round(share, 6), self.gain > 0, back)

    def counting(self, others: Iterable[Standing]) -> Agreement:
        """And these, of which nothing is measured: which of them are at hand, pools decide."""
        counts = Counter(self.counts)
        for one in others:
            counts[one.text, one.label] += one.said
        return replace(self, counts=counts)

    def rank(self, one: Standing) -> tuple[int, int, int]:
        """Of labels of one text the smallest is believed."""
        likely = NEVER_LIKELY
        if one.plausibility >= 0:  # against the checkpoint's own answer, which all share
            likely = min(log_odds(one.plausibility), 0) + self.gain * self._count(one)
        return -likely, -one.plausibility, one.label

    def clears(self, one: Standing, suspect_below: int) -> bool:
        """It is in doubt, and its other records outweigh that."""
        odds = log_odds(one.plausibility) + self.gain * (self._count(one) - 1)
        doubted = 0 <= one.plausibility < suspect_below
        return doubted and self.gain > 0 and odds >= log_odds(suspect_below)

    def accepted(
        self, said: Iterable[tuple[Standing, int]], suspect_below: int | None
    ) -> list[Standing]:
        """Labels that a policy accepts, by the codes of their reasons, or only doubted."""
        suspect, limit = CODES[Reason.SUSPECT], suspect_below or 0
        return [
            one
            for one, reason in said
            if reason == 0 or (reason == suspect and self.clears(one, limit))
        ]

    def _count(self, one: Standing) -> int:
        return self.counts.get((one.text, one.label), one.said)


ALONE = Agreement()  # the checkpoint decides


def agree(said: Sequence[Standing], noise: int) -> Agreement:
    """Measure the repeats. `noise`: rate of wrong labels, in steps of 1 / GRID; 0: unknown."""
    counts, labels = Counter[tuple[Text, int]](), dict[Text, dict[int, None]]()
    for one in said:
        counts[one.text, one.label] += one.said
        labels.setdefault(one.text, {})[one.label] = None
    texts = differing = 0
    for text, names in labels.items():
        own = [counts[text, name] for name in names]
        total = sum(own)
        if (pairs := total * (total - 1)) > 0:
            texts += 1
            differing += (pairs - sum(c * (c - 1) for c in own)) * UNIT // pairs
    gain = max(0, log_odds(GRID - noise)) if noise else 0
    apart = 2 * noise * (GRID - noise)  # of two labels made apart, in steps of 1 / GRID ** 2
    part, whole = ENOUGH
    if texts < MINIMUM or whole * differing * GRID**2 < part * texts * UNIT * apart:
        gain = 0
    return Agreement(gain, counts, texts, differing)


def noise_of(rules: Rules) -> int:
    """The rate that repeats are believed by: 0 where a row does not know how often its label was
    given, because records of one text and other labels are the same row."""
    return rules.noise if rules.policy.groups.by[0] == "label" else 0


def contradictions(
    placed: Iterable[tuple[T, Standing]], agreement: Agreement, others: Iterable[Standing] = ()
) -> set[T]:
    """Of several labels of one text only the likeliest stays, be it one of `others`.

    One label may stay in several rows, under several hypotheses for example.
    """
    said = list(placed)
    believed: dict[Text, Standing] = {}
    for stands in itertools.chain((stands for _, stands in said), others):
        held = believed.setdefault(stands.text, stands)
        believed[stands.text] = min(held, stands, key=agreement.rank)
    return {one for one, stands in said if stands.label != believed[stands.text].label}


def standing(
    columns: Columns, row: int, rules: Rules, index: Mapping[str, int]
) -> Standing | None:
    """How a row's label stands; None where a row cannot contradict another."""
    if not by_text(rules.policy.identity) or columns["label"][row] is None:
        return None  # a machine's guess beside a person's label is no contradiction
    name = plain_name(columns, row, rules.policy.groups.by)
    mask = rules.mask(index.get(columns["group"][row], 0), name)
    text = (columns["key_hi"][row], columns["key_lo"][row] ^ mask)
    label = draw.name_hash(rules.key, columns["label"][row])
    return Standing(text, label, columns["plausibility"][row], columns["said"][row])


def standings(columns: Columns, rows: Iterable[int], rules: Rules) -> dict[int, Standing]:
    """Of the rows that can contradict another, by row."""
    index = rules.index
    found = ((row, standing(columns, row, rules, index)) for row in rows)
    return {row: stands for row, stands in found if stands is not None}


def log_odds(share: int) -> int:
    """ln(p / (1 - p)) of a share in steps of 1 / GRID, in steps of 1 / draw.RANK_UNIT."""
    inner = min(max(share, 1), GRID - 1)
    return int(draw.LN_WEIGHTS[inner]) - int(draw.LN_WEIGHTS[GRID - inner])
