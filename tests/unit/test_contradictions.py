"""Contradicting labels of one text: all but the most plausible go to review, and are counted."""

from __future__ import annotations

from daemon.policy import Quarantine
from tests import selection
from tests.streams import say, small_policy


def test_a_row_moved_to_review_says_how_often_its_text_was_said() -> None:
    values = [say(n, "the same", f"unknown {n % 2}") for n in range(10)]
    policy = small_policy(quarantine=Quarantine(assumed_rate=0.0))
    store = selection.run(selection.lane_split(values, 2), policy)
    rows = selection.shard_rows(store)
    moved = [row for row in rows if "review" in row["arms"] and "selected" not in row["arms"]]
    assert [row["multiplicity"] for row in moved] == [5]
