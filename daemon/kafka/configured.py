"""The configured source, for commands that speak to its cluster and are no part of its group."""

from __future__ import annotations

import msgspec

from daemon.kafka.settings import Options
from daemon.policy import Kind
from daemon.ports import EXIT_CONFIG, Fatal


def options_of(source: Kind) -> Options:
    """Raises Fatal where the source is no Kafka."""
    if source.kind != "kafka":
        raise Fatal(
            f"source.kind is {source.kind}, and this command wants the topics of a Kafka",
            code=EXIT_CONFIG,
            hint="-c names a configuration whose source is of kind kafka",
        )
    return msgspec.convert(dict(source.options), Options)
