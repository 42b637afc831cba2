"""What `sluice record` says before it reads, of a run and a log that do not fit."""

from __future__ import annotations

import pytest

from daemon.commands import record
from daemon.ports import EXIT_STATE, Closing, Fatal, LaneId, LaneInfo
from daemon.registry.excerpt import Excerpt

HERE, GONE = LaneId("here", 0), LaneId("gone", 0)
CUTS = (Closing(5, 5, 3, 9, 5_999, "record"), Closing(6, 6, 9, 12, 6_999, "record"))
TAKEN = Excerpt(5, 6, {GONE: CUTS, HERE: CUTS}, ())


def info(lane: LaneId, start: int) -> LaneInfo:
    return LaneInfo(lane, "utterances", "id", start)


def test_a_lane_whose_topic_left_the_configuration_is_named() -> None:
    with pytest.raises(Fatal, match="gone/0 is a lane of the run, and of no topic") as caught:
        record._check_kept([info(HERE, 0)], TAKEN)
    assert caught.value.code == EXIT_STATE


def test_what_the_log_has_lost_is_told_with_the_first_whole_window() -> None:
    record._check_kept([info(HERE, 3), info(GONE, 0)], TAKEN)
    with pytest.raises(Fatal, match="the log has lost records of here/0") as caught:
        record._check_kept([info(HERE, 4), info(GONE, 0)], TAKEN)
    assert "--from 6" in str(caught.value)
