"""Topics that are missing, stamped by others, deleted, made anew, or grown."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from daemon.ports import EXIT_CONFIG, EXIT_STATE, Fatal, LaneId
from tests.kafka.broker import Broker, unique
from tests.kafka.follower import Follower, values, whole

Follow = Callable[..., Follower]


def test_a_topic_that_is_not_there(broker: Broker, follow: Follow) -> None:
    name = unique("nowhere")
    with pytest.raises(Fatal, match=f"no topic {name}") as caught:
        follow(broker.topic(), labels=(name,)).source.lanes()
    assert caught.value.code == EXIT_CONFIG


def test_times_of_producers_are_refused_unless_chosen(broker: Broker, follow: Follow) -> None:
    said = broker.topic(message_timestamp_type="CreateTime")
    with pytest.raises(Fatal, match="times that producers state") as caught:
        follow(said).source.lanes()
    assert caught.value.code == EXIT_CONFIG
    follow(said, allow_create_time=True).stand(LaneId(said, 0))


def test_the_times_of_a_broker_that_says_nothing_of_them(
    private: Callable[..., Broker], follow: Follow
) -> None:
    """The default of a broker is hidden from who asks for changed settings only."""
    bare = private(settings={"log.message.timestamp.type": "CreateTime"})
    with pytest.raises(Fatal, match="times that producers state"):
        follow(bare.topic(), on=bare).source.lanes()


def test_times_that_are_changed_while_we_read_end_the_process(
    broker: Broker, follow: Follow
) -> None:
    said = broker.topic()
    follower = follow(said)
    follower.stand(LaneId(said, 0))
    to = {"message.timestamp.type": "CreateTime"}
    broker.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, said, to)])
    with pytest.raises(Fatal, match="times that producers state"):
        follower.until(lambda: False)


def test_a_topic_made_anew_is_another_log(broker: Broker, follow: Follow) -> None:
    """With more records than were read before, the client would go on in it without a word."""
    said = broker.topic()
    broker.produce(said, values(5))
    follower = follow(said)
    follower.read(LaneId(said, 0), 5)
    broker.admin.delete_topics([said])
    broker.create(said)
    broker.produce(said, values(9))
    with pytest.raises(Fatal, match=r"made anew|ends before") as caught:
        follower.until(lambda: False)
    assert caught.value.code == EXIT_STATE


def test_a_topic_that_is_gone_is_trouble_and_no_hand_over_of_lanes_for_good(
    private: Callable[..., Broker], follow: Follow
) -> None:
    broker = private(settings={"auto.create.topics.enable": "true"})
    # its producers are gone at once, or they would make the topic again
    said, other = broker.topic("said"), broker.topic("other")
    broker.batch(said, values(3))
    follower = follow(said, other, on=broker)
    follower.read(LaneId(said, 0), 3)
    healthy = follower.source.healthy_at
    broker.admin.delete_topics([said])
    follower.until(lambda: "gone" in follower.source.trouble)
    broker.batch(other, values(3))
    assert follower.read(LaneId(other, 0), 3) == whole(3)
    assert follower.source.trouble == f"topic {said} is gone"
    later = follower.source.healthy_at
    for _ in range(20):
        follower.poll()
    assert healthy <= later == follower.source.healthy_at  # not ready any more
    assert said not in broker.admin.list_topics()  # our asking has not made it again
    broker.create(said)
    with pytest.raises(Fatal, match="made anew"):
        follower.until(lambda: False)


def test_partitions_that_are_added_are_gained(broker: Broker, follow: Follow) -> None:
    said = broker.topic("said", 2)
    broker.produce(said, values(3))
    follower = follow(said)
    follower.read(LaneId(said, 0), 3)
    broker.grow(said, 4)
    broker.produce(said, values(3), 3)
    assert follower.read(LaneId(said, 3), 3) == whole(3)
    infos = {info.lane: info for info in follower.source.lanes()}
    assert set(infos) == {LaneId(said, partition) for partition in range(4)}
    assert infos[LaneId(said, 3)].start == 0
    assert follower.rows[LaneId(said, 0)] == whole(3)
    assert [word for word, _ in follower.told] == ["gained", "gained"]


def test_partitions_are_seen_by_members_that_own_nothing(broker: Broker, follow: Follow) -> None:
    said, group = broker.topic(), unique("group")
    at_once = {"join_timeout_ms": 0, "heartbeat_interval_ms": 100}
    owner, idle = (follow(said, group=group, client=at_once) for _ in range(2))
    owner.until(lambda: len(owner.rows) + len(idle.rows) == 1, idle)
    broker.grow(said, 3)
    for follower in (owner, idle):
        follower.until(lambda f=follower: len(f.source.lanes()) == 3)  # type: ignore[misc]
