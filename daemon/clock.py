"""The clocks. No other file reads time; nothing here decides what is selected (law 3)."""

from __future__ import annotations

import time


class SystemClock:
    """The machine's clocks, for waiting and for metrics."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        return time.monotonic()

    def now(self) -> float:
        """Seconds since the epoch, UTC; may jump."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


class ManualClock:
    """A clock that moves only when told to: for tests and simulations.

    `sleep` returns at once and moves both clocks. `jump` moves the wall clock alone, as an
    operator or NTP does.
    """

    def __init__(self, now: float = 1_000_000_000.0) -> None:
        self._monotonic = 0.0
        self._now = now

    def monotonic(self) -> float:
        return self._monotonic

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self.advance(max(0.0, seconds))

    def advance(self, seconds: float) -> None:
        """Let `seconds` >= 0 pass. Raises ValueError for less: time does not go back."""
        if seconds < 0:
            raise ValueError("a monotonic clock cannot go back; use jump for the wall clock")
        self._monotonic += seconds
        self._now += seconds

    def jump(self, seconds: float) -> None:
        """Move the wall clock alone, either way."""
        self._now += seconds
