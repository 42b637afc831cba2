"""What killed processes leave in a store on a disk, and what failures far apart are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

import pytest

from daemon.clock import ManualClock
from daemon.ports import Retry
from daemon.running.standing import RETRIES, RETRY_SECONDS_MAX, WELL_SECONDS, Standing
from daemon.stores import local

NAME, TEXT = "parts/u/00000/000000000007.parquet", b"what somebody said"


def leave(root: Path, name: str, age: float = 0.0) -> Path:
    """A temporary file as a writer has it before its link(2)."""
    path = root / ".tmp~" / name
    path.write_bytes(TEXT)
    when = path.stat().st_mtime - age
    os.utime(path, (when, when))
    return path


def test_an_erased_object_has_no_other_link(tmp_path: Path) -> None:
    store = local.build(local.Options(str(tmp_path)))
    assert store.create(NAME, TEXT)
    killed = tmp_path / ".tmp~" / "tmpkilled"
    os.link(tmp_path / NAME, killed)  # as between link(2) and unlink(2)
    young = leave(tmp_path, "tmpyoung")
    assert store.efface(NAME, TEXT, b"stub")
    assert not killed.exists() and store.get(NAME) == b"stub"
    assert young.exists(), "its writer may be about to link it"


def test_what_is_an_hour_old_is_nobody_s(tmp_path: Path) -> None:
    store = local.build(local.Options(str(tmp_path)))
    store.create(NAME, TEXT)
    old, young = leave(tmp_path, "tmpold", age=3_700), leave(tmp_path, "tmpyoung", age=3_000)
    lock = tmp_path / ".tmp~" / "lock"
    lock.write_bytes(b"")
    os.utime(lock, (0, 0))
    local.build(local.Options(str(tmp_path)))
    assert not old.exists() and young.exists() and lock.exists()
    another = leave(tmp_path, "tmpanother", age=3_700)
    assert store.efface(NAME, TEXT, b"stub") and not another.exists()
    assert sorted(p.name for p in (tmp_path / ".tmp~").iterdir()) == ["lock", "tmpyoung"]


def test_a_store_that_can_only_be_read_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local.build(local.Options(str(tmp_path))).create(NAME, TEXT)
    leave(tmp_path, "tmpold", age=3_700)

    def refuse(*_args: object, **_named: object) -> None:
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr("daemon.stores.local.tempfile.mkstemp", refuse)
    assert local.build(local.Options(str(tmp_path))).get(NAME) == TEXT


def standing(clock: ManualClock) -> Standing:
    nothing = cast(Any, None)
    return Standing(nothing, nothing, nothing, {}, nothing, clock, lambda *_: None)


def test_failures_far_apart_are_no_row() -> None:
    clock = ManualClock()
    some = standing(clock)
    for _ in range(3 * RETRIES):
        before = clock.monotonic()
        some.failed(Retry("503"))
        assert clock.monotonic() - before <= 1.0, "the first of a row is waited for shortly"
        clock.advance(WELL_SECONDS + 1)
    for _ in range(RETRIES):
        some.failed(Retry("503"))
    assert RETRY_SECONDS_MAX < WELL_SECONDS
    with pytest.raises(Retry):
        some.failed(Retry("503"))
