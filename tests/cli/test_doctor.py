"""`sluice doctor`: what is well, what is not and what to do, how many candidates it proposes."""

from __future__ import annotations

import json
import re
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from daemon.__main__ import main
from daemon.clock import ManualClock
from daemon.doctor import costs, proposal
from daemon.doctor.proposal import Traffic
from daemon.ports import EXIT_CONFIG, EXIT_OK, EXIT_STATE
from scoring.catalogue import catalogue
from scoring.models.table import table_files
from tests.cascading import cascading
from tests.cli.test_commands import call, publish, root
from tests.streams import CLASSES

__all__ = ["root"]  # the fixture
CASCADE = """\
  scores: [{kind: entropy}, {kind: el2n}]
  select: {kind: weighted, options: {score: el2n}}
  cascade:
    candidates: 20
    scores: [{kind: tracin}]
    select: {kind: weighted, options: {score: tracin}}
"""


def checked(capsys: pytest.CaptureFixture[str], root: Path, *words: str) -> tuple[int, Any, str]:
    """Exit code, verdicts by check, and the whole output."""
    capsys.readouterr()
    code = call(root, "doctor", "--json", *words)
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    verdicts = {one["check"]: one for one in lines if "check" in one and one["verdict"] != "note"}
    return code, verdicts, out + err


