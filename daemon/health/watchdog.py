"""Ends a process whose loop stands still: a client's `poll` can spin for ever without an error.

A thread of its own, since the loop cannot tell of itself that it hangs. Nothing is cleaned up:
whole objects only are durable, and the next start resumes behind them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from daemon.ports import Clock

LOOKS = 10  # within the time allowed


class Watchdog:
    """As a `with` block around the loop; `beat` is called on every turn."""

    def __init__(self, clock: Clock, seconds: float, bite: Callable[[float], None]) -> None:
        """`bite` is called once, with the seconds since the last beat."""
        self._clock, self._seconds, self._bite = clock, seconds, bite
        self._beaten = clock.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def beat(self) -> None:
        """The loop turns."""
        self._beaten = self._clock.monotonic()

    @property
    def still(self) -> float:
        """Seconds since the last beat."""
        return self._clock.monotonic() - self._beaten

    def _watch(self) -> None:
        while not self._over.wait(self._seconds / LOOKS):
            if self.still > self._seconds:
                self._bite(self.still)
                return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
