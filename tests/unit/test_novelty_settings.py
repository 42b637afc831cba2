"""Epoch `window` in a configuration, and what people are told of what it refused."""

from __future__ import annotations

import io

import msgspec
import pytest

from daemon.clock import ManualClock
from daemon.commands.telling import Teller
from daemon.config.reader import parse
from daemon.config.sanity import advice
from daemon.console import Console
from daemon.metrics.catalogue import REFUSALS
from daemon.policy import Policy
from daemon.report import intake
from daemon.running import facts
from daemon.shards.novelty import Novelty
from scoring.types import CODES, REASONS, Reason
from tests.unit.test_config import BASE, message
from tests.unit.test_report_figures import EMPTY

REFUSED = {
    "{epoch: window}": "policy.epoch: window draws anew in each window and refuses what was "
    "emitted, so a rolling reservoir of such parts would be no sample of anything; set "
    "policy.rolling to null, or policy.epoch to constant",
    "{epoch: windows, rolling: null}": "policy.epoch: expected one of constant, window; did you "
    "mean window?",
    "{known_windows: 9}": "policy.known_windows: says how long emitted texts stay known, but under "
    "epoch constant none is; set policy.epoch to window, or leave it out",
    "{epoch: window, rolling: null, known_windows: 0}": "policy.known_windows: must be at least 1, "
    "found 0",
    "{epoch: window, rolling: null, known_windows: 65536}": "policy.known_windows: must be at most "
    "65535, found 65536",
    "{epoch: window, rolling: null, pool_rows: 999}": "policy.pool_rows: 999 is below "
    "capacity_rows, parts would hold 1000 rows all the same; raise it or leave it out",
}
ADVISED = {
    "{epoch: window, rolling: null}": "",
    "{epoch: constant, rolling: null}": "",
    "{epoch: window, rolling: null, known_windows: 2}": "policy.known_windows: 2 is below "
    "stream.lag 3, so lanes know of nothing, and repeats take places of the pool until the shard "
    "is made",
    "{epoch: window, rolling: null, identity: id}": "policy.identity: is id, so what is refused as "
    "emitted are ids that come again; a text that was emitted under another id is selected once "
    "more",
    "{epoch: window, rolling: null, known_windows: 50000}": "policy.known_windows: up to 50000000 "
    "texts are known at once, which take up to 477 MiB in memory and in the store",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_is_refused_with_a_remedy(text: str) -> None:
    assert message(f"{BASE}policy: {text}") == REFUSED[text]


@pytest.mark.parametrize("text", ADVISED)
def test_what_can_be_is_advised(text: str) -> None:
    assert "\n".join(advice(parse(f"{BASE}policy: {text}"))) == ADVISED[text]


def test_a_pool_leaves_room_for_what_is_taken_out_of_it() -> None:
    assert Policy(rolling=None).pool == 2_000 == Policy(epoch="window", rolling=None).pool
    assert Policy(epoch="window", rolling=None, pool_rows=1_200).pool == 1_200
    assert Policy().pool == Policy().rolling.capacity_rows  # type: ignore[union-attr]


def test_the_reason_is_the_newest_code_that_ledgers_hold() -> None:
    """Codes of older ledgers stay what they were."""
    assert CODES[Reason.ALREADY_EMITTED] == 24 == CODES[Reason.OUTSIDE_BAND] + 1
    assert REASONS[24] == "already_emitted" and "already_emitted" in REFUSALS
    assert "earlier shard" in intake.REFUSED[Reason.ALREADY_EMITTED]


def test_the_report_says_what_was_known_and_what_is_new() -> None:
    counts = {"records": 90, "late": 0, "accepted": 30, "already_emitted": 60}
    plain = msgspec.structs.replace(EMPTY, counts=counts)
    assert 'data-fact="known"' not in str(intake.draw(plain))
    said = msgspec.structs.replace(plain, novelty=Novelty(1_234, 5, 7, 20))
    page = str(intake.draw(said))
    for name, value in (("known", 1_234), ("repeats", 5), ("emitted", 20), ("refused", 60)):
        assert f'value="{value}" data-fact="{name}"' in page


def test_a_window_that_brought_nothing_new_is_no_fault_of_the_mapping() -> None:
    errors = io.StringIO()
    teller = Teller(Console(ManualClock(), errors=errors, output=io.StringIO(), terminal=False))
    counts = {"records": 9, "late": 0, "already_emitted": 9}
    teller.tell("shard", facts.of_shard(msgspec.structs.replace(EMPTY, counts=counts)))
    assert "does policy.record name" not in errors.getvalue()
    counts = {"records": 9, "late": 0, "not_json": 9}
    teller.tell("shard", facts.of_shard(msgspec.structs.replace(EMPTY, counts=counts)))
    assert "does policy.record name" in errors.getvalue().replace("\n", " ")
