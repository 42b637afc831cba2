"""Alive and ready, and why not, in words of a closed list.

Alive means that the loop turns. Neither a broker nor a store that is away makes a process dead:
a restart would not bring them back, it would add a rebalance. Ready means that work can be done.
"""

from __future__ import annotations

import enum
import json

from daemon.ports import Clock


class Condition(enum.StrEnum):
    """What must hold for a process to be ready; the value is what is said where it does not."""

    GENESIS = "no_genesis"  # lanes and windows are known
    ENGINES = "no_engine"  # the checkpoints that editions name are loaded
    SOURCE = "source_failing"  # it answered the last poll
    STORE = "store_failing"  # it took or gave what it was last asked for
    OWNER = "fenced"  # nobody else has taken this process's place in its group
    PINS = "pin_unrunnable"  # every edition that a pin names can run here
    BREAKER = "breaker_open"  # not so much is refused that reading had to stop
    RUNNING = "stopping"  # no signal asked it to leave


AT_FIRST = frozenset({Condition.STORE, Condition.OWNER, Condition.PINS, Condition.BREAKER,
                      Condition.RUNNING})  # fmt: skip
Verdict = tuple[bool, bytes]  # yes or no, and one line of JSON


class Health:
    """Told by the loop's thread, asked by the server's. Each field is one object: no lock."""

    def __init__(self, clock: Clock, live_seconds: float) -> None:
        self._clock, self._live_seconds = clock, live_seconds
        self._turned: float | None = None
        self._unmet = frozenset(Condition) - AT_FIRST
        self._silent = False

    def turned(self) -> None:
        """The loop has come round once more. While something long is waited for, say so too."""
        self._turned = self._clock.monotonic()

    def tell(self, condition: Condition, holds: bool) -> None:
        """A condition holds from now on, or holds no more."""
        self._unmet = self._unmet - {condition} if holds else self._unmet | {condition}

    def silent(self, yes: bool) -> None:
        """No lane has a record to come: the last windows stay open until one does (law 3)."""
        self._silent = yes

    @property
    def ready(self) -> bool:
        return not self._unmet

    def livez(self) -> Verdict:
        """The loop turned lately. Before its first turn too: loading and finding may take long."""
        turned = self._turned
        if turned is None:
            return True, _line(live=True, turn_age_seconds=None)
        age = max(0.0, self._clock.monotonic() - turned)
        live = age <= self._live_seconds
        return live, _line(live=live, turn_age_seconds=round(age, 3))

    def readyz(self) -> Verdict:
        """Work can be done; else every reason why it cannot."""
        unmet = sorted(self._unmet)
        notes = ["all_lanes_silent"] if self._silent else []
        return not unmet, _line(ready=not unmet, reasons=unmet, notes=notes)


def _line(**fields: object) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"
