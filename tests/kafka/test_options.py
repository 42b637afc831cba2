"""What may be configured of the source, and the line that each mistake earns."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from daemon.config import places
from daemon.config.reader import parse
from daemon.config.settings import ConfigError
from daemon.kafka.security import Security, secret
from daemon.ports import EXIT_CONFIG, Fatal
from daemon.sources.kafka import KafkaSource, Options
from scoring import kinds

GOOD: dict[str, Any] = {"bootstrap": ["kafka-0.kafka:9092"], "topics": ["said"], "group": "g"}
SASL: dict[str, Any] = {
    "protocol": "SASL_SSL",
    "mechanism": "SCRAM-SHA-512",
    "username": "sluice",
    "password_file": "/run/secrets/password",
}

GONE = "is not there: here, `sluice run` would end with 64"
FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"topic": ["said"]}, "topic: unknown key, it would change nothing; did you mean topics?"),
    ({"bootstrap": []}, "bootstrap: is empty"),
    ({"topics": []}, "topics: is empty"),
    ({"bootstrap": ["kafka"]}, "bootstrap[0]: must match the pattern"),
    ({"bootstrap": ["user:secret@kafka:9092"]}, "bootstrap[0]: must match the pattern"),
    ({"topics": ["a b"]}, "topics[0]: must match the pattern"),
    ({"label_topics": ["said"]}, "label_topics: a topic is named twice"),
    ({"group": ""}, "group: must match the pattern"),
    ({"instance": "pod 0"}, "instance: must match the pattern"),
    ({"corrupt_limit": -1}, "corrupt_limit: must be at least 0, found -1"),
    (
        {"client": {"session_timeout_ms": 45_000}},
        "client.session_timeout_ms: must be at most 30000",
    ),
    (
        {"client": {"heartbeat_interval_ms": 9_000}},
        "client.heartbeat_interval_ms: is above a third",
    ),
    (
        {"client": {"session_timeout_ms": 10_000, "max_poll_interval_ms": 10_000}},
        "client.session_timeout_ms: is not below max_poll_interval_ms",
    ),
    (
        {"client": {"fetch_max_wait_ms": 1_000, "request_timeout_ms": 1_000}},
        "client.fetch_max_wait_ms: is not below request_timeout_ms",
    ),
    ({"security": {"protocol": "TLS"}}, "security.protocol: expected one of PLAINTEXT, SSL"),
    ({"security": {"ca_file": "/ca"}}, "security.ca_file: is for TLS"),
    ({"security": {"username": "u"}}, "security.username: is for SASL"),
    ({"security": {"protocol": "SASL_SSL"}}, "security.mechanism: is missing"),
    ({"security": SASL | {"password_file": None}}, "security.password_file: is missing"),
    ({"security": SASL | {"password_file": "hunter2"}}, "security.password_file: is no absolute"),
    ({"security": SASL | {"password": "hunter2"}}, "security.password: unknown key"),
    (
        {"security": {"protocol": "SSL", "key_file": "/key"}},
        "security.key_file: has no certificate_file beside it",
    ),
]


def configured(options: dict[str, Any]) -> str:
    return f"""
store: {{kind: local, options: {{path: /var/lib/sluice}}}}
source: {{kind: kafka, options: {options!r}}}
""".replace("None", "null")


@pytest.mark.parametrize(("change", "line"), FAULTS)
def test_a_mistake_is_told_before_anything_runs(change: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(configured(GOOD | change))
    found = [fault for fault in caught.value.faults if fault.startswith(f"source.options.{line}")]
    assert found, caught.value.faults
    assert "hunter2" not in str(caught.value)


def test_good_options_are_good_and_touch_no_network() -> None:
    given = GOOD | {"label_topics": ["answers"], "security": SASL, "instance": "env:POD_NAME"}
    config = parse(configured(given))
    source = kinds.load("daemon.sources", config.source.kind, config.source.options)
    assert isinstance(source, KafkaSource)
    source.close()


def test_files_of_secrets_are_looked_for(tmp_path: Path) -> None:
    there = tmp_path / "ca.pem"
    there.write_text("x")
    files = {"ca_file": str(there), "password_file": str(tmp_path), "key_file": "/no/such/file"}
    given = GOOD | {"security": SASL | files | {"certificate_file": "/no/such/file"}}
    seen = {
        line: fault
        for line, fault in places.look(parse(configured(given)), {})
        if line.startswith("source")
    }
    assert seen == {
        "source.options.security.password_file: is no regular file": True,
        f"source.options.security.key_file: {GONE}": False,
        f"source.options.security.certificate_file: {GONE}": False,
    }


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        (None, 0o600, "cannot be read: No such file"),
        (b"x", 0o644, "is open to every user"),
        (b"", 0o600, "holds no secret"),
        (b"\n", 0o600, "holds no secret"),
        (b"x" * 5_000, 0o600, "holds no secret"),
        (b"\xff\xfe", 0o600, "is not UTF-8"),
    ],
)
def test_a_secret_that_cannot_be_used(
    tmp_path: Path, content: bytes | None, mode: int, says: str
) -> None:
    path = tmp_path / "hunter2"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(Fatal) as caught:
        secret("password_file", str(path))
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.code == EXIT_CONFIG


def test_a_pipe_is_no_secret_and_blocks_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Fatal, match="no regular file"):
        secret("password_file", str(tmp_path / "pipe"))


@pytest.mark.parametrize("written", [b"pass word\n", b"pass word\r\n", b"pass word"])
def test_the_line_end_of_an_editor_is_no_part_of_a_secret(tmp_path: Path, written: bytes) -> None:
    path = tmp_path / "password"
    path.write_bytes(written)
    path.chmod(0o600)
    assert secret("password_file", str(path)) == "pass word"


@pytest.mark.parametrize("name", ["ca_file", "certificate_file"])
def test_certificates_that_are_none(tmp_path: Path, name: str) -> None:
    path = tmp_path / "hunter2"
    path.write_text("no certificate")
    with pytest.raises(Fatal, match=name) as caught:
        Security(protocol="SSL", **{name: str(path)}).arguments()
    assert "hunter2" not in str(caught.value)


def test_the_name_of_a_replica_comes_from_its_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Options(("kafka:9092",), ("said",), "g", instance="env:POD_NAME")
    monkeypatch.delenv("POD_NAME", raising=False)
    with pytest.raises(Fatal, match="variable that is not set"):
        given.member()
    monkeypatch.setenv("POD_NAME", "sluice-3")
    assert given.reading()["group_instance_id"] == "sluice-3"
    assert Options(("kafka:9092",), ("said",), "g").member() is None
