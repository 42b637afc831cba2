"""The file outlet on a real disk: rotation, half lines, full disks, what it refuses."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon.outlets.file import Options, build
from daemon.ports import EXIT_WRITE, Fatal, Message, Retry


def told(number: int) -> Message:
    return Message(b"%d" % number, (("n", b"%d" % number),), b"value")


def keys(path: Path) -> list[str]:
    """Of the lines that are JSON, as a reader takes them."""
    found = []
    for line in path.read_bytes().splitlines():
        try:
            found.append(str(json.loads(line)["key"]))
        except ValueError:
            continue
    return found


def test_a_line_is_what_the_page_says(tmp_path: Path) -> None:
    path = tmp_path / "told"
    outlet = build(Options(str(path)))
    outlet.send(Message(b"k\xc3\xa9", (("a", b"1"), ("b", b"\xff")), None))
    outlet.flush()
    outlet.close()
    assert json.loads(path.read_text()) == {
        "key": "k\u00e9", "headers": [["a", "1"], ["b", {"base64": "/w=="}]], "value": None,
    }  # fmt: skip
    assert stat.S_IMODE(path.stat().st_mode) == 0o600, "letters may hold what people said"


def test_nothing_is_in_the_file_before_a_flush(tmp_path: Path) -> None:
    outlet = build(Options(str(tmp_path / "told")))
    outlet.send(told(1))
    assert not (tmp_path / "told").exists()
    outlet.flush()
    assert keys(tmp_path / "told") == ["1"]
    outlet.close()


@pytest.mark.parametrize("gone", ["renamed", "removed"])
def test_a_rotated_file_is_left_alone_and_a_new_one_begun(tmp_path: Path, gone: str) -> None:
    path = tmp_path / "told"
    outlet = build(Options(str(path)))
    outlet.send(told(1))
    outlet.flush()
    if gone == "renamed":
        path.rename(tmp_path / "told.1")
    else:
        path.unlink()
    outlet.send(told(2))
    outlet.flush()
    outlet.send(told(3))
    outlet.flush()
    outlet.close()
    assert keys(path) == ["2", "3"]
    if gone == "renamed":
        assert keys(tmp_path / "told.1") == ["1"]


def test_after_half_a_line_the_next_begins_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "told"
    path.write_bytes(b'{"key":"0","headers":[],"value":""}\n{"key":"1","hea')
    outlet = build(Options(str(path)))
    outlet.send(told(2))
    outlet.flush()
    outlet.close()
    assert keys(path) == ["0", "2"]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process may grow beyond it: write(2) fails with EFBIG, or writes less."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_after_a_retry_nothing_is_remembered_and_what_is_sent_again_is_whole(
    tmp_path: Path,
) -> None:
    path = tmp_path / "told"
    outlet = build(Options(str(path)))
    outlet.send(told(1))
    outlet.flush()
    for number in (2, 3):
        outlet.send(told(number))
    with largest_file(path.stat().st_size + 20), pytest.raises(Retry, match="outlet cannot be"):
        outlet.flush()
    outlet.flush()
    assert keys(path) == ["1"]
    for number in (2, 3):
        outlet.send(told(number))
    outlet.flush()
    outlet.close()
    assert keys(path) == ["1", "2", "3"]


@pytest.mark.parametrize("place", ["folder", "fifo", "below a file"])
def test_what_no_repetition_heals_ends_the_process(tmp_path: Path, place: str) -> None:
    path = tmp_path / "told"
    if place == "folder":
        path.mkdir()
    elif place == "fifo":
        os.mkfifo(path)
    else:
        path.write_bytes(b"")
        path = path / "told"
    outlet = build(Options(str(path)))
    outlet.send(told(1))
    with pytest.raises(Fatal, match=r"cannot be written.*outlet.options.path") as caught:
        outlet.flush()
    assert caught.value.code == EXIT_WRITE
    outlet.close()


def test_a_folder_that_is_not_there_may_still_come(tmp_path: Path) -> None:
    path = tmp_path / "volume" / "told"
    outlet = build(Options(str(path)))
    with pytest.raises(Retry):
        outlet.flush()
    path.parent.mkdir()
    outlet.flush()
    outlet.close()
    assert path.exists()
