"""What a stream is like, and what the checkpoint that scores it is like: the rows of the benchmark.

Arms are told nothing of it: what they know of label noise is an audit of rows of the stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from scoring.training.heads import STEPS


class Scenario(msgspec.Struct, frozen=True):
    """One stream. Shares are in [0, 1]; `first` events train the checkpoint and are not scored."""

    meaning: str
    events: int = 40_000
    first: int = 6_000
    flips: float = 0.0  # events whose label is wrong
    flips_to: Literal["any", "near"] = "any"  # near: one of the three most confusable intents
    copied: float = 0.0  # texts whose label is made once: whenever they are said, the same mistake
    intent_exponent: float = 1.0  # of Zipf's law over intents
    text_exponent: float = 0.8  # of Zipf's law over the texts of an intent
    once: bool = False  # each text of the train split once, no traffic; `events` is ignored
    weak: bool = False  # labels are the answers of a teacher, where it is confident
    late_intents: int = 0  # heard in the second half of the stream only
    checkpoint_rows: int | None = None  # of the first events; null: all of them
    checkpoint_steps: int = STEPS  # 0: untrained
    worse_by: float = 0.0  # accuracy that the checkpoint loses to noise on its weights


SCENARIOS: Mapping[str, Scenario] = {
    "clean": Scenario("Zipf traffic with repeats, all labels right"),
    "flips-5": Scenario("5 % of the labels are any other intent", flips=0.05),
    "flips-10": Scenario("10 % of the labels are any other intent", flips=0.10),
    "flips-20": Scenario("20 % of the labels are any other intent", flips=0.20),
    "near-5": Scenario("5 % flips to a confusable intent", flips=0.05, flips_to="near"),
    "near-10": Scenario("10 % flips to a confusable intent", flips=0.10, flips_to="near"),
    "near-20": Scenario("20 % flips to a confusable intent", flips=0.20, flips_to="near"),
    "copied-10": Scenario(
        "10 % of the texts are always labelled as the same confusable intent", flips=0.10,
        flips_to="near", copied=1.0,
    ),
    "mixed-10": Scenario(
        "10 % flips to a confusable intent, half of the texts always to the same", flips=0.10,
        flips_to="near", copied=0.5,
    ),
    "once": Scenario("every text once, all labels right", once=True),
    "once-flips-10": Scenario("every text once, 10 % flips to any intent", once=True, flips=0.10),
    "long-tail": Scenario("intents by Zipf's law with exponent 1.5", intent_exponent=1.5),
    "repeats": Scenario("texts by Zipf's law with exponent 1.2", text_exponent=1.2),
    "weak": Scenario("labels by a teacher that learnt 10 % of the texts", weak=True),
    "late-intents": Scenario("15 intents begin in the middle of the stream", late_intents=15),
    "early-2000": Scenario(
        "a checkpoint of 2 000 events (5 %), 10 % flips", flips=0.10, checkpoint_rows=2_000
    ),
    "early-400": Scenario(
        "a checkpoint of 400 events (1 %), 10 % flips", flips=0.10, checkpoint_rows=400
    ),
    "steps-5": Scenario("a checkpoint after 5 steps (a tenth of an epoch)", checkpoint_steps=5),
    "steps-50": Scenario("a checkpoint after 50 steps (one epoch)", checkpoint_steps=50),
    "untrained": Scenario("a checkpoint that nobody has trained", checkpoint_steps=0),
    "worse-20": Scenario("a checkpoint 20 points worse, 10 % flips", flips=0.10, worse_by=0.20),
    "worse-40": Scenario("a checkpoint 40 points worse, 10 % flips", flips=0.10, worse_by=0.40),
}
