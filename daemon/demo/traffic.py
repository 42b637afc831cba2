"""Who says what, and when: which texts a stream may use, and how often each comes.

Traffic is heavy-headed twice, over intents and over the texts of an intent, and it shifts once
in the middle: the intents change ranks, and some are heard only from then on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from daemon.corpus import Corpus, Row
from daemon.ports import EXIT_CONFIG, Fatal
from scoring.training.dice import Dice, Floats64, Ints64, zipf

EARLY_SHARE, LATER_SHARE = 0.15, 0.35  # of an intent's distinct texts; `later` contains `early`


@dataclass(frozen=True, slots=True)
class Shape:
    """What a made-up stream looks like. Shares are in [0, 1] and of all records."""

    records: int = 20_000
    windows: int = 24
    period_ms: int = 300_000
    start_ms: int = 1_709_532_000_000  # 2024-03-04 06:00 UTC, on a window's edge
    lanes: int = 3
    users: int = 400
    locale: str = "en-US"
    flipped: float = 0.08  # of the labelled records; half uniform, half to a confusable intent
    unlabelled: float = 0.12
    malformed: float = 0.005
    backward: float = 0.01  # append times that go back by some milliseconds
    production: float = 0.88  # how often the production model is right
    intent_exponent: float = 1.0
    text_exponent: float = 0.8
    new_intents: int = 2
    silent_windows: int = 2  # in which the last lane has no record

    @property
    def first_window(self) -> int:
        return self.start_ms // self.period_ms

    @property
    def last_window(self) -> int:
        return self.first_window + self.windows - 1


@dataclass(frozen=True, slots=True)
class Plan:
    """Train rows divided: those that train checkpoints are never heard in the stream.

    So a checkpoint scores texts whose labels it has not seen (prequential). An intent with one
    distinct text only is in both.
    """

    early: tuple[Row, ...]  # trains the first checkpoint; no new intent
    later: tuple[Row, ...]  # trains the second; contains `early` and the new intents
    heard: Mapping[str, tuple[Row, ...]]  # the stream's texts by intent, most frequent first
    new: tuple[str, ...]  # intents heard in the second half only


def plan(corpus: Corpus, shape: Shape, dice: Dice) -> Plan:
    """Divide the train split. Raises Fatal if fewer than two intents would be old."""
    intents: dict[str, dict[str, Row]] = {name: {} for name in corpus.classes}
    owner: dict[str, str] = {}  # a text belongs to the first intent that has it
    for row in corpus.train:
        key = row.text.casefold()
        if owner.setdefault(key, row.intent) == row.intent:
            intents[row.intent].setdefault(key, row)
    names = [name for name, rows in intents.items() if rows]
    if len(names) - shape.new_intents < 2:
        hint = "ask for fewer new intents, or give a corpus with more"
        raise Fatal("too few intents for a stream that shifts", code=EXIT_CONFIG, hint=hint)
    new = tuple(sorted(dice.shuffled("new", names)[: shape.new_intents]))
    early: list[Row] = []
    later: list[Row] = []
    heard: dict[str, tuple[Row, ...]] = {}
    for name in names:
        rows = dice.shuffled(f"texts of {name}", list(intents[name].values()))
        first = max(1, round(EARLY_SHARE * len(rows)))
        second = max(first, round(LATER_SHARE * len(rows)))
        early += [] if name in new else rows[:first]
        later += rows[:second]
        heard[name] = tuple(rows[second:] or rows)
    return Plan(tuple(early), tuple(later), heard, new)


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """Columns of n records in order of time."""

    rows: tuple[Row, ...]
    times_ms: Ints64
    users: Ints64
    lanes: Ints64


def traffic(made: Plan, shape: Shape, dice: Dice) -> Traffic:
    """Draw the columns. Each lane's times ascend, but for a few steps back."""
    windows, times = _times(shape, dice)
    picks = _intents(made, shape, windows, dice)
    names = list(made.heard)
    rows: list[Row] = []
    places = dice.uniforms("text", shape.records)
    edges = {name: np.cumsum(zipf(len(made.heard[name]), shape.text_exponent)) for name in names}
    for pick, place in zip(picks.tolist(), places.tolist(), strict=True):
        name = names[pick]
        edge = edges[name]
        index = int(np.searchsorted(edge, place * edge[-1], side="right"))
        rows.append(made.heard[name][min(index, len(edge) - 1)])
    users = dice.weighted("user", shape.records, zipf(shape.users, 0.6))
    lanes = dice.below("lane", shape.users, shape.lanes)[users]  # a user keys to one lane
    silent = windows - shape.first_window - shape.windows // 3
    hush = (lanes == shape.lanes - 1) & (silent >= 0) & (silent < shape.silent_windows)
    lanes = np.where(hush, 0, lanes)  # with one lane nothing can be silent
    back = dice.uniforms("backward", shape.records) < shape.backward
    times = times - np.where(back, 1 + dice.below("back by", shape.records, 40), 0)
    return Traffic(tuple(rows), np.maximum(times, shape.start_ms), users, lanes)


def _times(shape: Shape, dice: Dice) -> tuple[Ints64, Ints64]:
    """Window and time of each record: two gentle waves of load, uniform inside a window."""
    phase = np.arange(shape.windows) * (4 * np.pi / shape.windows)
    load = np.round(1000 * (1 + 0.25 * np.sin(phase))).astype(np.int64)  # whole: no last bits
    bounds = np.concatenate([[0], np.cumsum(load)]) * shape.records // load.sum()
    index = np.repeat(np.arange(shape.windows), np.diff(bounds))
    inside = dice.below("time", shape.records, shape.period_ms)
    order = np.lexsort((inside, index))
    times = shape.start_ms + index * shape.period_ms + inside
    return shape.first_window + index, times[order].astype(np.int64)


def _intents(made: Plan, shape: Shape, windows: Ints64, dice: Dice) -> Ints64:
    """(n,) index into `made.heard`: Zipf over one ranking in each half of the windows."""
    before, after = _rankings(made, shape, dice)
    late = windows >= shape.first_window + shape.windows // 2
    first = dice.weighted("intent before", shape.records, before)
    second = dice.weighted("intent after", shape.records, after)
    return np.where(late, second, first).astype(np.int64)


def _rankings(made: Plan, shape: Shape, dice: Dice) -> tuple[Floats64, Floats64]:
    """Weights of the intents in each half; new intents enter at ranks 3, 6, 9 ..."""
    names = list(made.heard)
    old = [index for index, name in enumerate(names) if name not in made.new]
    ranking = dice.shuffled("ranks before", old)
    again = dice.shuffled("ranks after", old)
    for place, name in enumerate(made.new, start=1):
        again.insert(3 * place - 1, names.index(name))
    weights: list[Floats64] = []
    for order in (ranking, again):
        weight = np.zeros(len(names))
        weight[order] = zipf(len(order), shape.intent_exponent)
        weights.append(weight)
    return weights[0], weights[1]
