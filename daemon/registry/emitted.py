"""What was emitted, read from the store: the runs that a calibration names."""

from __future__ import annotations

from msgspec import UnsetType

from daemon.learning import emitted
from daemon.learning.calibration import Calibration
from daemon.learning.emitted import Emission, Known, Run
from daemon.policy import Policy
from daemon.ports import EXIT_STATE, Fatal, Missing, Store

HELD = 2 * emitted.MOST_RUNS  # runs in memory: those of one calibration, and some of the last


class Emissions:
    """Reads runs, and remembers the last ones: calibrations that follow one another share them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: dict[str, Emission] = {}

    def known(self, calibration: Calibration, policy: Policy, window: int) -> Known:
        """What `window` refuses under this policy, of all up to this calibration. Raises Fatal."""
        lifetime = emitted.lifetime(policy.epoch, policy.known_windows)
        runs = calibration.emitted
        if not lifetime or isinstance(runs, UnsetType):
            return emitted.NOTHING
        since = window - lifetime
        return Known.of([self._read(run) for run in runs if run.window >= since], since)

    def _read(self, run: Run) -> Emission:
        held = self._held.pop(run.name, None) or self._fetched(run)
        self._held[run.name] = held  # the newest comes last
        while len(self._held) > HELD:
            del self._held[next(iter(self._held))]
        return held

    def _fetched(self, run: Run) -> Emission:
        try:
            return emitted.decode(run, self._store.get(run.name))
        except (Missing, ValueError) as error:
            raise Fatal(
                f"{run.name}, which a calibration names, is missing or damaged",
                code=EXIT_STATE,
                hint="restore it: without it nobody can tell which texts were emitted already",
            ) from error
