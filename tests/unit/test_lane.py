"""Windows of record time, and the lane that cuts them: laws 1 and 3."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.lanes import part as parts
from daemon.lanes import window as windows
from daemon.lanes.labels import MOST_BYTES, Labels
from daemon.lanes.lane import Lane, Open, PutPart
from daemon.lanes.part import PartManifest
from daemon.lanes.window import NO_TIME, Segment, closable, window_of
from daemon.ports import Batch, Closing, LaneId

LANE = LaneId("labels", 0)
PERIOD = 10
TIMES = st.lists(st.integers(0, 200), max_size=30)


def batch(times: list[int], first: int = 0, step: int = 1) -> Batch:
    positions = first + step * np.arange(len(times), dtype=np.int64)
    return Batch(LANE, positions, np.array(times, np.int64), [b"%d" % t for t in times])


def lane(lowest: int = 0) -> Lane:
    made = Lane(LANE, "labels", "id", period_ms=PERIOD)
    made.resume(0, lowest, NO_TIME)
    return made


def feed(
    lane: Lane, times: list[int], sizes: list[int], closings: tuple[Closing, ...] | None = None
) -> list[PartManifest]:
    """Push records through a label lane, whose windows need no pin; the parts that it makes."""
    made, at = [], 0
    while at < len(times):
        size = sizes[at % len(sizes)]
        head = batch(times[at : at + size], at)
        segment = next(lane.cut(head, closings))
        for effect in lane.turn(segment.window, segment.opens_ms):
            assert isinstance(effect, PutPart)
            made.append(effect.part.manifest)
        if lane.window != segment.window:
            lane.begin(segment.window, Labels())
        lane.absorb_labels(head, segment)
        at = lane.position
    return made


@given(times=TIMES, sizes=st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_windows_do_not_depend_on_batches(times: list[int], sizes: list[int]) -> None:
    one, other = lane(), lane()
    whole = feed(one, times, [1000]) + [e.part.manifest for e in one.cover(40, "end")]
    cut = feed(other, times, sizes) + [e.part.manifest for e in other.cover(40, "end")]
    assert whole == cut


@given(times=TIMES, lowest=st.integers(0, 8))
def test_parts_of_a_lane_form_a_chain_without_holes(times: list[int], lowest: int) -> None:
    """Law 6: start = the end before; the next name = through + 1; nothing is in no part."""
    standing = lane(lowest)
    made = feed(standing, times, [3]) + [e.part.manifest for e in standing.cover(40, "end")]
    assert (made[0].window, made[0].start) == (lowest, 0)
    assert (made[-1].through, made[-1].end) == (40, len(times))
    for before, after in pairwise(made):
        assert (after.window, after.start) == (before.through + 1, before.end)
        assert after.time_ms >= before.time_ms
    for part in made:
        assert part.through == part.window or part.start == part.end, "only empty runs are long"


@given(times=TIMES, first=st.integers(-1, 90), lowest=st.integers(0, 9))
def test_time_is_the_running_maximum_and_older_claims_are_late(
    times: list[int], first: int, lowest: int
) -> None:
    now, expected = first, []
    for time in times:
        now = max(now, time)
        window = max(now // PERIOD, lowest)
        expected.append((window, time // PERIOD < window))
    found: list[tuple[int, bool]] = []
    cut = windows.segments(
        np.array(times, np.int64), lane_time_ms=first, lowest=lowest, period_ms=PERIOD
    )
    for segment in cut:
        rows = expected[segment.first : segment.end]
        assert {window for window, _ in rows} == {segment.window}
        assert segment.late == sum(late for _, late in rows)
        assert segment.opens_ms == max([first, *times[: segment.first + 1]])
        assert segment.time_ms == max([first, *times[: segment.end]])
        found += rows
    assert found == expected


@given(evidence=st.integers(0, 500), grace=st.integers(0, 5), window=st.integers(0, 60))
def test_evidence_closes_a_window_only_after_its_end_and_grace(
    evidence: int, grace: int, window: int
) -> None:
    may = evidence >= (window + 1 + grace) * PERIOD
    assert (window <= closable(evidence, grace=grace, period_ms=PERIOD)) == may


def test_no_time_is_evidence_of_nothing() -> None:
    assert closable(NO_TIME, grace=0, period_ms=PERIOD) == -1
    assert window_of(NO_TIME, PERIOD) == -1


def test_a_gap_is_one_part_that_says_through() -> None:
    made = feed(lane(5), [52, 490], [9])
    assert [(p.window, p.through, p.start, p.end) for p in made] == [(5, 5, 0, 1), (6, 48, 1, 1)]
    assert [p.time_ms for p in made] == [490, 490], "the closing record's time"
    assert {p.closed_by for p in made} == {"record"}


def test_a_part_states_the_lane_time_and_not_the_end_of_its_window() -> None:
    standing = lane(5)
    feed(standing, [57, 51], [9])
    (effect,) = standing.cover(5, "evidence")
    assert (effect.part.manifest.time_ms, effect.part.manifest.closed_by) == (57, "evidence")


def test_records_after_an_early_close_are_late_in_the_next_window() -> None:
    """Closing on evidence is final: what was said for the closed window counts later."""
    standing = lane(5)
    feed(standing, [52], [9])
    standing.cover(8, "evidence")
    (segment,) = standing.cut(batch([53, 61, 93], 1))
    assert (segment.window, segment.late, segment.end) == (9, 2, 3)


def test_a_waiting_lane_asks_again_and_closes_nothing_twice() -> None:
    standing = Lane(LaneId("u", 0), "utterances", "id", period_ms=PERIOD)
    standing.resume(0, 3, NO_TIME)
    first = standing.turn(6, 61)
    assert [type(e) for e in first] == [PutPart, Open]
    assert standing.turn(6, 61) == (Open(LaneId("u", 0), 6),)


def test_a_window_opens_only_after_those_before_it_are_covered() -> None:
    standing = lane(3)
    with pytest.raises(AssertionError):
        standing.begin(5, Labels())


def test_a_window_does_not_close_while_records_are_on_their_way() -> None:
    standing = lane(5)
    standing.begin(5, Labels())
    standing.take(4, 59)
    with pytest.raises(AssertionError):
        standing.cover(5, "record")


def test_a_resume_forgets_all_that_a_read_brings_back() -> None:
    """Law 6: the state is the open window; re-read from the newest part it is the same."""
    times = [51, 64, 58, 66, 97, 99, 121]
    whole = feed(lane(5), times, [1])
    again = lane(5)
    feed(again, times[:4], [2])
    newest = whole[0]
    again.resume(newest.end, newest.through + 1, newest.time_ms)
    assert again.open is None
    rest = feed_from(again, times, newest.end)
    assert rest == whole[1:]


def feed_from(standing: Lane, times: list[int], first: int) -> list[PartManifest]:
    made = []
    for at in range(first, len(times)):
        segment: Segment = next(standing.cut(batch(times[at : at + 1], at)))
        made += [e.part.manifest for e in standing.turn(segment.window, segment.opens_ms)]  # type: ignore[union-attr]
        if standing.window != segment.window:
            standing.begin(segment.window, Labels())
        standing.absorb_labels(batch(times[at : at + 1], at), segment)
    return made


def test_recorded_cuts_are_obeyed_whatever_the_times_say() -> None:
    """A recorded run was cut by evidence that a replay does not have."""
    closings = (
        Closing(5, 5, 0, 2, 58, "evidence"),
        Closing(6, 8, 2, 2, 58, "evidence"),
        Closing(9, 9, 2, 3, 93, "record"),
    )
    head = batch([52, 58, 59, 95])
    segments = list(lane(5).cut(head, closings))
    assert [(s.window, s.first, s.end, s.late) for s in segments] == [(5, 0, 2, 0), (9, 2, 3, 1)]
    assert feed(lane(5), [52, 58, 59], [9], closings)[1].through == 8


def test_positions_may_have_gaps() -> None:
    """Transactions and compaction leave some: a part ends behind its last record."""
    standing = lane(5)
    head = batch([51, 52, 65], first=10, step=7)
    segment = next(standing.cut(head))
    standing.turn(segment.window, segment.opens_ms)
    standing.begin(5, Labels())
    standing.absorb_labels(head, segment)
    (effect,) = standing.cover(5, "end")
    assert (effect.part.manifest.end, effect.part.rows["position"]) == (18, [10, 17])


def test_what_is_too_large_to_be_an_answer_is_counted_and_not_kept() -> None:
    """An empty value is refused where answers are decoded; a tombstone is no answer at all."""
    labels = Labels()
    large = b"x" * (MOST_BYTES + 1)
    values = [b"1", large, None, large[1:]]
    labels.absorb(Batch(LANE, np.arange(4), np.arange(4), values), Segment(0, 0, 4, 0, 1, 333))
    assert labels.rows["value"] == [b"1", b"", large[1:]]
    assert labels.rows["position"] == [0, 1, 3]


def test_the_name_of_a_part_says_window_topic_and_partition_and_nothing_else() -> None:
    """A name with the range's end forks: two processes that saw two ends make two parts."""
    one, other = lane(5), lane(5)
    feed(one, [51, 52, 53], [9])
    feed(other, [51, 52], [9])
    names = set()
    for standing in (one, other):
        (effect,) = standing.cover(5, "evidence")
        names.add(parts.name(effect.part.manifest.lane, effect.part.manifest.window))
    assert names == {"parts/labels/00000/000000000005.parquet"}
