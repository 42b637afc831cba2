"""Opening windows: the pin is found or created, and resolved into rules (law 4)."""

from __future__ import annotations

from daemon.learning.rules import Rules
from daemon.ports import LaneId, Missing
from daemon.registry import edition as editions
from daemon.registry import pin as pins
from daemon.registry.pin import Pin
from daemon.registry.registry import Registry
from daemon.running.engines import Engines


class Pinning:
    """What decides windows, for the lanes of this process."""

    def __init__(self, registry: Registry, engines: Engines) -> None:
        self._registry, self._engines = registry, engines
        self._rules: dict[int, tuple[Pin, Rules]] = {}

    def open(self, window: int) -> tuple[Pin, Rules] | None:
        """The pin and rules of a window, or None while what they need is not there yet."""
        if window not in self._rules:
            pin = self.pin(window)
            if pin is None:
                return None
            try:
                calibration = self._registry.calibration(pin.calibration)
            except Missing:
                return None  # a recorded pin names a calibration that this replay will make
            edition = self._registry.editions[pin.edition]
            self._rules[window] = pin, self._engines.rules(window, edition, calibration)
            while len(self._rules) > 4 + 2 * self._lag:
                del self._rules[min(self._rules)]
        return self._rules[window]

    def passed(self, lane: LaneId, window: int) -> int | None:
        """The last window that a lane covers empty, because everybody else has passed `window`.

        Only a lane that no roster names: the others wait for the rest. Pins ascend: one behind
        the newest would be void, and what is put there nobody would merge. So the lane's records
        are late in the first window that is still to come.
        """
        progress = self._registry.progress
        assert progress is not None
        if lane in progress.roster():
            return None  # the others wait for it
        self._registry.refresh()
        later = [w for w in progress.pins if w > window]
        return min(later) - 1 if later and window not in progress.pins else None

    @property
    def _lag(self) -> int:
        assert self._registry.genesis is not None
        return self._registry.genesis.lag

    def pin(self, window: int) -> Pin | None:
        """Find or create the pin of a window, after the missing ones before it."""
        genesis, progress = self._registry.genesis, self._registry.progress
        assert genesis is not None and progress is not None
        if window in progress.pins:
            self._registry.read_editions()
            return progress.pins[window]
        if progress.calibration_for(window) is None:
            return None
        self._registry.read_editions()
        for missing in pins.wanted(genesis, set(progress.pins), window):
            calibration = progress.calibration_for(missing)
            edition = editions.effective(list(self._registry.editions.values()), missing)
            if calibration is None or edition is None:
                return None
            before = [w for w in progress.pins if w < missing]
            predecessor = progress.pins[max(before)] if before else None
            roster = pins.roster(genesis, predecessor, progress.seen)
            self._registry.create_pin(Pin(missing, edition.number, calibration, roster))
        return progress.pins[window]
