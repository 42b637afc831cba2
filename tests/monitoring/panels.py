"""The panels of the dashboard: what each asks, and what a person may read from it."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Query(NamedTuple):
    """PromQL, in which `OURS` stands for the labels of the deployment."""

    expr: str
    legend: str


class Panel(NamedTuple):
    """One picture."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    type: Literal["stat", "timeseries"] = "timeseries"
    width: int = 8
    height: int = 8
    stacked: bool = False
    window: bool = True  # the values are of a window, and stand still until the next
    limit: float | None = None
    least: float | None = 0
    by_name: bool = False


def stat(title: str, description: str, unit: str, *queries: Query, by_name: bool = False) -> Panel:
    """A number at the top."""
    return Panel(title, description, unit, queries, "stat", 3, 4, by_name=by_name, least=None)


def newest(series: str, *labels: str, legend: str = "", of: str = "") -> Query:
    """A gauge of a window, equal in all processes; `of` narrows its labels."""
    by = f" by ({', '.join(labels)})" if labels else ""
    legend = legend or " ".join(f"{{{{{label}}}}}" for label in labels)
    return Query(f"max{by} (sluice_{series}{{OURS{of}}})", legend)


def rate(series: str, *labels: str, legend: str = "") -> Query:
    """Of a counter, per second, added up over processes."""
    by = f" by ({', '.join(labels)})" if labels else ""
    legend = legend or " ".join(f"{{{{{label}}}}}" for label in labels)
    return Query(f"sum{by} (rate(sluice_{series}{{OURS}}[$__rate_interval]))", legend)


def hourly(series: str, *labels: str, legend: str = "") -> Query:
    """Of a counter of rare things: how many in the last hour, over processes."""
    by = f" by ({', '.join(labels)})" if labels else ""
    legend = legend or " ".join(f"{{{{{label}}}}}" for label in labels)
    return Query(f"sum{by} (increase(sluice_{series}{{OURS}}[1h]))", legend)


def since(series: str, legend: str) -> Query:
    return Query(f"time() - max (sluice_{series}_timestamp_seconds{{OURS}})", legend)


MEANT = "suspect|no_consent|no_label|outside_band|already_emitted"
UNUSABLE = (
    f'sum (rate(sluice_refusals_total{{OURS, reason!~"{MEANT}"}}[1h])) '
    "/ sum (rate(sluice_records_total{OURS}[1h]))"
)

NOW = (
    stat("Ready", "Processes whose /readyz says yes, and those that run.", "none",
         Query("sum (sluice_ready{OURS})", "ready"),
         Query("count (sluice_build_info{OURS})", "running")),
    stat("Shard age", "Since a shard was made. More than three windows: SluiceNoShard.", "s",
         since("last_shard", "age")),
    stat("Behind", "Of the lane that is farthest behind: age of its newest record absorbed.", "s",
         Query("max (sluice_lag_seconds{OURS})", "lag")),
    stat("Records", "Scored per second, by all processes.", "reqps",
         rate("scored_records_total", legend="scored")),
    stat("Unusable", "Refused in the last hour, suspect ones and intended ones not counted.",
         "percentunit", Query(UNUSABLE, "refused")),
    stat("Wrong labels", "Audited share in the traffic. Unknown until enough answers came.",
         "percentunit", newest("label_noise_audited_ratio", legend="wrong",
                               of=', bound="estimate"')),
    stat("Cold", "1: the newest window drew rows uniformly. Below is why.", "none",
         newest("window_cold", legend="cold")),
    stat("Edition", "Edition and checkpoint of the newest shard.", "none",
         newest("edition_info", "edition", "checkpoint"), by_name=True),
)  # fmt: skip

KEPT = (
    Panel("Kept rows by group", "Selected rows of the newest shard. Groups are classes of the "
          "checkpoint; all else is (other).", "short", (newest("group_rows", "group"),),
          stacked=True),
    Panel("Records by group", "Accepted records of the same window: what it was chosen from.",
          "short", (newest("group_records", "group"),), stacked=True),
    Panel("Fill by group", "Selected rows by those that the group's target is worth. Above 1 where "
          "others left some, below 1 where it had too few records.", "percentunit",
          (newest("group_fill_ratio", "group"),), limit=1),
    Panel("Rows by arm", "Selected by the policy, drawn uniformly for audit and for comparison, "
          "doubtful ones for review.", "short", (newest("shard_rows", "arm"),)),
    Panel("Lift over random, at least", "Mean score of selected rows less that of random rows: the "
          "lower end of its 95 % interval. Below 0 nothing is proved. SluiceNoLift.", "short",
          (newest("selection_lift", "score", of=', bound="low"'),), limit=0, least=None),
    Panel("Cold windows", "1 for the reason why nothing was weighed or balanced. SluiceCold.",
          "none", (newest("window_cold", "reason"),)),
)  # fmt: skip

