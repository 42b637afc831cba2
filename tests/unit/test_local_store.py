"""What a disk can do to the local store: crashes, full and broken volumes, links, masks."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daemon.ports import EXIT_STATE, Fatal, Missing, Retry
from daemon.stores import memory
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
