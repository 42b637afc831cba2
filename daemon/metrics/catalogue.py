"""The catalogue: every series there is, its unit, its labels, and what its absence means.

Rules of this file:
1. `sluice_` first, base units last, `_total` on counters and on nothing else, `_info` on a 1 that
   carries words, `_timestamp_seconds` on moments; ages are for whoever asks to subtract.
2. A label's values come from a closed list or from a bounded one; never from a record. Names of
   groups are classes of the checkpoint, all others together are `(other)`.
3. A gauge of a window is of the newest shard that this process knows, whole or not at all.
4. What is not known is absent, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from daemon.lanes.arms import ARMS
from daemon.learning.rules import COLD, OTHER
from scoring.types import REASONS, Reason

LANES = 64  # lanes with series of their own
GROUPS = 20  # groups with series of their own
LEAST_MEMBERS = 10  # records of a window under which a group is not shown by itself

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds
CLOSED_BY = ("record", "evidence", "end", "operator")
REFUSALS = tuple(str(reason) for reason in REASONS if reason is not Reason.ACCEPTED)
BOUNDS = ("estimate", "low", "high")


class Label(NamedTuple):
    """A label and its values: all of them, or what bounds them in number."""

    name: str
    values: tuple[str, ...] = ()
    bound: str = ""


class Series(NamedTuple):
    """One family of the exposition."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    help: str
    absent: str = ""  # what it means that it is not there; "" where it always is
    labels: tuple[Label, ...] = ()

    @property
    def starts_at_zero(self) -> bool:
        """Counters of closed labels exist from the start: a rate needs the 0 before the 1."""
        return self.type != "gauge" and all(label.values for label in self.labels)


NO_SHARD = "no shard is known yet"
LANE = Label("lane", bound=f"topic/partition of this process; from {LANES} on together as {OTHER}")
GROUP = Label("group", bound=f"the {GROUPS} most frequent classes of the checkpoint, and {OTHER}")
SCOPE = Label("scope", ("kept", "traffic"))
STATISTIC = Label("statistic", ("psi", "js"))
BOUND = Label("bound", BOUNDS)
REASON = Label("reason", REFUSALS)
KIND = Label("kind", ("labels", "erasures"))
SCORE = Label("score", bound="the scores of the policy")

PROCESS = (
    Series("sluice_build_info", "gauge", "1; the version that runs.",
           labels=(Label("version", bound="one"),)),
    Series("sluice_ready", "gauge", "1 where /readyz says yes."),
    Series("sluice_last_poll_timestamp_seconds", "gauge",
           "When the source last answered, with or without records.", "it never has"),
    Series("sluice_lag_records", "gauge",
           "Records of a lane that are in the log and not absorbed.",
           "this process does not own the lane, or its end is not known: brokers are away, or a "
           "transaction is open", (LANE,)),
    Series("sluice_lag_seconds", "gauge",
           "Age of the newest record absorbed of a lane; 0 at the end of the lane.",
           "this process does not own the lane", (LANE,)),
    Series("sluice_lane_moves_total", "counter", "Lanes that came to or went from this process.",
           labels=(Label("move", ("gained", "lost")),)),
    Series("sluice_retries_total", "counter",
           "Times that the source or the store failed and all that is not durable was read again."),
    Series("sluice_batch_duration_seconds", "histogram",
           "Time to decode, score and weigh a batch."),
    Series("sluice_scored_records_total", "counter",
           "Records of these batches; what is read again counts again."),
    Series("sluice_second_stage_rows_total", "counter",
           "Candidates that this process scored by the costlier scores of `policy.cascade`."),
    Series("sluice_pin_unrunnable", "gauge",
           "1 while a pin names an edition that this process cannot run; its lanes are paused."),
    Series("sluice_ahead_lanes", "gauge",
           "Lanes that wait: their next record claims a time too far ahead of our clock."),
    Series("sluice_breaker_open", "gauge",
           "1 while so much is refused that reading has stopped."),
    Series("sluice_label_refusals_total", "counter",
           "Records of label and erasure lanes that nobody can use, by reason; what is read again "
           "counts again.", labels=(KIND, REASON)),
    Series("sluice_dead_letters_total", "counter",
           "Refused records that the dead-letter topic has acknowledged."),
)  # fmt: skip

PARTS = (
    Series("sluice_parts_total", "counter", "Parts that this process made durable.",
           labels=(Label("closed_by", CLOSED_BY),)),
    Series("sluice_lost_races_total", "counter",
           "Parts that another process had made before; whoever loses drops its own."),
    Series("sluice_records_total", "counter",
           "Records of utterance lanes in the parts of this process, each once."),
    Series("sluice_late_records_total", "counter",
           "Of these, records whose own time lies in an earlier window."),
    Series("sluice_refusals_total", "counter",
           "Of these, records that cannot be selected, by reason; suspect ones go to review.",
           labels=(REASON,)),
)  # fmt: skip