CLAIMS = (
    Panel("Wrong labels, audited", "Share of wrong labels in the traffic by annotators' answers to "
          "a uniform sample, with its 95 % interval. Windows share answers: neighbours are no "
          "independent looks. SluiceLabelNoise.", "percentunit",
          (newest("label_noise_audited_ratio", "bound"),)),
    Panel("Suspected labels", "What the model doubts. A trend and no noise rate: its threshold "
          "aims at a margin above the audited one.", "percentunit",
          (newest("label_noise_suspected_ratio", legend="suspected"),)),
    Panel("What the labels' figures rest on", "Audit answers remembered, and records with a usable "
          "label.", "short",
          (newest("label_noise_audited_answers", legend="answers"),
           newest("label_noise_suspected_records", legend="usable records"))),
    Panel("Drift by chance", "Drift of group shares by what chance alone exceeds once in a "
          "thousand windows. Above 1 is more than chance. SluiceSelectionDrift.", "short",
          (newest("selection_drift_ratio", "scope", "statistic"),), limit=1),
    Panel("Drift, Jensen-Shannon", "Distance in [0, 1] from the edition's first warm windows, and "
          "its critical value for so many rows.", "short",
          (newest("selection_drift", "scope", of=', statistic="js"'),
           newest("selection_drift_critical", "scope", legend="critical {{scope}}",
                  of=', statistic="js"'))),
    Panel("Drift, PSI", "Population stability index, and its critical value for so many rows.",
          "short",
          (newest("selection_drift", "scope", of=', statistic="psi"'),
           newest("selection_drift_critical", "scope", legend="critical {{scope}}",
                  of=', statistic="psi"'))),
    Panel("Rows compared", "Of the window and of the reference.", "short",
          (newest("selection_drift_rows", "scope", "side"),), width=12),
    Panel("Reference of drift", "Windows in it, up to a day. It begins at 0 with an edition.",
          "short", (newest("selection_drift_reference_windows", legend="windows"),), width=12),
)  # fmt: skip

FLOW = (
    Panel("Records scored", "Per second and process. What is read again counts again.", "reqps",
          (rate("scored_records_total", "instance"),
           rate("second_stage_rows_total", "instance", legend="second stage {{instance}}")),
          window=False),
    Panel("Time per batch", "To decode, score and weigh.", "s", tuple(
        Query(f"histogram_quantile({q}, sum by (le) "
              "(rate(sluice_batch_duration_seconds_bucket{OURS}[$__rate_interval])))", f"p{q[2:]}")
        for q in ("0.50", "0.95", "0.99")), window=False),
    Panel("Behind, in seconds", "By lane. SluiceLagGrowing.", "s",
          (Query("max by (lane) (sluice_lag_seconds{OURS})", "{{lane}}"),), window=False),
    Panel("Behind, in records", "By lane. SluiceStalled.", "short",
          (Query("max by (lane) (sluice_lag_records{OURS})", "{{lane}}"),), window=False),
    Panel("Refusals by reason", "Records of durable parts in the last hour, the most frequent "
          "reasons. Suspect rows go to review. SluiceRefusals.", "short",
          (Query("topk(8, sum by (reason) (increase(sluice_refusals_total{OURS}[1h])))",
                 "{{reason}}"),), stacked=True),
    Panel("Late records", "Share of records whose own time lies in an earlier window.",
          "percentunit",
          (Query("sum (rate(sluice_late_records_total{OURS}[1h])) "
                 "/ sum (rate(sluice_records_total{OURS}[1h]))", "late"),)),
    Panel("Parts", "In the last hour, by what closed the window: a record, another lane's part, "
          "the end, an operator.", "short", (hourly("parts_total", "closed_by"),), stacked=True),
    Panel("Shards", "Made, and announced, in the last hour; rows erased of those before.", "short",
          (hourly("shards_total", legend="made"),
           hourly("announcements_total", legend="announced"),
           hourly("erased_rows_total", legend="rows erased"))),
    Panel("Trouble", "In the last hour: retries of source or store, races lost, lanes moved, "
          "records of label and erasure lanes refused, dead letters. SluiceRetrying, "
          "SluiceLostRaces, SluiceRebalanceStorm.", "short",
          (hourly("retries_total", legend="retries"),
           hourly("lost_races_total", legend="lost races"),
           hourly("lane_moves_total", "move", legend="lanes {{move}}"),
           hourly("label_refusals_total", "kind", legend="refused {{kind}}"),
           hourly("dead_letters_total", legend="dead letters")), window=False),
)  # fmt: skip

AGES = (
    Panel("Since the last shard", "And three windows, after which SluiceNoShard asks why. The "
          "newest window's end is in record time: it is old while catching up.", "s",
          (since("last_shard", "shard made"), since("window_end", "window ended"),
           Query("3 * max (sluice_period_seconds{OURS})", "three windows"))),
    Panel("Since it decides or was learnt", "In record time. SluiceCheckpointOld.", "s",
          (since("checkpoint", "checkpoint"), since("calibration", "calibration"))),
    Panel("Age in windows", "At the newest shard. The calibration's is at least the lag. "
          "SluiceCalibrationOld.", "short",
          (newest("checkpoint_age_windows", legend="checkpoint"),
           newest("calibration_age_windows", legend="calibration"))),
)  # fmt: skip

PROCESS = (
    Panel("State", "1: an edition cannot run, or reading stopped because too much was refused. And "
          "lanes whose next record lies ahead of our clock. SluiceCheckpointRefused, "
          "SluiceBreakerOpen, SluiceRecordsAhead.", "none",
          (Query("max by (instance) (sluice_pin_unrunnable{OURS})", "unrunnable {{instance}}"),
           Query("max by (instance) (sluice_breaker_open{OURS})", "breaker {{instance}}"),
           Query("max by (instance) (sluice_ahead_lanes{OURS})", "lanes ahead {{instance}}")),
          width=6, window=False),
    Panel("Since the source answered", "Polls answer at once where nothing has come.", "s",
          (Query("time() - max by (instance) (sluice_last_poll_timestamp_seconds{OURS})",
                 "{{instance}}"),), width=6, window=False),
    Panel("CPU", "Cores in use.", "short",
          (Query("sum by (instance) (rate(process_cpu_seconds_total{OURS}[$__rate_interval]))",
                 "{{instance}}"),), width=6, window=False),
    Panel("Memory", "Resident.", "bytes",
          (Query("max by (instance) (process_resident_memory_bytes{OURS})", "{{instance}}"),),
          width=6, window=False),
)  # fmt: skip
