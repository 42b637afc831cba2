"""For each alert: a time line on which it fires and resolves, and ones on which it must not fire.

Values are in promtool's notation, one a minute from minute 0: `1x5` is six ones, `0+2x3` is
0 2 4 6, `_x3` is three minutes without a sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

TARGET: Mapping[str, str] = {"namespace": "voice", "job": "sluice", "instance": "a"}
Lines = Mapping[str, str]  # series -> values


class Case(NamedTuple):
    """Minutes: quiet just before it fires, firing, and resolved."""

    alert: str
    lines: Lines
    quiet: int
    firing: int
    resolved: int
    labels: tuple[str, ...]  # of the alert, besides severity: those of TARGET, or `name=value`
    summary: str
    never: tuple[Lines, ...] = ()  # nearly the same, and no reason to wake anybody


JOB, EACH = ("namespace", "job"), ("namespace", "job", "instance")


def s(name: str, **labels: str) -> str:
    """A series of the target, or of another instance or job where `labels` say so."""
    pairs = ", ".join(f'{key}="{value}"' for key, value in {**TARGET, **labels}.items())
    return f"{name}{{{pairs}}}"


UP = s("sluice_build_info", version="1")
START, READY = s("process_start_time_seconds"), s("sluice_ready")
SCORED, LAG = s("sluice_scored_records_total"), s("sluice_lag_records", lane="u/0")
PERIOD, SHARD = s("sluice_period_seconds"), s("sluice_last_shard_timestamp_seconds")
BEHIND = s("sluice_lag_seconds", lane="u/0")
RETRIES, RACES = s("sluice_retries_total"), s("sluice_lost_races_total")
MOVED = s("sluice_lane_moves_total", move="lost")
PARTS = s("sluice_parts_total", closed_by="record")
RECORDS = s("sluice_records_total")
LOW = s("sluice_label_noise_audited_ratio", bound="low")
RATE = s("sluice_label_noise_audited_ratio", bound="estimate")
ANSWERS = s("sluice_label_noise_audited_answers")
RATIO = s("sluice_selection_drift_ratio", scope="kept", statistic="js")
DRIFT = s("sluice_selection_drift", scope="kept", statistic="js")
COLD = s("sluice_window_cold", reason="no_half")


def refused(reason: str) -> str:
    return s("sluice_refusals_total", reason=reason)


def lift(score: str) -> str:
    return s("sluice_selection_lift", score=score, bound="low")


PROCESS_CASES = (
    Case("SluiceAbsent", {UP: "1x10 _x20 1x20"}, 15, 25, 35, (), "No Sluice process is scraped.",
         ({UP: "1x10 _x6 1x30"},)),
    Case("SluiceNotReady", {READY: "1x5 0x20 1x10"}, 20, 22, 30, EACH,
         "a has not been ready for 15 minutes.", ({READY: "0x10 1 0x12 1 0x9"},)),
    Case("SluiceRestarting", {UP: "1x60", START: "100x5 400 400 500 500 600x50"}, 9, 12, 45, EACH,
         "a started 3 times in 30 minutes.",
         ({UP: "1x60", START: "100x5 400 400 500x50"},
          {UP: "1x60", s("process_start_time_seconds", job="other"): "1 2 3 4 5 6 7x50"})),
    Case("SluiceRetrying", {RETRIES: "0x10 0+1x20 20x40"}, 12, 30, 60, EACH,
         "a retried 15 times in 15 minutes.", ({RETRIES: "0x10 0+1x4 4x40"},)),
    Case("SluiceCheckpointRefused", {s("sluice_pin_unrunnable"): "0x5 1x20 0x10"}, 10, 15, 30, EACH,
         "a cannot run the edition that its windows are pinned to.",
         ({s("sluice_pin_unrunnable"): "0x5 1x4 0x10"},)),
    Case("SluiceBreakerOpen", {s("sluice_breaker_open"): "0x5 1x5 0x5"}, 6, 8, 13, EACH,
         "a stopped reading, too much was refused.", ({s("sluice_breaker_open"): "0x20"},)),
)  # fmt: skip

FLOW_CASES = (
    Case("SluiceStalled", {LAG: "100x70", SCORED: "0+60x10 600x30 660+60x30"}, 24, 30, 45, JOB,
         "100 records wait and none is read.",
         ({LAG: "0x70", SCORED: "600x70"},
          {LAG: "100x70", SCORED: "600x70", s("sluice_scored_records_total", instance="b"):
           "0+60x70"})),
    Case("SluiceLagGrowing", {BEHIND: "0x4 0+60x40 2400-120x30"}, 29, 40, 70, (*JOB, "lane=u/0"),
         "u/0 is 35m 0s behind and falls back.",
         ({BEHIND: "2000x70"}, {BEHIND: "0+5x70"}, {BEHIND: "4000-50x70"})),
    Case("SluiceLaneHeld", {BEHIND: "0x4 0+60x40 0x30", LAG: "0x4 _x40 0x31"}, 25, 40, 70,
         (*JOB, "lane=u/0"), "u/0 has given nothing for 35m 0s.",
         ({BEHIND: "0+60x70", LAG: "5x70"}, {BEHIND: "0+5x70"})),
    Case("SluiceNoShard",
         {PERIOD: "300x90", SCORED: "0+60x90", SHARD: "0+60x20 1200x39 3600+60x30"},
         40, 50, 65, JOB, "No shard for 30m 0s, though records are scored.",
         ({PERIOD: "300x90", SCORED: "0x90", SHARD: "0+60x20 1200x70"},
          {PERIOD: "300x90", SCORED: "0+60x90", SHARD: "0x90",
           s("sluice_last_shard_timestamp_seconds", instance="b"): "0+60x90"},
          {PERIOD: "3600x90", SCORED: "0+60x90", SHARD: "0x90"})),
    Case("SluiceNoShard",
         {PERIOD: "300x90", SCORED: "0+60x90", START: "0x90", SHARD: "_x60 3600+60x30"},
         20, 40, 65, JOB, "No shard for 40m 0s, though records are scored.",
         ({PERIOD: "300x90", SCORED: "0+60x90", START: "0+60x90"},)),
    Case("SluiceRecordsAhead", {s("sluice_ahead_lanes"): "0x5 2x15 0x10"}, 10, 15, 25, JOB,
         "2 lanes wait, their next record lies ahead of our clock.",
         ({s("sluice_ahead_lanes"): "0x5 1x4 0x20"},)),
    Case("SluiceRebalanceStorm", {MOVED: "0x5 0+2x15 30x30"}, 11, 20, 45, JOB,
         "20 lanes were taken away within 10 minutes.",
         ({s("sluice_lane_moves_total", move="gained"): "0+2x50"}, {MOVED: "0x5 6x40"})),
    Case("SluiceLostRaces", {RACES: "0x10 0+1x70 70x90", PARTS: "0+1x170"}, 30, 75, 160, JOB,
         "60 parts of the last hour had been made by others before.",
         ({RACES: "0x10 0+1x2 2x90", PARTS: "0+1x160"}, {RACES: "0+1x100", PARTS: "0+10x100"})),
    Case("SluiceRefusals", {RECORDS: "0+10x300", refused("not_json"): "0x10 0+5x100 500x180"},
         20, 75, 180, JOB, "50% of the records cannot be used.",
         ({RECORDS: "0+10x200", refused("suspect"): "0+5x200", refused("no_consent"): "0+3x200",
           refused("no_label"): "0+1x200", refused("not_json"): "0+1x200"},)),
)  # fmt: skip

CLAIM_CASES = (
    Case("SluiceCheckpointOld",
         {s("sluice_checkpoint_timestamp_seconds"): "-2591000x99 6000x60"}, 70, 90, 105, JOB,
         "The same checkpoint has decided for 30d 1h 13m 20s.",
         ({s("sluice_checkpoint_timestamp_seconds"): "-2500000x150"},)),
    Case("SluiceCalibrationOld", {s("sluice_calibration_age_windows"): "3x5 30x20 3x10"},
         20, 22, 30, JOB, "The newest shard used what had been learnt 30 windows before it.",
         ({s("sluice_calibration_age_windows"): "24x60"},)),
    Case("SluiceCold", {COLD: "0x5 1x400 0x10"}, 360, 370, 410, JOB,
         "Windows have been cold for 6 hours, rows are drawn uniformly.",
         ({COLD: "1x300 0 1x300"},)),
    Case("SluiceLabelNoise", {LOW: "0.1x5 0.25x90 0.1x10"}, 60, 70, 100, JOB,
         "At least 25% of the labels coming in are wrong.",
         ({LOW: "0.15x120", RATE: "0.4x120"},)),
    Case("SluiceLabelNoiseUnknown", {ANSWERS: "10x1600", RATE: "_x1500 0.1x100"}, 1430, 1450, 1510,
         JOB, "Only 10 audit answers are remembered, too few for a rate.",
         ({ANSWERS: "10x1500", RATE: "0.1x1500"},)),
    Case("SluiceSelectionDrift", {RATIO: "0.5x5 2x40 0.5x10", DRIFT: "0.2x60"}, 35, 40, 50,
         (*JOB, "scope=kept"), "Groups of the kept rows moved, 2 x chance.",
         ({RATIO: "2x60", DRIFT: "0.05x60"}, {RATIO: "0.9x60", DRIFT: "0.3x60"})),
    Case("SluiceNoLift", {lift("el2n"): "-0.1x400 0.2x10", lift("margin"): "-0.2x410"},
         355, 370, 405, JOB, "By no score can the selected rows be told from random ones.",
         ({lift("el2n"): "0.1x400", lift("margin"): "-0.2x400"},
          {lift("el2n"): "-0.1x400", COLD: "1x400"})),
)  # fmt: skip

CASES = (*PROCESS_CASES, *FLOW_CASES, *CLAIM_CASES)
