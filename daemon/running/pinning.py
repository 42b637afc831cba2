"""Opening windows: the pin is found or created, and resolved into rules (law 4)."""

from __future__ import annotations

from daemon.lanes import pin as pins
from daemon.lanes.pin import FIRST, Pin
from daemon.lanes.progress import Progress
from daemon.learning import edition as editions
from daemon.learning.rules import Rules
from daemon.ports import CannotRun, Missing
from daemon.registry.registry import Registry
from daemon.running.engines import Engines


class Pinning:
    """What decides windows, for the lanes of this process."""

    def __init__(self, registry: Registry, engines: Engines) -> None:
        self._registry, self._engines = registry, engines
        self._rules: dict[int, tuple[Pin, Rules]] = {}
        self.refused: CannotRun | None = None  # why a pinned window waits

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
            try:
                rules = self._engines.rules(window, edition, calibration)
            except CannotRun as error:
                self.refused = error
                return None  # another replica may
            self._rules[window], self.refused = (pin, rules), None
            while len(self._rules) > 4 + 2 * self._lag:
                del self._rules[min(self._rules)]
        return self._rules[window]

    def passed(self, window: int) -> int | None:
        """The last window that a lane covers empty where `window` lies in a gap; None elsewhere.

        Every lane that had a roster's name then has passed the gap. A partition that was seen
        later may hold records of it: nothing is decided there, so they are late in the first
        window behind it.
        """
        progress = self._registry.progress
        assert progress is not None
        if window in progress.pins or window > progress.pinned:
            return None
        later = [w for w in progress.pins if w > window]
        return min(later, default=progress.pinned + 1) - 1

    @property
    def _lag(self) -> int:
        assert self._registry.genesis is not None
        return self._registry.genesis.lag

    def pin(self, window: int) -> Pin | None:
        """Find or create the pin of a window, after all that are missing before it.

        Every process creates them in order under the same names, so the first object settles each
        of them, and nobody pins what another one has passed. None: what it needs is not there yet,
        or the window lies in a gap.
        """
        progress = self._registry.progress
        assert progress is not None
        while progress.pinned < window:
            # asked again for each: somebody else's pin may have brought a lane that is behind
            if progress.calibration_for(window) is None:
                return None
            self._registry.read_editions()
            made = self._next(progress, progress.pinned + 1, window - self._lag)
            if made is None:
                return None
            self._registry.create_pin(made)
        self._registry.read_editions()
        return progress.pins.get(window)

    def _next(self, progress: Progress, window: int, settled: int) -> Pin | None:
        """The pin of the first window without one; a gap where it is settled."""
        newest = max(progress.pins, default=None)
        before = progress.pins[newest] if newest is not None else None
        named = progress.roster()
        labels = before.label_lanes if before else ()
        if window <= settled:
            roster, heard = pins.roster(named, ()), pins.roster(labels, ())
            return Pin(window, pins.NOBODY, FIRST, roster, heard, gap_through=settled)
        calibration = progress.calibration_for(window)
        edition = editions.effective(list(self._registry.editions.values()), window)
        if calibration is None or edition is None:
            return None
        roster, heard = pins.roster(named, progress.seen), pins.roster(labels, progress.label_lanes)
        return Pin(window, edition.number, calibration, roster, heard)
