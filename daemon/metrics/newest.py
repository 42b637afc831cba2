"""The gauges of the newest shard: all of them change at once, or none does."""

from __future__ import annotations

from collections.abc import Mapping

from daemon.lanes.arms import ARMS
from daemon.lanes.genesis import Genesis
from daemon.lanes.pin import FIRST
from daemon.learning.calibration import SCALE
from daemon.learning.edition import Edition
from daemon.learning.rules import COLD
from daemon.metrics import groups
from daemon.metrics.catalogue import BOUNDS
from daemon.metrics.values import Labels, Values
from daemon.monitors import drift
from daemon.monitors.drift import Drift, Reference, Window
from daemon.shards.shard import ShardManifest
from scoring.types import Reason

DAY_MS = 86_400_000  # what the reference of drift covers: all hours of a day


def reference_windows(genesis: Genesis) -> int:
    """How many windows a reference of drift has once it is full."""
    return max(1, DAY_MS // genesis.period_ms)


class Newest:
    """Follows the shards of a store in ascending order."""

    def __init__(self, genesis: Genesis, editions: Mapping[int, Edition]) -> None:
        """`editions`: as the registry sees them, growing."""
        self._genesis, self._editions = genesis, editions
        self._window = -1
        self._reference: Reference | None = None

    def show(self, values: Values, m: ShardManifest, entitled: Mapping[str, float]) -> None:
        """Take over a shard, unless a newer one is known. Called inside `with values`."""
        if m.window <= self._window:
            return
        self._window = m.window
        edition = self._editions.get(m.edition)
        classes = edition.classes if edition else ()
        values.put("sluice_window_end_timestamp_seconds", self._start_seconds(m.window + 1))
        values.put("sluice_edition_info", {(str(m.edition), m.checkpoint[:12]): 1})
        arms = ("selected", *ARMS)
        values.put("sluice_shard_rows", {(arm,): m.arms.get(arm, 0) for arm in arms})
        values.put("sluice_window_cold", {(why,): m.cold == why for why in COLD})
        self._ages(values, m)
        _groups(values, m, classes, entitled)
        _noise(values, m)
        lift: dict[Labels, float] = {
            (score, bound): value
            for score, interval in m.lift.items()
            for bound, value in zip(BOUNDS, interval, strict=True)
        }
        values.put("sluice_selection_lift", lift)
        kept, traffic = (groups.known(counts, classes) for counts in (m.kept, m.traffic))
        self._drift(values, Window(m.edition, bool(m.cold), kept, traffic))

    def _start_seconds(self, window: int) -> float:
        return window * self._genesis.period_ms / 1000

    def _ages(self, values: Values, m: ShardManifest) -> None:
        since = self._decides_since(m)
        values.put("sluice_checkpoint_age_windows", m.window - since)
        values.put("sluice_checkpoint_timestamp_seconds", self._start_seconds(since))
        learnt = None if m.calibration_used == FIRST else m.calibration_used
        values.put("sluice_calibration_age_windows", None if learnt is None else m.window - learnt)
        reaches = None if learnt is None else self._start_seconds(learnt + 1)
        values.put("sluice_calibration_timestamp_seconds", reaches)

    def _decides_since(self, m: ShardManifest) -> int:
        """The first window of the earliest edition in a row that has the shard's checkpoint."""
        number, since = m.edition, m.window
        while (edition := self._editions.get(number)) and edition.checkpoint == m.checkpoint:
            since = min(since, edition.first_window if number else self._genesis.first_window)
            number -= 1
        return max(since, self._genesis.first_window)

    def _drift(self, values: Values, window: Window) -> None:
        before = self._reference
        found: dict[str, Drift] = {}
        if before is not None and before.edition == window.edition and not window.cold:
            pairs = {
                "kept": (window.kept, before.kept),
                "traffic": (window.traffic, before.traffic),
            }
            compared = {scope: drift.compare(*pair) for scope, pair in pairs.items()}
            found = {scope: each for scope, each in compared.items() if each is not None}
        measures: dict[Labels, tuple[float, float]] = {
            (scope, name): (value, critical)
            for scope, d in found.items()
            for name, value, critical in (
                ("psi", d.psi, d.psi_critical),
                ("js", d.js, d.js_critical),
            )
        }
        values.put("sluice_selection_drift", {k: v for k, (v, _) in measures.items()})
        values.put("sluice_selection_drift_critical", {k: c for k, (_, c) in measures.items()})
        values.put("sluice_selection_drift_ratio", {k: v / c for k, (v, c) in measures.items()})
        sides: dict[Labels, float] = {(scope, "window"): d.rows for scope, d in found.items()}
        sides |= {(scope, "reference"): d.reference_rows for scope, d in found.items()}
        values.put("sluice_selection_drift_rows", sides)
        self._reference = drift.extend(before, window, reference_windows(self._genesis))
        values.put("sluice_selection_drift_reference_windows", self._reference.windows)


def _groups(
    values: Values, m: ShardManifest, classes: tuple[str, ...], entitled: Mapping[str, float]
) -> None:
    names = groups.shown(classes, m.calibration.traffic.groups, m.traffic)
    records, rows = groups.folded(m.traffic, names), groups.folded(m.kept, names)
    worth = groups.folded(entitled, names)
    fill = {name: rows.get(name, 0) / share for name, share in worth.items() if share}
    for name, counts in (("records", records), ("rows", rows), ("fill_ratio", fill)):
        values.put(f"sluice_group_{name}", {(group,): v for group, v in counts.items()})


def _noise(values: Values, m: ShardManifest) -> None:
    suspects = m.counts.get(Reason.SUSPECT, 0)
    usable = suspects + m.counts.get(Reason.ACCEPTED, 0) + m.counts.get(Reason.ALREADY_EMITTED, 0)
    judged = usable if m.suspect_below is not None and usable else None
    share = suspects / judged if judged else None
    values.put("sluice_label_noise_suspected_ratio", share)
    values.put("sluice_label_noise_suspected_records", judged)
    rate: dict[Labels, float] = {}
    if m.noise is not None:
        rate = {(bound,): value for bound, value in zip(BOUNDS, m.noise, strict=True)}
    values.put("sluice_label_noise_audited_ratio", rate)
    values.put("sluice_label_noise_audited_answers", m.calibration.traffic.answered / SCALE)
