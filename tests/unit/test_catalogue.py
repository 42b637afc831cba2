"""The list of scores says what their files say."""

from __future__ import annotations

from typing import cast

from scoring.catalogue import catalogue
from scoring.kinds import load, names
from scoring.scorer import SUPPLIERS
from scoring.types import Score


def test_every_score_is_listed_once_with_what_it_says_of_itself() -> None:
    entries = catalogue()
    assert sorted(entry.name for entry in entries) == list(names("scoring.scores"))
    for entry in entries:
        score = cast(Score, load("scoring.scores", entry.name, {}))
        assert (entry.cost, entry.source, entry.high) == (score.cost, score.source, score.high)
        assert entry.needs == tuple(sorted(score.needs))
        assert set(entry.needs) <= {"label", *SUPPLIERS}
        assert entry.summary
        assert "\n" not in entry.summary


def test_the_cheap_ones_come_first_and_the_controls_are_marked() -> None:
    entries = catalogue()
    costs = [entry.cost for entry in entries]
    order = ["forward", "checkpoints", "backward"]
    assert costs == sorted(costs, key=order.index)
    assert {e.name for e in entries if e.control} == {"input_norm", "length", "shuffled"}
    for entry in entries:
        assert entry.control == entry.summary.startswith("Null control")


def test_everything_that_can_be_supplied_is_read_by_some_score() -> None:
    read = {need for entry in catalogue() for need in entry.needs}
    assert read == {"label", *SUPPLIERS}
