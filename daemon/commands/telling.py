"""What the loop tells, brought to everybody who listens: the log, metrics, and health."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from daemon.console import Console
from daemon.health.state import Condition, Health
from daemon.learning.rules import COLD
from daemon.metrics.metrics import Lag, Metrics
from daemon.ports import LaneId, Source
from daemon.running.facts import Facts, Listener

QUIET = frozenset(  # not logged
    {"turned", "waited", "polled", "lags", "ahead_lanes", "shard_seen", "label_refusals",
     "second_stage", "acknowledged", "announced"}
)  # fmt: skip


def everybody(*listeners: Listener) -> Listener:
    """One listener that tells all of them, in order."""

    def tell(event: str, facts: Facts) -> None:
        for listener in listeners:
            listener(event, facts)

    return tell


class Teller:
    """Facts of the loop as log lines; counts what it need not say each time."""

    def __init__(self, console: Console, progress: Callable[[int], None] | None = None) -> None:
        self._console, self._progress = console, progress
        self.records = self.shards = 0
        self._cold = ""

    def tell(self, event: str, facts: Facts) -> None:
        """The loop's listener."""
        if event in QUIET:
            return
        if event == "absorbed":
            self.records += int(str(facts["records"]))
            if self._progress is not None:
                self._progress(int(str(facts["records"])))
            return
        if event == "shard":
            self.shards += 1
            cold = str(facts["cold"])
            if cold and cold != self._cold:
                self._console.say(
                    f"window {facts['window']} is selected uniformly: {COLD[cold]}",
                    event="cold", level="warning",
                )  # fmt: skip
            self._cold = cold
            self._warn(facts)
        if event in SENTENCES:
            self._console.say(SENTENCES[event].format(**facts), event=event, level="error")
        elif self._progress is None:  # a bar says it already
            fields = {k: v for k, v in facts.items() if isinstance(v, int | float | str)}
            self._console.log(event, **fields)

    def _warn(self, facts: Facts) -> None:
        """A window of which nothing was accepted: rarely the traffic, mostly the mapping."""
        # suspects were read, and go to review; what is known was read, and is in a shard
        if facts["worst_reason"] in ("", "suspect", "already_emitted"):
            return
        if facts["refused"] == facts["records"]:
            self._console.say(
                f"warning: all {facts['records']} records of window {facts['window']} were refused,"
                f" {facts['worst_count']} as {facts['worst_reason']}: does policy.record name the "
                "fields as the records do?",
                event="all_refused",
                level="warning",
            )


SENTENCES: Mapping[str, str] = {  # what an operator must act on
    "cannot_run": "lanes wait: {reason}",
    "ahead": "lane {lane} waits at position {position}: its next record is {seconds} s ahead of "
    "our clock. Is the broker's clock right? process.ahead_seconds allows more",
    "absent": "lane {lane} is in the genesis, and the source does not serve it: its windows wait. "
    "`sluice skip` passes over it",
    "breaker": "reading has stopped: {refused} of the last {records} records were refused, most as "
    "{worst_reason}. Has the schema changed? dead_letters.breaker_share allows more",
}


def measure(metrics: Metrics) -> Listener:
    """Facts of the loop as metrics."""

    def lags(told: dict[str, Any]) -> None:
        found: dict[LaneId, tuple[int | None, float]] = told["lags"]
        metrics.lags({lane: Lag(*lag) for lane, lag in found.items()})

    told_by: dict[str, Callable[[dict[str, Any]], None]] = {
        "polled": lambda told: metrics.polled(told["polled"], answered=told["answered"]),
        "absorbed": lambda told: metrics.batch(told["records"], told["seconds"]),
        "part": lambda told: metrics.part(told["manifest"]),
        "lost_race": lambda _: metrics.lost_race(),
        "shard": lambda told: metrics.shard(told["manifest"], told["rules"], made=True),
        "shard_seen": lambda told: metrics.shard(told["manifest"], made=False),
        "lags": lags,
        "retry": lambda _: metrics.retried(),
        "cannot_run": lambda _: metrics.unrunnable(True),
        "can_run": lambda _: metrics.unrunnable(False),
        "ahead_lanes": lambda told: metrics.ahead(told["lanes"]),
        "breaker": lambda _: metrics.breaker(True),
        "label_refusals": lambda told: metrics.label_refusals(told["kind"], told["reasons"]),
        "second_stage": lambda told: metrics.second_stage(told["rows"]),
        "acknowledged": lambda told: metrics.dead_letters(told["letters"]),
        "announced": lambda _: metrics.announced(),
        "erased": lambda told: metrics.erased(told["rows"]),
    }

    def tell(event: str, facts: Facts) -> None:
        if event in told_by:
            told_by[event](cast(dict[str, Any], facts))

    return tell


def watch(health: Health, source: Source, beat: Callable[[], None]) -> Listener:
    """Facts of the loop as health. `beat`: of the watchdog."""

    def tell(event: str, facts: Facts) -> None:
        if event in ("turned", "waited"):
            beat()
        if event == "turned":
            health.turned()
            health.tell(Condition.SOURCE, not source.trouble)
            health.tell(Condition.STORE, True)
        elif event == "retry":
            health.turned()
            health.tell(Condition.STORE, False)
        elif event == "lags":
            lags = cast(dict[LaneId, tuple[int | None, float]], facts["lags"])
            health.silent(all(records == 0 for records, _ in lags.values()))
        elif event in ("cannot_run", "can_run"):
            health.tell(Condition.PINS, event == "can_run")
        elif event == "breaker":
            health.tell(Condition.BREAKER, False)

    return tell
