"""What a disk can do to the local store: crashes, full and broken volumes, links, masks."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daemon.ports import EXIT_STATE, EXIT_WRITE, Fatal, Missing, Retry, Store
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


def killed_at(step: int, folder: Path) -> int:
    """A child creates "a/b" and dies by SIGKILL in its `step`th call; a write is left half done."""

    def run() -> None:
        calls = 0

        def deadly(call: Callable[..., Any]) -> Callable[..., Any]:
            def counted(*args: Any, **named: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls == step:
                    if call is real_write:
                        real_write(args[0], args[1][: len(args[1]) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*args, **named)

            return counted

        real_write = os.write
        for name in ("mkdir", "open", "write", "fsync", "fchmod", "link", "unlink"):
            setattr(os, name, deadly(getattr(os, name)))
        assert build(Options(str(folder))).create("a/b", DATA)

    return in_child(run)


def test_a_crash_at_any_step_leaves_all_or_nothing(tmp_path: Path) -> None:
    states = []
    for step in range(1, 100):
        folder = tmp_path / str(step)
        status = killed_at(step, folder)
        store = build(Options(str(folder)))
        names = list(store.list(""))
        states.append(names)
        assert names in ([], ["a/b"])
        if names:
            assert store.get("a/b") == DATA
        assert store.create("a/b", DATA) is (names == [])
        assert store.get("a/b") == DATA
        if not os.WIFSIGNALED(status):
            assert os.WEXITSTATUS(status) == 0
            break
    assert len(states) > 10
    assert states.count([]) > 5
    assert states.count(["a/b"]) > 2  # died after the link, and the last one lived


def test_a_killed_create_leaves_a_file_that_nobody_sees(tmp_path: Path) -> None:
    for step in range(1, 100):
        if not os.WIFSIGNALED(killed_at(step, tmp_path / str(step))):
            break
    spares = [path for path in tmp_path.glob("*/.tmp~/*") if path.stat().st_size]
    assert {path.stat().st_size for path in spares} == {len(DATA) // 2, len(DATA)}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in spares)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_only_the_owner_may_read_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    def run() -> None:
        os.umask(umask)
        store = build(Options(str(tmp_path / "store")))
        assert store.create("a/b/c", b"1")

    (tmp_path / "store").mkdir(mode=0o700)
    assert in_child(run) == 0
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "store").rglob("*")}
    assert modes == {".tmp~": 0o700, "a": 0o700, "b": 0o700, "c": 0o600}


def test_a_new_store_is_for_its_owner_alone(tmp_path: Path) -> None:
    build(Options(str(tmp_path / "x" / "store")))
    assert stat.S_IMODE((tmp_path / "x" / "store").stat().st_mode) == 0o700


def test_links_are_never_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    root = tmp_path / "store"
    root.mkdir()
    (root / "folder").symlink_to(outside)
    (root / "object").symlink_to(outside / "secret")
    (root / "dangling").symlink_to(outside / "new")
    store = build(Options(str(root)))
    assert list(store.list("")) == []
    for name in ("folder/secret", "object", "dangling"):
        with pytest.raises(Missing):
            store.get(name)
    for name in ("folder/new", "object", "dangling"):
        with pytest.raises(Fatal) as caught:
            store.create(name, b"x")
        assert caught.value.code == EXIT_STATE
    assert [path.name for path in outside.iterdir()] == ["secret"]
    (root / ".tmp~").rmdir()
    (root / ".tmp~").symlink_to(outside)
    with pytest.raises(Fatal):
        store.create("a", b"x")
    assert [path.name for path in outside.iterdir()] == ["secret"]


def test_what_no_create_made_is_not_listed(tmp_path: Path) -> None:
    store = build(Options(str(tmp_path)))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "lost+found" / "a").touch()
    (tmp_path / "note~").touch()
    (tmp_path / "ä").touch()
    store.create("a", b"")
    assert list(store.list("")) == ["a"]
    with pytest.raises(Missing):
        store.get("pipe")


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a")])
def test_a_name_is_never_also_a_folder(tmp_path: Path, first: str, second: str) -> None:
    memory = __import__("daemon.stores.memory", fromlist=["build"])
    for store in (build(Options(str(tmp_path))), memory.build(memory.Options())):
        assert store.create(first, b"x")
        with pytest.raises(Fatal) as caught:
            store.create(second, b"x")
        assert caught.value.code == EXIT_STATE
        assert list(store.list("")) == [first]


def test_an_unmounted_volume_is_not_an_empty_store(tmp_path: Path) -> None:
    root = tmp_path / "store"
    store = build(Options(str(root)))
    root.rmdir()
    for call in (lambda: store.get("a"), lambda: store.create("a", b""), lambda: [*store.list("")]):
        with pytest.raises(Retry, match="gone"):
            call()


def test_a_file_in_the_place_of_the_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in ("file", "file/below"):
        with pytest.raises(Fatal):
            build(Options(str(tmp_path / path)))


def test_folders_that_were_removed_come_back(tmp_path: Path) -> None:
    store = build(Options(str(tmp_path)))
    store.create("a/b", b"1")
    (tmp_path / "a" / "b").unlink()
    (tmp_path / "a").rmdir()
    assert store.create("a/b", b"2")
    assert store.get("a/b") == b"2"


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
    script = f"mount -t tmpfs -o size=512k none {tmp_path} && exec {sys.executable} -c "
    script += '"$0" ' + str(tmp_path)
    namespace = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
    command = [*namespace, "sh", "-c", script, ON_A_SMALL_DISK]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
