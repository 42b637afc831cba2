"""The way to the cluster over time: found at first, lost at times, found again, or given up."""

from __future__ import annotations

from collections import deque

from kafka.errors import KafkaError

from daemon.kafka.clients import UNCLEAR, Clients, dial, refused, start
from daemon.kafka.diagnosis import SILENT, Cause, Witness
from daemon.kafka.line import Line, subscribe
from daemon.kafka.polling import Broken
from daemon.kafka.settings import Options
from daemon.kafka.topics import Topics
from daemon.ports import EXIT_DEPENDENCY, Clock, Fatal

REDIAL_SECONDS = 1.0
BREAKS, BREAK_SECONDS = 5, 600.0  # so many broken clients within this time are no accident


class Connection:
    """`line`: None while there is none. `healthy_at`: when the cluster last answered well, on the
    monotonic clock; `trouble`: what is wrong since, or "".

    A broker that is away raises nothing in a client that was connected once: only the time since
    its last answer tells.
    """

    def __init__(self, options: Options, clock: Clock) -> None:
        self._options, self._clock = options, clock
        self._witness = Witness()
        self.topics = Topics(options)
        self.line: Line | None = None
        self.begun = False
        self._breaks: deque[float] = deque(maxlen=BREAKS)
        self._away_since = self._dial_at = self._commit_at = 0.0
        self.healthy_at = clock.monotonic()
        self.trouble = ""
        self._known: Cause | None = None  # why the cluster is away

    def begin(self) -> Line:
        """The first connection, waited for. Raises Fatal."""
        self.begun = True
        self._witness.__enter__()
        return self._subscribe(start(self._options, self._witness, self.topics, self._clock))

    def again(self) -> Line | None:
        """Another attempt, if one is due. Secrets are read anew. Raises Fatal after long."""
        now = self._clock.monotonic()
        if now < self._dial_at:
            return None
        found = dial(self._options, self._witness, self.topics)
        if isinstance(found, Clients):
            return self._subscribe(found)
        if self._known is None or found not in (UNCLEAR, SILENT):
            self._known = found  # an attempt that timed out tells less than the one before
        cause = self._known
        if now - self._away_since > self._options.client.away_timeout_ms / 1000:
            raise refused(cause)
        self.trouble = cause.text
        self._dial_at = self._clock.monotonic() + REDIAL_SECONDS
        return None

    def _subscribe(self, clients: Clients) -> Line:
        self.line = subscribe(clients, self.topics, self._options)
        self._commit_at = self._clock.monotonic() + self._options.client.commit_interval_ms / 1000
        self.well()
        return self.line

    def broken(self, error: Broken) -> None:
        """Throw the client away; `again` makes another. Raises Fatal where that does not help."""
        now = self._clock.monotonic()
        if len(self._breaks) == BREAKS and now - self._breaks[0] < BREAK_SECONDS:
            raise Fatal(
                f"the Kafka client broke {BREAKS + 1} times, at last by {error}",
                code=EXIT_DEPENDENCY,
                hint="a topic may hold a batch that it cannot read, or our rights were taken away",
            )
        self._breaks.append(now)
        self._away_since = self._dial_at = now
        self._known = self._witness.cause()
        if self.line is not None:
            self.line.hang_up()
        self.line, self.trouble = None, self._said(f"the client broke by {error}")

    def look_after(self, line: Line) -> None:
        """Every few seconds: let the group hear of us, and see that the topics are the same."""
        now = self._clock.monotonic()
        if line.offsets.heard():
            self.well()
            self.look()
        if now < self._commit_at:
            return
        self._commit_at = now + self._options.client.commit_interval_ms / 1000
        mine = line.member.all()
        try:
            line.offsets.send(mine)
        except KafkaError:
            self.trouble = self._said("the group does not answer")
        if not mine:
            self.look()

    def look(self) -> None:
        """At the topics. Raises Fatal for what is another log now."""
        try:
            self.topics.look()
        except KafkaError:
            self.trouble = self._said("the brokers do not answer")
            return
        self.well()

    def well(self) -> None:
        """The cluster has answered."""
        if self.topics.gone:
            self.trouble = f"topic {min(self.topics.gone)} is gone"
            return
        self.healthy_at, self.trouble, self._known = self._clock.monotonic(), "", None
        self._witness.forget()

    def _said(self, otherwise: str) -> str:
        cause = self._witness.cause()
        return cause.text if cause else otherwise

    def close(self) -> None:
        """Bounded."""
        if self.line is not None:
            self.line.hang_up()
            self.line = None
        self._witness.__exit__()
