"""sluice feed: play a recording into topics, at its own pace, a factor of it, or at full speed.

    sluice feed july --create
    sluice feed july --speed 10
    sluice feed july --rate 5000

Each lane goes to the partition of its number in the topic of its name, on the cluster of the
configured source; values are sent byte for byte, those of each lane in order, lanes as their times
say. The broker stamps them anew: append times, and so windows, are not those of the recording, and
a run over the topics is another run. Recorded decisions are not played. What was sent stays when
feeding ends early; feeding again sends everything again.
"""

from __future__ import annotations

import argparse
import heapq
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from daemon.commands.session import config_argument, count, open_session
from daemon.console import Console
from daemon.kafka import producing
from daemon.kafka.clients import refused
from daemon.kafka.configured import options_of
from daemon.kafka.diagnosis import Cause, Witness
from daemon.kafka.producing import Producer, Route
from daemon.ports import EXIT_CONFIG, EXIT_DEPENDENCY, EXIT_OK, Clock, Fatal, LaneId, Retry
from daemon.recording.playback import LaneReader, Recording, open_recording

IN_FLIGHT = 20_000  # records that may wait for their acknowledgement
WAIT_SECONDS = 60.0
TIMEOUT_MS = 60_000
MESSAGE_BYTES = 64 << 20  # the topic's own limit counts
BLOCK = 1 << 18
Timed = tuple[int, LaneId, bytes | None]  # lane time in ms, lane, value


def add(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument("recording", metavar="RECORDING", help="folder of a recording")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--rate", type=count(1), metavar="N", help="records a second, of all lanes")
    pace.add_argument("--speed", type=_factor, metavar="X", help="times as fast as recorded")
    parser.add_argument(
        "--create", action="store_true", help="make topics that are missing (LogAppendTime)"
    )
    parser.add_argument(
        "--replication", type=count(1), metavar="N", help="of topics made (default: the broker's)"
    )


def _factor(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1e9:
        raise argparse.ArgumentTypeError("must be a number above 0; 1 is as recorded")
    return value


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Raises Fatal."""
    session = open_session(arguments, console)
    options = options_of(session.config.source)
    recording = open_recording(Path(arguments.recording))
    # read once before anything is sent: whatever is wrong with the recording is found here
    total = sum(1 for _ in timed(recording))
    route = Route(options.bootstrap, options.security, TIMEOUT_MS, MESSAGE_BYTES, "lz4")
    with Witness() as witness:
        found = producing.dial(route, witness)
        if isinstance(found, Cause):
            raise refused(found)
        with closing(found) as producer, console.progress("feeding", total) as bar:
            sent = 0
            try:
                prepare(producer, recording, arguments)
                for lane, value in paced(timed(recording), session.clock, arguments):
                    # Kafka has no record without key and value; recordings have no keys
                    key = b"" if value is None else None
                    producer.send(lane.topic, value, key=key, partition=lane.partition)
                    sent += 1
                    bar.advance()
                    if producer.pending >= 2 * IN_FLIGHT:
                        producer.wait(session.clock, WAIT_SECONDS, leave=IN_FLIGHT)
                producer.wait(session.clock, WAIT_SECONDS)
            except Retry as error:
                cause = witness.cause()
                raise Fatal(
                    f"Kafka did not take all records, of {total} about {sent - producer.pending} "
                    f"are there: {cause.text if cause else error}",
                    code=EXIT_DEPENDENCY,
                    hint="what is there stays; feed into new topics, or it will be there twice",
                ) from None
    console.write(f"fed {total} records into {len(recording.lanes)} lanes\n")
    return EXIT_OK


def prepare(producer: Producer, recording: Recording, arguments: argparse.Namespace) -> None:
    """Every topic is there with enough partitions; all are looked at before one is made."""
    wanted = Counter(lane.topic for lane in recording.lanes)
    there = {topic: producer.partitions(topic) for topic in wanted}
    for topic, partitions in wanted.items():
        if 0 < there[topic] < partitions:
            raise Fatal(
                f"topic {topic} has {there[topic]} partitions, and the recording {partitions}",
                code=EXIT_CONFIG,
                hint="each lane needs its own: add partitions, or feed a topic made anew",
            )
        if not there[topic] and not arguments.create:
            raise Fatal(
                f"there is no topic {topic}",
                code=EXIT_CONFIG,
                hint=f"--create makes it, with {partitions} partitions",
            )
    for topic in sorted(topic for topic in wanted if not there[topic]):
        producer.create(topic, wanted[topic], arguments.replication or -1)


def timed(recording: Recording) -> Iterator[Timed]:
    """Every record that is there now, lanes merged as their times say. Raises Fatal."""
    return heapq.merge(
        *(_lane(recording, lane) for lane in recording.lanes), key=lambda record: record[:2]
    )


def _lane(recording: Recording, lane: LaneId) -> Iterator[Timed]:
    """In order: a record that claims an older time comes when the one before it does."""
    with closing(LaneReader(recording, lane, BLOCK)) as reader:
        reader.seek(0)
        reached = 0
        while (columns := reader.read()) is not None:
            for time_ms, value in zip(columns.times_ms.tolist(), columns.values, strict=True):
                reached = max(reached, time_ms)
                yield reached, lane, value


def paced(
    records: Iterator[Timed], clock: Clock, arguments: argparse.Namespace
) -> Iterator[tuple[LaneId, bytes | None]]:
    """Each when it is due."""
    begin, first_ms = clock.monotonic(), -1
    for number, (time_ms, lane, value) in enumerate(records):
        first_ms = time_ms if first_ms < 0 else first_ms
        due = 0.0
        if arguments.rate:
            due = number / arguments.rate
        elif arguments.speed:
            due = (time_ms - first_ms) / 1000 / arguments.speed
        late = clock.monotonic() - begin - due if due else 0.0
        if late < 0:
            clock.sleep(-late)
        yield lane, value