SHARDS = (
    Series("sluice_shards_total", "counter",
           "Shards that this process made; one made by two at once counts in both."),
    Series("sluice_announcements_total", "counter",
           "Shards, and later versions of them, whose announcement was acknowledged."),
    Series("sluice_erased_rows_total", "counter",
           "Rows that later versions of shards lack because somebody asked for it; those asked for "
           "in time are in no version, and not counted here."),
    Series("sluice_last_shard_timestamp_seconds", "gauge",
           "When this process last made a shard, or saw that another one had.",
           "none since the process started"),
    Series("sluice_window_end_timestamp_seconds", "gauge",
           "Record time at which the window of the newest shard ended.", NO_SHARD),
    Series("sluice_period_seconds", "gauge", "Length of a window.", "no genesis yet"),
    Series("sluice_edition_info", "gauge",
           "1; edition and checkpoint (12 digits of its digest) of the newest shard.", NO_SHARD,
           (Label("edition", bound="one"), Label("checkpoint", bound="one"))),
    Series("sluice_shard_rows", "gauge", "Rows of the newest shard that an arm took.", NO_SHARD,
           (Label("arm", ("selected", *ARMS)),)),
    Series("sluice_window_cold", "gauge",
           "1 for the reason why nothing was weighed or balanced in it, else 0.", NO_SHARD,
           (Label("reason", tuple(COLD)),)),
    Series("sluice_checkpoint_age_windows", "gauge",
           "Windows since the checkpoint of the newest shard began to decide.", NO_SHARD),
    Series("sluice_checkpoint_timestamp_seconds", "gauge",
           "Record time since when it decides.", NO_SHARD),
    Series("sluice_calibration_age_windows", "gauge",
           "Windows between what had been learnt for the newest shard and its own; lag at least.",
           "nothing had been learnt for it"),
    Series("sluice_calibration_timestamp_seconds", "gauge",
           "Record time up to which what had been learnt for it reaches.",
           "nothing had been learnt for it"),
)  # fmt: skip

GROUP_SERIES = (
    Series("sluice_group_records", "gauge", "Accepted records of the newest shard's window.",
           f"fewer than {LEAST_MEMBERS} (they count as {OTHER}), or no shard yet", (GROUP,)),
    Series("sluice_group_rows", "gauge", "Rows of the newest shard's selection.",
           "as sluice_group_records", (GROUP,)),
    Series("sluice_group_fill_ratio", "gauge",
           "Selected rows by those that the group's target is worth; above 1 where others left "
           "some.", "a cold window, or its shard was made by another process", (GROUP,)),
)  # fmt: skip

CLAIMS = (
    Series("sluice_label_noise_suspected_ratio", "gauge",
           "Suspect share of usable records: a trend and no noise rate. The threshold aims at a "
           "multiple of the audited rate; more means that labels fit the checkpoint less "
           "than those it learnt from.", "no label was judged in the newest window"),
    Series("sluice_label_noise_suspected_records", "gauge", "Usable records it is a share of.",
           "no label was judged in the newest window"),
    Series("sluice_label_noise_audited_ratio", "gauge",
           "Share of wrong labels in the traffic, by the answers of annotators to a uniform "
           "sample, with its 95 % interval (Wilson).", "too few answers", (BOUND,)),
    Series("sluice_label_noise_audited_answers", "gauge",
           "Answers that it rests on; older ones count less.", NO_SHARD),
    Series("sluice_selection_drift", "gauge",
           "Drift of the shares of groups, of selected rows (kept) and of accepted records "
           "(traffic), against the first warm windows of the edition. psi: population stability "
           "index; js: Jensen-Shannon distance in [0, 1].",
           "a cold window, the first warm one of its edition, or too few rows",
           (SCOPE, STATISTIC)),
    Series("sluice_selection_drift_critical", "gauge",
           "What chance alone exceeds once in a thousand windows, for so many rows.",
           "as sluice_selection_drift", (SCOPE, STATISTIC)),
    Series("sluice_selection_drift_ratio", "gauge",
           "Drift by its critical value; above 1 is more than chance.",
           "as sluice_selection_drift", (SCOPE, STATISTIC)),
    Series("sluice_selection_drift_rows", "gauge", "Rows on either side of the comparison.",
           "as sluice_selection_drift", (SCOPE, Label("side", ("window", "reference")))),
    Series("sluice_selection_drift_reference_windows", "gauge",
           "Windows in the reference that the next shard is compared with; 0 after an edition "
           "began.", NO_SHARD),
    Series("sluice_selection_lift", "gauge",
           "Mean score of the selected rows less that of the random arm's rows, in units of the "
           "score, with its 95 % interval (Welch).", "too few rows in the random arm",
           (SCORE, BOUND)),
)  # fmt: skip

SECTIONS: Mapping[str, tuple[Series, ...]] = {
    "The process": PROCESS,
    "Parts": PARTS,
    "Shards": SHARDS,
    "Groups of the newest shard": GROUP_SERIES,
    "Claims about data": CLAIMS,
}
CATALOGUE = tuple(series for section in SECTIONS.values() for series in section)
