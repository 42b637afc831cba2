"""Settings that contradict each other, kinds that do not exist, and keys that are none."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scoring.policies
from daemon.config import keyfile
from daemon.config.reader import ConfigError, parse
from daemon.config.sanity import advice
from daemon.config.settings import KEY_VARIABLE, Keys
from scoring.kinds import names
from tests.unit.test_config import BASE, SOURCE, STORE, message

WEIGHTED = "select: {kind: weighted, options: {score: el2n}}"

REFUSED = {
    "stream: {lag: 2}": "stream.lag: 2 is less than 2 + grace + label_wait = 3, so idle lanes, "
    "labels, new partitions and learning could wait for each other in a circle",
    "stream: {grace: 2, label_wait: 3, lag: 6}": "stream.lag: 6 is less than 2 + grace + "
    "label_wait = 7, so idle lanes, labels, new partitions and learning could wait for each other "
    "in a circle",
    "policy: {learning: {low_quantile: 0.5, high_quantile: 0.5}}": "policy.learning.low_quantile: "
    "0.5 is not below high_quantile 0.5, every score would weigh the same",
    "policy: {groups: {floor_rows: 3, cap_rows: 2}}": "policy.groups.floor_rows: 3 is above "
    "cap_rows 2, which wins: no group would keep more than 2",
    "policy: {groups: {floor_rows: 1001}}": "policy.groups.floor_rows: 1001 is above "
    "capacity_rows, the first groups would share 1000 rows and the others get none",
    "policy: {groups: {by: []}, identity: id}": "policy.groups.by: is empty, so nothing would be "
    "balanced; take reservoir uniform",
    "policy: {groups: {by: [label, label]}}": "policy.groups.by: names a kind twice, the second "
    "would change nothing",
    "policy: {scores: [{kind: entropy}, {kind: entropy}]}": "policy.scores: names a kind twice, "
    "the second would change nothing",
    "policy: {pool_rows: 1500}": "policy.pool_rows: 1500 is below rolling.capacity_rows, parts "
    "would hold 2000 rows all the same; raise it or leave it out",
    "policy: {pool_rows: 1500, capacity_rows: 3000}": "policy.pool_rows: 1500 is below "
    "capacity_rows, parts would hold 3000 rows all the same; raise it or leave it out",
    "policy: {rolling: {windows: 2, capacity_rows: 900}, pool_rows: 1000}": "",
    "policy: {reservoir: {kind: balancd}}": "policy.reservoir.kind: there is no such kind in "
    "buffers; did you mean balanced?",
    "policy: {engine: {kind: onxx}}": "policy.engine.kind: there is no such kind in "
    "scoring/models; did you mean onnx?",
    "policy: {scores: [{kind: entropi}]}": "policy.scores[0].kind: there is no such kind in "
    "scoring/scores; did you mean entropy?",
    "policy: {scores: [{kind: entropy, options: {normalize: true}}]}": "policy.scores[0].options."
    "normalize: unknown key, it would change nothing; did you mean normalise?",
    "policy: {select: {kind: weighted, options: {eps: 0}}}": "policy.select.options.eps: must be "
    "more than 0, found 0",
    "policy: {select: {kind: weighted, options: {score: mragin}}}": "policy.select.options: names "
    "no kind that there is: AVAILABLE; did you mean margin?",
    "policy: {scores: [{kind: margin}]}": "policy.select: weighs entropy, which policy.scores "
    "does not compute",
    f"policy: {{{WEIGHTED}, groups: {{by: [argmax]}}}}": "policy.groups.by: does not begin with "
    "label, but the policy reads the label, so two records of one text and group could weigh "
    "differently; begin with label, or use identity id",
    f"policy: {{{WEIGHTED}, groups: {{by: [argmax]}}, identity: id}}": "",
    f"policy: {{{WEIGHTED}}}": "",
}

ADVISED = {
    "policy: {groups: {cap_rows: 2, limit: 9}}": "policy.groups.cap_rows: 10 groups of at most 2 "
    "rows fill 20 of 1000 capacity_rows, the rest stays empty",
    "policy: {groups: {floor_rows: 40, limit: 49}}": "policy.groups.floor_rows: 50 groups would "
    "need 2000 rows of 1000 capacity_rows: with that many groups each keeps about 20 or 21, and "
    "targets say nothing",
    "policy: {capacity_rows: 1000000}": "policy.capacity_rows: a lane keeps 2000000 rows of up to "
    "3072 bytes in each open window, 5 GiB",
    "policy: {arms: {audit_rows: 0}}": "policy.arms.audit_rows: 0 means that no answer ever "
    "measures the label noise, so nothing is quarantined; set quarantine.assumed_rate if you know "
    "it",
    "policy: {arms: {audit_rows: 0}, quarantine: {assumed_rate: 0.1}}": "",
    "policy: {identity: near-en}": "policy.identity: near-en takes every text without a locale for "
    "English; map policy.record.locale where other languages are spoken, or take near",
    "policy: {identity: near-en, record: {locale: nlu.locale}}": "",
    "policy: {identity: near}": "",
    "process: {poll_records: 255}": "process.poll_records: 255 is below batch_records 1024, no "
    "batch is ever full",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_contradiction_is_refused_with_its_consequence(text: str) -> None:
    if REFUSED[text]:
        available = ", ".join(names("scoring.scores"))
        assert message(BASE + text) == REFUSED[text].replace("AVAILABLE", available)
    else:
        parse(BASE + text)


@pytest.mark.parametrize("text", ADVISED)
def test_what_works_otherwise_than_expected_is_advised(text: str) -> None:
    assert "\n".join(advice(parse(BASE + text))) == ADVISED[text]


def test_a_policy_of_other_unicode_tables_is_advised() -> None:
    config = parse(BASE + "policy: {unicode: 1.1.0}")
    assert [line.split(":")[0] for line in advice(config)] == ["policy.unicode"]


@pytest.mark.parametrize(
    ("store", "fault"),
    [
        ("{kind: local, options: {path: data}}", "store.options.path: is no absolute path, it"),
        ("{kind: local, options: {path: /r}}", "store.options.path: lies in the folder of source"),
        ("{kind: local, options: {path: /r/x/.}}", "store.options.path: lies in the folder of"),
        ("{kind: local, options: {path: //r/x}}", "store.options.path: lies in the folder of"),
        ("{kind: local, options: {pth: /s}}", "store.options.pth: unknown key, it would change "),
        ("{kind: bucket, options: {url: 's3://'}}", "store.options.url: names no bucket; write"),
        ("{kind: bucket, options: {url: 's3://['}}", "store.options.url: names no bucket; write"),
        ("{kind: lokal}", "store.kind: there is no such kind in daemon/stores; did you mean local"),
    ],
)
def test_places(store: str, fault: str) -> None:
    assert message(f"store: {store}\n{SOURCE}").startswith(fault)


def test_a_neighbour_with_the_same_beginning_is_no_parent() -> None:
    parse(f"store: {{kind: local, options: {{path: /rest}}}}\n{SOURCE}")
    parse(f"{STORE}source: {{kind: replay, options: {{path: /s/recording}}}}")


def test_text_mode_refuses_a_weight_that_reads_beyond_the_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kind = "class K:\n name, reads, needs_label, reads_label, key_only = 'k', (), 0, 0, False\n"
    (tmp_path / "confident.py").write_text(f"{kind}def build(options):\n return K()\n")
    folder = str(tmp_path)
    spec = importlib.util.find_spec("scoring.policies")
    monkeypatch.setattr(spec, "submodule_search_locations", [*scoring.policies.__path__, folder])
    monkeypatch.setattr(scoring.policies, "__path__", [*scoring.policies.__path__, folder])
    text = f"{BASE}policy: {{select: {{kind: confident}}, identity: %s}}"
    for once in ("text", "near", "near-en"):
        found = message(text % once)
        assert found.startswith(f"policy.identity: is {once}, but the weight of this")
    assert parse(text % "id").policy.select.kind == "confident"


@settings(max_examples=30)
@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 30))
def test_lag_is_allowed_from_the_least_one_that_cannot_wait_in_a_circle(
    grace: int, label_wait: int, lag: int
) -> None:
    text = f"{BASE}stream: {{grace: {grace}, label_wait: {label_wait}, lag: {lag}}}"
    if lag >= 2 + grace + label_wait:
        assert parse(text).stream.lag == lag
    else:
        assert message(text).startswith("stream.lag: ")


def test_the_key_is_found_in_the_file_before_the_environment() -> None:
    environment = {KEY_VARIABLE: "/run/other"}
    assert keyfile.find(Keys("/run/key"), environment) == Path("/run/key")
    assert keyfile.find(Keys(), environment) == Path("/run/other")
    for empty in ({}, {KEY_VARIABLE: ""}, {KEY_VARIABLE: " "}):
        with pytest.raises(ConfigError, match=r"^keys.file: .*(is not set|set but empty)"):
            keyfile.find(Keys(), empty)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_key_has_no_line_end(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"0123456789abcde\n" + end)
    path.chmod(0o440)
    if end:
        assert keyfile.read(path) == b"0123456789abcde\n"
    else:
        with pytest.raises(ConfigError, match=r"^keys.file: holds 15 bytes, identities need 16"):
            keyfile.read(path)


def test_a_key_that_is_none_is_refused(tmp_path: Path) -> None:
    wide, large, pipe = tmp_path / "wide", tmp_path / "large", tmp_path / "pipe"
    wide.write_bytes(b"k" * 32)
    wide.chmod(0o644)
    large.write_bytes(b"k" * 5_000)
    large.chmod(0o600)
    os.mkfifo(pipe)
    for path, reason in (
        (wide, "is open to every user"),
        (large, "is larger than 4096 bytes"),
        (pipe, "is no regular file"),
        (tmp_path / "none", "cannot be read: No such file"),
    ):
        with pytest.raises(ConfigError, match=f"^keys.file: {reason}") as caught:
            keyfile.read(path)
        assert "kkk" not in str(caught.value)