def test_what_is_well_and_what_is_not(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found, _ = checked(capsys, root)
    assert code == EXIT_STATE
    assert found["store"]["verdict"] == found["secret"]["verdict"] == "ok"
    assert found["edition"]["detail"].endswith("`sluice publish FOLDER` makes an edition")
    assert publish(root, "--from", "0") == EXIT_OK
    assert call(root, "run") == EXIT_OK
    code, found, told = checked(capsys, root)
    assert code == EXIT_OK and {one["verdict"] for one in found.values()} == {"ok"}
    assert list(found) == ["settings", "store", "secret", "edition", "checkpoint", "clock"]
    assert "the secret that this store was begun with" in found["secret"]["detail"]
    assert "not fed by this edition: " in told and "vog (gradient)" in told
    assert "grand_layer (layer_gradient)" in told
    (root / "key").write_bytes(b"another secret of 32 bytes......")
    code, found, _ = checked(capsys, root)
    assert code == EXIT_STATE and "keys.file names the secret" in found["secret"]["detail"]
    (root / "key").chmod(0o644)
    (root / "key").unlink()
    code, found, _ = checked(capsys, root)
    assert code == EXIT_STATE and found["secret"]["verdict"] == "not ok"


def test_a_damaged_checkpoint_is_found(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert publish(root, "--from", "0") == EXIT_OK
    (blob,) = (root / "store" / "checkpoints").rglob("*.npz")
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes()[:-1])
    code, found, _ = checked(capsys, root)
    assert code == EXIT_STATE and found["checkpoint"]["verdict"] == "not ok"


def test_records_from_the_future_are_found(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A part states the time of its lane; a clock that is far behind would pause live lanes."""
    recording = root / "recording" / "u"
    for lane in recording.glob("*.jsonl"):
        text = lane.read_text()
        lane.write_text(re.sub(r'"time": ?(\d+)', lambda m: f'"time":{int(m[1]) + 10**13}', text))
    assert publish(root, "--from", "0") == EXIT_OK
    assert call(root, "run") == EXIT_OK
    code, found, _ = checked(capsys, root)
    assert code == EXIT_STATE and "set the clock (NTP)" in found["clock"]["detail"]


def test_a_table_of_scores_and_a_number_of_candidates(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = root / "sluice.yaml"
    text = re.sub("  rolling: .*", "  rolling: null", config.read_text()) + CASCADE
    config.write_text(text)
    for seed in (1, 2):
        folder = root / f"step-{seed}"
        folder.mkdir()
        for name, data in table_files(CLASSES, seed=seed).blobs.items():
            (folder / name).write_bytes(data)
    folders = f"{root / 'step-1'},{root / 'step-2'}"
    assert publish(root, "--from", "0", "--history", folders) == EXIT_OK
    assert "policy.cascade runs 3 checkpoints forward for each of 20" in capsys.readouterr().err
    _, _, told = checked(capsys, root)
    assert "say --per-second: no window has a shard" in told
    assert call(root, "run") == EXIT_OK
    for command in ("verify", "report", "registry"):
        assert call(root, command, "last") == EXIT_OK
    assert "second weight by tracin" in capsys.readouterr().out
    assert call(root, "doctor", "--json", "--per-second", "2000", "--budget-share", "0.5") == 0
    out, err = capsys.readouterr()
    rows = {r["score"]: r for r in map(json.loads, out.splitlines()) if "score" in r}
    fed = {e.name for e in catalogue() if not set(e.needs) & {
        "gradient", "layer_gradient", "reference", "slots", "slot_labels", "slot_hidden",
        "trails", "direction"}}  # fmt: skip
    assert set(rows) == fed
    assert {n for n, r in rows.items() if r["stage"] == "second"} == {"tracin"}
    assert {n for n, r in rows.items() if r["stage"] == "first"} == {"entropy", "el2n"}
    for name, row in rows.items():
        assert (row["passes"] == 3) == (row["cost"] == "checkpoints"), name
        assert (row["candidates"] is None) == (row["passes"] == 0), name
    assert "would be policy.cascade.candidates: " in err
    assert "2e+03 a second, --per-second" in err


def test_what_is_proposed_costs_the_share_and_what_is_configured_is_told() -> None:
    traffic = Traffic(20.0, 300.0, "")
    assert proposal.proposed(0.001, 0.05, traffic, 0.1, 200) == 0, "audit rows come first"
    cheap = proposal.proposed(0.001, 0.0004, traffic, 0.1, 200)
    assert cheap == 1300
    policy = cascading(cheap)
    audited = policy.arms.audit_rows
    assert proposal.spent(0.001, 0.0004, traffic, policy) == pytest.approx(
        (cheap + audited) * 0.0004 / 6
    )
    assert proposal.proposed(1.0, 1e-9, traffic, 1.0, 200) == 6000, "more than all is all"


@given(st.integers(8, 64), st.floats(2, 40), st.integers(0, 200))
def test_where_calls_are_filled_up_the_number_of_calls_is_the_nearest(
    rows: int, share: float, audited: int
) -> None:
    """A call costs a second, whether it is full or not; `share`: seconds."""
    assume(audited < (share - 1) * rows)

    def cost(count: int | None) -> float:
        count = count or 512
        return -(-count // rows) / count

    traffic = Traffic(1e6, 1.0, "")
    most = proposal.settled(1e-6, cost, traffic, share, audited)
    assert abs(cost(most + audited) * (most + audited) - share) < 0.6


def test_a_pass_that_ends_early_has_seen_cheap_rows_and_dear_ones() -> None:
    """Sorted rows: those at the end cost ten times those at the beginning."""
    clock, dearest = ManualClock(), 0.06

    def run(some: slice) -> None:
        share = 0.1 + 0.9 * some.start / 1000
        clock.advance(dearest * share * (some.stop - some.start) / 10)

    seen = costs.per_row(clock, run, 1000, 10)
    assert seen == pytest.approx(dearest / 10 * 0.55, rel=0.1)


@given(st.lists(st.floats(0.001, 0.05), min_size=1, max_size=16))
def test_where_time_is_up_between_two_rounds_each_batch_counts_once(seconds: list[float]) -> None:
    clock = ManualClock()
    seen = costs.per_row(clock, lambda some: clock.advance(seconds[some.start]), len(seconds), 1)
    assert seen == pytest.approx(sum(seconds) / len(seconds))


@given(st.integers(0, 1000), st.floats(0.01, 0.4))
def test_a_pause_of_the_machine_is_not_a_cost(turn: int, pause: float) -> None:
    clock, turns = ManualClock(), count(-1)  # the first warms up

    def run(_: slice) -> None:
        clock.advance(0.001 + (pause if next(turns) == turn else 0.0))

    assert costs.per_row(clock, run, 100, 10) == pytest.approx(0.0001)


@pytest.mark.parametrize("words", ["--budget-share 0", "--budget-share 2", "--per-second none"])
def test_wrong_numbers(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *words.split()])
    assert ended.value.code == EXIT_CONFIG and "must be" in capsys.readouterr().err
