"""sluice forget: have what somebody said erased: one utterance by its id, or all of a user.

    sluice forget --id a-1
    sluice forget --user u-7 --user u-8

Writes a record to the first of source.options.erasure_topics. Whoever runs on that topic leaves the
rows out of shards to come, and makes new versions of those that were made: docs/operations.md says
when, and what is not erased. Prints how many records the topic has acknowledged.
"""

from __future__ import annotations

import argparse
from contextlib import closing

import msgspec

from daemon.commands import names
from daemon.commands.session import config_argument, open_session
from daemon.console import Console
from daemon.kafka import producing
from daemon.kafka.clients import refused
from daemon.kafka.configured import options_of
from daemon.kafka.diagnosis import Cause, Witness
from daemon.kafka.producing import Route
from daemon.ports import EXIT_CONFIG, EXIT_OK, Fatal

WAIT_SECONDS = 60.0
TIMEOUT_MS = 60_000
MESSAGE_BYTES = 1 << 20


def add(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    whom = parser.add_argument_group("whom, one or more")
    whom.add_argument("--id", action="append", default=[], metavar="ID", help="of an utterance")
    whom.add_argument("--user", action="append", default=[], metavar="KEY", help="as records say")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Raises Fatal; Retry where the topic did not take all: asking twice does no harm."""
    names.check([*arguments.id, *arguments.user])
    session = open_session(arguments, console)
    options = options_of(session.config.source)
    asked = [{"id": name} for name in arguments.id] + [{"user": key} for key in arguments.user]
    if not asked:
        raise Fatal("nobody was named", code=EXIT_CONFIG, hint="give --id or --user")
    if not options.erasure_topics:
        raise Fatal(
            "source.options.erasure_topics is empty: nobody would read it",
            code=EXIT_CONFIG,
            hint="name a topic there before the store's first start",
        )
    topic = options.erasure_topics[0]
    route = Route(options.bootstrap, options.security, TIMEOUT_MS, MESSAGE_BYTES)
    with Witness() as witness:
        found = producing.dial(route, witness)
        if isinstance(found, Cause):
            raise refused(found)
        with closing(found) as producer:
            if not producer.partitions(topic):
                raise Fatal(
                    f"there is no topic {topic}",
                    code=EXIT_CONFIG,
                    hint="make it, with append times of the broker",
                )
            for body in asked:
                producer.send(topic, msgspec.json.encode(body))
            producer.wait(session.clock, WAIT_SECONDS)
    console.write(f"asked {len(asked)} times\n")
    return EXIT_OK
