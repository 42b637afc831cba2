"""What becomes of lanes when members of the group come, go, stall and take each other's name."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.admin import MemberToRemove

from daemon.kafka.member import Fact, Member, Notes
from daemon.ports import EXIT_CONFIG, Fatal, LaneId
from tests.kafka.broker import Broker, unique
from tests.kafka.follower import DEADLINE_SECONDS, Follower, values, whole

Follow = Callable[..., Follower]
IMPATIENT = {"join_timeout_ms": 0, "heartbeat_interval_ms": 100, "session_timeout_ms": 6_000}


def lanes(topic: str, count: int) -> list[LaneId]:
    return [LaneId(topic, partition) for partition in range(count)]


def generation(follower: Follower) -> int:
    consumer = follower.source._line.clients.consumer  # type: ignore[union-attr]
    return int(consumer.group_metadata().generation_id)


def second_comes(broker: Broker, follow: Follow) -> bool:
    """Two of four lanes go to a second member. True if that took one generation of the group."""
    said, group = broker.topic("said", 4), unique("group")
    every = lanes(said, 4)
    for lane in every:
        broker.produce(said, values(30), lane.partition)
    first = follow(said, group=group, instance="a", client=IMPATIENT)
    first.stand(*every)
    while min(map(len, first.rows.values())) < 10:  # some of it is fetched and not given out
        first.poll(3)
    before = generation(first)
    second = follow(said, group=group, instance="b", client=IMPATIENT)
    first.until(lambda: len(first.rows) == len(second.rows) == 2, second)
    one = generation(first) == before + 1
    if one:
        assert first.told[1:] == [("lost", tuple(every[2:]))]  # never told of those that stayed
    else:  # in a generation that it did not hear of, another one may have had them
        assert first.told[1:] == [("lost", tuple(every)), ("gained", tuple(every[:2]))]
    first.until(lambda: all(len(r) >= 30 for r in (first.rows | second.rows).values()), second)
    assert first.rows | second.rows == {lane: whole(30) for lane in every}
    return one


def test_a_lane_that_stays_goes_on_where_it_stood(broker: Broker, follow: Follow) -> None:
    """The group may need two generations to let one member in; seldom five times in a row."""
    assert any(second_comes(broker, follow) for _ in range(5))


def of(follower: Follower, lane: LaneId) -> list[str]:
    """What it was told of one lane."""
    return [word for word, lanes in follower.told if lane in lanes]


def test_a_lane_that_comes_back_is_sought_and_not_read_on(broker: Broker, follow: Follow) -> None:
    """The client would go on where it stood, or at the committed offset: both lose a window."""
    said, group = broker.topic("said", 2), unique("group")
    mine, other = lanes(said, 2)
    for lane in (mine, other):
        broker.produce(said, values(20), lane.partition)
    first = follow(said, group=group, instance="a", client=IMPATIENT, durable={other: 5})
    first.until(lambda: len(first.rows.get(mine, ())) >= 20)
    first.until(lambda: len(first.rows[other]) >= 15)
    first.source.commit({mine: 20, other: 20})
    second = follow(said, group=group, instance="b", client=IMPATIENT)
    second.until(lambda: other in second.rows, first)
    second.source.close()
    broker.admin.remove_group_members(group, [MemberToRemove(group_instance_id="b")])
    first.until(lambda: len(told := of(first, other)) > 2 and told[-1] == "gained")
    assert of(first, other)[:3] == ["gained", "lost", "gained"]
    assert first.read(other, 15) == whole(15, 5)
    assert first.read(mine, 20) == whole(20)


def test_who_was_thrown_out_begins_anew(broker: Broker, follow: Follow) -> None:
    """It stalls, the other takes all, and gives half back: what it remembers is worth nothing."""
    said, group = broker.topic("said", 2), unique("group")
    every = lanes(said, 2)
    for lane in every:
        broker.produce(said, values(20), lane.partition)
    stall = IMPATIENT | {"session_timeout_ms": 1_000, "max_poll_interval_ms": 2_000}
    first = follow(said, group=group, client=stall)
    first.until(lambda: all(len(first.rows.get(lane, ())) >= 20 for lane in every))
    second = follow(said, group=group, client=IMPATIENT)
    second.stand(*every)  # the first one does not poll
    assert set(first.rows) == set(every)
    first.until(lambda: len(first.rows) == len(second.rows) == 1, second)
    assert first.told[1] == ("lost", tuple(every))
    (lane,) = first.rows
    first.until(lambda: len(first.rows[lane]) >= 20, second)
    assert first.rows[lane] == whole(20)


def test_the_fenced_one_of_two_processes_of_one_name_ends(broker: Broker, follow: Follow) -> None:
    said, group = broker.topic(), unique("group")
    older = follow(said, group=group, instance="pod-0", client=IMPATIENT)
    older.stand(LaneId(said, 0))
    newer = follow(said, group=group, instance="pod-0", client=IMPATIENT)
    newer.stand(LaneId(said, 0))
    with pytest.raises(Fatal, match="under our instance name") as caught:
        older.until(lambda: False, newer)
    assert caught.value.code == EXIT_CONFIG
    broker.produce(said, values(3))
    assert newer.read(LaneId(said, 0), 3) == whole(3)


def test_a_restart_under_one_name_moves_no_lane(broker: Broker, follow: Follow) -> None:
    said, group = broker.topic("said", 2), unique("group")
    both = [follow(said, group=group, instance=name, client=IMPATIENT) for name in ("a", "b")]
    both[0].until(lambda: all(len(member.rows) == 1 for member in both), both[1])
    told, mine = list(both[1].told), set(both[0].rows)
    both[0].source.close()
    again = follow(said, group=group, instance="a", client=IMPATIENT)
    again.until(lambda: set(again.rows) == mine, both[1])
    broker.produce(said, values(3), min(mine).partition)
    again.until(lambda: len(again.rows[min(mine)]) >= 3, both[1])
    assert both[1].told == told


@pytest.mark.parametrize("wait_ms", [1, 2, 3, 5, 8, 13])
def test_a_poll_that_ends_while_the_group_answers_forgets_no_join(
    broker: Broker, follow: Follow, wait_ms: int
) -> None:
    said = broker.topic()
    follower = follow(said, client={"poll_wait_ms": wait_ms})
    follower.stand(LaneId(said, 0))
    broker.grow(said, 2)
    follower.stand(*lanes(said, 2))


def test_what_the_group_answers_between_two_polls_counts(broker: Broker, follow: Follow) -> None:
    """The client would join once more, and members that are busy would never end joining."""
    quick = IMPATIENT | {"poll_wait_ms": 1}
    follower = follow(broker.topic(), instance="a", client=quick)
    follower.poll()
    coordinator = follower.source._line.clients.consumer._coordinator  # type: ignore[union-attr]
    follower.until(lambda: coordinator._join_task is not None)
    task, deadline = coordinator._join_task, time.monotonic() + DEADLINE_SECONDS
    while not task.is_done:
        assert time.monotonic() < deadline
    joined = generation(follower)
    follower.until(lambda: bool(follower.rows))
    assert task.succeeded()
    assert generation(follower) == joined


def test_what_others_may_have_had_in_between_is_told_as_lost(broker: Broker) -> None:
    """Facts as a member notes them that joined, was sent back to join once more, and joined."""
    said, other = lanes("said", 2)
    both = frozenset((said, other))
    with KafkaConsumer(bootstrap_servers=broker.bootstrap) as consumer:
        member = Member(consumer, Notes(consumer))

        def note(*facts: Fact) -> tuple[tuple[LaneId, ...], tuple[LaneId, ...]]:
            member.notes.facts.extend(facts)
            return member.changes()

        assert note(Fact("assigned", both, 1)) == ((said, other), ())
        revoked = Fact("revoked", both, 1)
        assert note(revoked) == ((), ())  # nobody else has them yet
        assert member.reading() == []
        assert note(Fact("assigned", both, 2)) == ((), ())
        assert note(revoked, Fact("assigned", both, 4)) == ((said, other), (said, other))
        assert member.stale == both  # the client has them still, at their old places
        assert note(revoked, Fact("assigned", frozenset((other,)), 5)) == ((), (said,))
        assert note(Fact("lost", frozenset((other,)), -1)) == ((), (other,))
        assert note(Fact("assigned", both, 9)) == ((said, other), ())


def committed(broker: Broker, group: str, lane: LaneId) -> int:
    partition = TopicPartition(*lane)
    found = broker.admin.list_group_offsets({group: [partition]})[group]
    return found[partition].offset if partition in found else -1


def test_what_is_processed_is_committed_and_never_less(broker: Broker, follow: Follow) -> None:
    said, group = broker.topic(), unique("group")
    lane = LaneId(said, 0)
    broker.produce(said, values(9))
    follower = follow(said, group=group)
    follower.read(lane, 9)
    follower.source.commit({lane: 6})
    follower.until(lambda: committed(broker, group, lane) == 6)
    follower.source.commit({lane: 4, LaneId("other", 0): 3})
    follower.source.close()
    assert committed(broker, group, lane) == 6
    again = follow(said, group=group, durable={lane: 2})  # a part that is older than the commit
    again.read(lane, 7)
    again.until(lambda: again.source._line.offsets._sent.get(lane, 0) > 0)  # type: ignore[union-attr]
    again.source.commit({lane: 3})
    again.source.close()
    assert committed(broker, group, lane) == 6


def test_the_last_word_is_committed_at_the_end(broker: Broker, follow: Follow) -> None:
    said, group = broker.topic(), unique("group")
    lane = LaneId(said, 0)
    broker.produce(said, values(9))
    follower = follow(said, group=group)
    follower.until(lambda: committed(broker, group, lane) == 0)
    follower.read(lane, 9)
    follower.source.commit({lane: 9})
    follower.source.close()
    assert committed(broker, group, lane) == 9


def test_committed_offsets_decide_nothing(broker: Broker, follow: Follow) -> None:
    said, group = broker.topic(), unique("group")
    lane = LaneId(said, 0)
    broker.produce(said, values(9))
    broker.admin.alter_group_offsets(group, {TopicPartition(*lane): OffsetAndMetadata(7, "", -1)})
    assert follow(said, group=group, durable={lane: 3}).read(lane, 6) == whole(6, 3)


def test_a_commit_that_fails_in_a_rebalance_ends_nothing(broker: Broker, follow: Follow) -> None:
    """Members that come and go, with commits all the time: every record is read by somebody."""
    said, group = broker.topic("said", 3), unique("group")
    every = lanes(said, 3)
    busy = IMPATIENT | {"commit_interval_ms": 10}
    stays = follow(said, group=group, client=busy)
    for turn in range(4):
        for lane in every:
            broker.produce(said, values(5, 5 * turn), lane.partition)
        comes = follow(said, group=group, client=busy)
        comes.until(lambda comes=comes: bool(comes.rows), stays)  # type: ignore[misc]
        comes.source.close()
    stays.until(lambda: set(stays.rows) == set(every))
    stays.until(lambda: all(len(rows) >= 20 for rows in stays.rows.values()))
    assert stays.rows == {lane: whole(20) for lane in every}


def test_nobody_is_silent_on_kept_lanes_for_more_than_a_join(
    broker: Broker, follow: Follow
) -> None:
    """Eager assignors: under cooperative-sticky kept lanes wait for heartbeats of all members."""
    follower = follow(broker.topic())
    follower.poll()
    strategy = follower.source._line.clients.consumer.config["partition_assignment_strategy"]  # type: ignore[union-attr]
    assert [assignor.__name__ for assignor in strategy] == [
        "RangePartitionAssignor",
        "RoundRobinPartitionAssignor",
    ]
