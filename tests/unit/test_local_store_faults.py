"""Disks that fail, fill up, or belong to somebody else, as the local store meets them."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.ports import EXIT_WRITE, Fatal, Retry, Store
from daemon.stores.local import Options, build

DATA = bytes(range(256)) * 40


def in_child(run: Callable[[], None]) -> int:
    """Wait status of a forked child that runs it; what it raises is exit code 1."""
    child = os.fork()
    if child == 0:
        try:
            run()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1]


FAULTS = [errno.EIO, errno.ENOSPC, errno.EDQUOT]


@pytest.mark.parametrize("code", FAULTS)
def test_after_a_failed_fsync_the_file_is_lost_and_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    store = build(Options(str(tmp_path)))
    store.create("a/first", b"")  # from now on fsync is called for the file and its folder only
    synced: list[int] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        synced.append(os.fstat(handle).st_ino)
        if len(synced) == 1:
            raise OSError(code, os.strerror(code))
        real(handle)

    keep = (tmp_path / "keep").open("w")  # takes the freed inode's number, where one is reused
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(Retry):
        store.create("a/b", DATA)
    assert list(store.list("a/")) == ["a/first"]
    assert list((tmp_path / ".tmp~").iterdir()) == []
    assert store.create("a/b", DATA) is True
    assert len(synced) == 3  # a second file, then the folder
    assert store.get("a/b") == DATA
    keep.close()


def test_a_disk_that_fills_up_during_a_write_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = build(Options(str(tmp_path)))
    real = os.write
    room = [3000, 0]

    def write(handle: int, data: bytes) -> int:
        part = data[: room.pop(0)]
        if not part:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle, part)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(Retry, match="space"):
        store.create("a/b", DATA)
    assert list(store.list("")) == []
    assert list((tmp_path / ".tmp~").iterdir()) == []
    room[:] = [1, 5000, len(DATA), 0]  # short writes are gone on with
    assert store.create("a/b", DATA)
    assert store.get("a/b") == DATA


def test_who_comes_second_makes_the_first_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(Options(str(tmp_path))).create("a/b", b"1")
    second = build(Options(str(tmp_path)))
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    assert second.create("a/b", b"2") is False
    assert {tmp_path.stat().st_ino, (tmp_path / "a").stat().st_ino} <= set(synced)


def test_a_folder_of_somebody_else_ends_the_process_with_a_hint(tmp_path: Path) -> None:
    root = tmp_path / "store"
    store = build(Options(str(root)))

    def run() -> None:
        if os.geteuid() == 0:
            os.seteuid(65534)  # root may write anywhere
        with pytest.raises(Fatal, match="fsGroup") as caught:
            store.create("a", b"x")
        assert caught.value.code == EXIT_WRITE

    root.chmod(0o500)
    assert in_child(run) == 0


def test_a_file_size_limit_ends_the_process_with_a_hint(tmp_path: Path) -> None:
    store: Store = build(Options(str(tmp_path)))

    def run() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        assert store.create("small", b"x" * 1000)
        with pytest.raises(Fatal, match="ulimit") as caught:
            store.create("big", b"x" * 1001)
        assert caught.value.code == EXIT_WRITE
        assert list(store.list("")) == ["small"]

    assert in_child(run) == 0
    assert list((tmp_path / ".tmp~").iterdir()) == []


ON_A_SMALL_DISK = """
import subprocess, sys, os
from pathlib import Path
from daemon.ports import EXIT_WRITE, Fatal, Retry
from daemon.stores.local import Options, build
root = Path(sys.argv[1])
store = build(Options(str(root)))
assert store.create("a/small", b"x")
for _ in range(2):
    try:
        store.create("a/big", bytes(1_000_000))
    except Retry as error:
        assert "space" in str(error), error
    else:
        raise AssertionError("it went onto a full disk")
assert list(store.list("")) == ["a/small"]
assert list((root / ".tmp~").iterdir()) == []
assert store.create("a/other", b"y")
assert store.create("a/big", bytes(100_000))
subprocess.run(["mount", "-o", "remount,ro", root], check=True)
try:
    store.create("a/late", b"z")
except Fatal as error:
    assert error.code == EXIT_WRITE and "read-only" in str(error), error
else:
    raise AssertionError("it wrote onto a read-only disk")
assert store.get("a/small") == b"x"
"""


def test_a_full_disk_is_waited_for_and_a_read_only_one_is_not(tmp_path: Path) -> None:
    """On a tmpfs in a mount namespace of its own, which ends with the child."""
    namespace = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
    script = 'mount -t tmpfs -o size=512k none "$1" && { [ -z "$2" ] || exec "$0" -c "$2" "$1"; }'
    command = [*namespace, "sh", "-c", script, sys.executable, str(tmp_path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        return  # no mounts for us here; the faults above stand for the full disk
    done = subprocess.run([*command, ON_A_SMALL_DISK], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
