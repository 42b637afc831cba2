"""What the cluster says of our topics: ids, partitions, ends, and who stamps the times."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.errors import AuthorizationError, for_code

from daemon.kafka.settings import Options
from daemon.ports import EXIT_CONFIG, EXIT_STATE, Fatal, LaneId, LaneInfo

TIME_TYPE = "message.timestamp.type"
APPEND_TIME = "LogAppendTime"
RIGHTS = "grant Describe and DescribeConfigs of the topics"


def partition_of(lane: LaneId) -> Any:
    """A lane in the words of the client."""
    return TopicPartition(lane.topic, lane.partition)


def lane_of(partition: Any) -> LaneId:
    return LaneId(partition.topic, partition.partition)


class Topics:
    """Looked at again and again. `gone`: topics that were there and are not now."""

    def __init__(self, options: Options) -> None:
        self.admin: Any = None  # set with each new connection
        self._options = options
        self._ids: dict[str, str] = {}
        self._lanes: dict[LaneId, LaneInfo] = {}
        self.gone: frozenset[str] = frozenset()

    def lanes(self) -> tuple[LaneInfo, ...]:
        """All partitions of all topics as last seen: utterances first, then labels."""
        order = list(self._options.kinds)
        return tuple(
            self._lanes[lane]
            for lane in sorted(self._lanes, key=lambda lane: (order.index(lane.topic), lane))
        )

    def known(self, lanes: Iterable[LaneId]) -> bool:
        return all(lane in self._lanes for lane in lanes)

    def look(self) -> None:
        """Ask again. Raises Fatal for a topic that was made anew, and KafkaError.

        At the first look every topic must be there; one that goes later may come back, as another.
        """
        kinds = self._options.kinds
        try:
            found = self.admin.describe_topics(list(kinds))
        except AuthorizationError as error:
            raise _denied(RIGHTS) from error
        there: dict[str, tuple[str, list[int]]] = {}
        for topic in found:
            if issubclass(for_code(topic["error_code"]), AuthorizationError):
                raise _denied(RIGHTS)
            if topic["partitions"]:
                partitions = sorted(p["partition_index"] for p in topic["partitions"])
                there[topic["name"]] = (str(topic["topic_id"]), partitions)
        self._compare(there)
        if there:
            self._check_times(list(there))
        self._add(there)

    def _compare(self, there: dict[str, tuple[str, list[int]]]) -> None:
        """Ids are for ever: offsets mean nothing in another log of the same name."""
        missing = [topic for topic in self._options.kinds if topic not in there]
        if missing and not self._ids:
            raise Fatal(
                f"there is no topic {missing[0]}",
                code=EXIT_CONFIG,
                hint="create it with message.timestamp.type=LogAppendTime, or correct its name",
            )
        for topic, (topic_id, _) in there.items():
            if self._ids.setdefault(topic, topic_id) != topic_id:
                raise Fatal(
                    f"topic {topic} was deleted and made anew while it was read",
                    code=EXIT_STATE,
                    hint="its records are another log: use another store, with another group",
                )
        self.gone = frozenset(missing)

    def _check_times(self, topics: list[str]) -> None:
        """Windows are cut by the broker's times, unless somebody chose otherwise."""
        if self._options.allow_create_time:
            return
        asked = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
        try:
            # the default filter hides what the broker's own defaults say
            found = self.admin.describe_configs(asked, config_filter="all")["topic"]
        except AuthorizationError as error:
            raise _denied(f"{RIGHTS}, or set allow_create_time") from error
        for topic in topics:
            kind = found.get(topic, {}).get(TIME_TYPE, {}).get("value")
            if kind is None:
                raise _denied(f"{RIGHTS}, or set allow_create_time")
            if kind != APPEND_TIME:
                raise Fatal(
                    f"topic {topic} keeps the times that producers state ({TIME_TYPE}={kind})",
                    code=EXIT_CONFIG,
                    hint=f"set {TIME_TYPE}={APPEND_TIME} on it, or allow_create_time: true if "
                    "whoever writes there may decide windows",
                )

    def _add(self, there: dict[str, tuple[str, list[int]]]) -> None:
        """Lanes that are new, with their first positions."""
        new = [
            LaneId(topic, partition)
            for topic, (_, partitions) in there.items()
            for partition in partitions
            if LaneId(topic, partition) not in self._lanes
        ]
        if not new:
            return
        specs = {partition_of(lane): OffsetSpec.EARLIEST for lane in new}
        starts = self.admin.list_partition_offsets(specs)
        for lane in new:
            kind, topic_id = self._options.kinds[lane.topic], self._ids[lane.topic]
            start = starts[partition_of(lane)].offset
            self._lanes[lane] = LaneInfo(lane, kind, topic_id, start)

    def high_watermark(self, lane: LaneId) -> int:
        """The end of all that is replicated, open transactions too. Raises KafkaError."""
        specs = {partition_of(lane): OffsetSpec.LATEST}
        return int(self.admin.list_partition_offsets(specs)[partition_of(lane)].offset)

    def committed(self, lanes: Iterable[LaneId]) -> dict[LaneId, int]:
        """What the group has committed; -1 where it has nothing. Raises KafkaError."""
        asked = [partition_of(lane) for lane in lanes]
        group = self._options.group
        found = self.admin.list_group_offsets({group: asked})[group]
        return {lane_of(tp): found[tp].offset if tp in found else -1 for tp in asked}


def _denied(hint: str) -> Fatal:
    return Fatal("Kafka denies us what we ask of our topics", code=EXIT_CONFIG, hint=hint)
