"""One poll of the client, with its errors named by what is to be done about them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kafka import errors

from daemon.kafka.topics import lane_of
from daemon.ports import EXIT_CONFIG, EXIT_DEPENDENCY, EXIT_STATE, Fatal, LaneId

Records = dict[Any, list[Any]]  # by partition of the client


class Kept:
    """The group's answer to a join, which came between two polls.

    kafka-python 3.0 throws away a join that is done when the next poll begins, and joins again:
    members that are seldom in a poll would make each other join for ever. So a task that is done
    passes for one that is not, until the poll has read it.
    """

    is_done = False

    def __init__(self, task: Any) -> None:
        self.add_callback, self.add_errback = task.add_callback, task.add_errback


class Broken(Exception):
    """The client is not to be used again; another one may work."""


def poll(consumer: Any, wait_ms: int, limit: int) -> Records:
    """What came; nothing where a broker is away. Raises Broken and Fatal, and of the client's own
    CorruptRecordError and OffsetOutOfRangeError, after which a lane must be sought elsewhere.
    """
    coordinator = consumer._coordinator  # noqa: SLF001 # there is no public way
    task = coordinator._join_task  # noqa: SLF001
    if task is not None and task.is_done:
        coordinator._join_task = Kept(task)  # noqa: SLF001
    try:
        found: Records = consumer.poll(wait_ms, max_records=limit)
    except (errors.CorruptRecordError, errors.OffsetOutOfRangeError):
        raise
    except (errors.NoOffsetForPartitionError, errors.RetriableError):
        return {}  # a lane that is about to be sought; a broker that is away
    except errors.FencedInstanceIdError:
        raise fenced() from None
    except errors.UnsupportedCodecError as error:
        raise Fatal(
            "a topic holds records in a compression that this process cannot read",
            code=EXIT_DEPENDENCY,
            hint="install lz4, zstandard and python-snappy",
        ) from error
    except errors.LogTruncationError as error:
        raise cut(map(lane_of, error.divergent_offsets)) from None
    except errors.AuthorizationError:
        raise Fatal(
            "Kafka denies us to read our topics, or to be a member of our group",
            code=EXIT_CONFIG,
            hint="grant Read of the topics and of the group",
        ) from None
    except Exception as error:  # a batch may fail to unpack in every way that its codec knows
        raise Broken(type(error).__name__) from None
    return found


def fenced() -> Fatal:
    """Two processes of one name: the group listens to the newer one."""
    return Fatal(
        "another process is a member of the group under our instance name",
        code=EXIT_CONFIG,
        hint="source.options.instance must differ between replicas: env:POD_NAME",
    )


def cut(lanes: Iterable[LaneId]) -> Fatal:
    """What we have read is not there any more."""
    return Fatal(
        f"the log of {', '.join(map(str, sorted(lanes)))} ends before what was read of it",
        code=EXIT_STATE,
        hint="it was made anew, or a broker lost records: go on with another store",
    )
