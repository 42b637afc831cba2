"""`sluice config check` looks at the paths that a file names: notes here, faults everywhere."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from daemon.__main__ import main
from daemon.config.places import look
from daemon.config.reader import parse
from daemon.config.settings import KEY_VARIABLE
from daemon.ports import EXIT_CONFIG, EXIT_OK

TEXT = """\
store: {{kind: local, options: {{path: "{root}/a/store"}}}}
source: {{kind: replay, options: {{path: "{root}/recording"}}}}
keys: {{file: {root}/key}}
policy: {{arms: {{audit_rows: 1}}}}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A configuration of which everything is there."""
    (tmp_path / "a" / "store").mkdir(parents=True)
    (tmp_path / "recording").mkdir()
    (tmp_path / "recording" / "recording.json").write_text("{}")
    (tmp_path / "key").write_bytes(b"k" * 32)
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "sluice.yaml").write_text(TEXT.format(root=tmp_path))
    return tmp_path


def check(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    code = main(["config", "check", str(root / "sluice.yaml")])
    out, err = capsys.readouterr()
    assert out.startswith("ok: ") == (code == EXIT_OK)
    return code, err.splitlines()


def test_where_all_is_well_nothing_is_said(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(root, capsys) == (EXIT_OK, [])
    assert os.listdir(root / "a" / "store") == [], "looking writes nothing"


def test_what_is_only_missing_here_is_noted(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "a" / "store").rmdir()
    (root / "recording" / "recording.json").unlink()
    (root / "key").unlink()
    code, said = check(root, capsys)
    assert code == EXIT_OK
    ends = "here, `sluice run` would end with"
    absent = "cannot be read: No such file or directory"
    empty = f"{root}/recording holds no recording.json to be read"
    assert said == [
        f"note: store.options.path: {root}/a/store is not there yet, it will be made",
        f"note: source.options.path: {empty}: {ends} 78",
        f"note: keys.file: {absent} ({root}/key): {ends} 64",
    ]
    (root / "recording").rmdir()
    assert f"{root}/recording is not there: here" in check(root, capsys)[1][1]


def test_a_key_that_nobody_named(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = root / "sluice.yaml"
    path.write_text(path.read_text().replace(f"keys: {{file: {root}/key}}\n", ""))
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    code, (line,) = check(root, capsys)
    assert code == EXIT_OK
    assert line.startswith(f"note: keys.file: is missing, and {KEY_VARIABLE} is not set: here, ")
    monkeypatch.setenv(KEY_VARIABLE, str(root / "key"))
    assert check(root, capsys) == (EXIT_OK, [])


def test_what_nobody_could_use_is_a_fault(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "a" / "store").rmdir()
    (root / "a").rmdir()
    (root / "a").write_text("")
    (root / "recording" / "recording.json").unlink()
    (root / "recording").rmdir()
    (root / "recording").write_text("")
    (root / "key").write_bytes(b"short")
    code, said = check(root, capsys)
    assert code == EXIT_CONFIG
    assert [line.split(",")[0] for line in said] == [
        f"sluice: store.options.path: {root}/a is no folder",
        f"sluice: source.options.path: {root}/recording is no folder",
        "sluice: keys.file: holds 5 bytes",
    ]


def test_a_path_is_one_line_whatever_it_is(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = root / "sluice.yaml"
    path.write_text(path.read_text().replace("/recording", r"/\nrecor\eding"))
    code, (line,) = check(root, capsys)
    assert (code, line.split(": here")[0]) == (
        EXIT_OK,
        "note: source.options.path: it is not there",
    )


def test_what_is_closed_to_this_user_is_noted() -> None:
    ends = "here, `sluice run` would end with"
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        root.chmod(0o755)
        (root / "a").mkdir(mode=0o555)
        (root / "recording").mkdir(mode=0o000)
        (root / "key").write_bytes(b"k" * 32)
        (root / "key").chmod(0o000)
        config = parse(TEXT.format(root=root))
        before = os.geteuid()
        if before == 0:
            os.seteuid(65534)  # root may do anything
        try:
            seen = list(look(config, {}))
        finally:
            os.seteuid(before)
    store = f"store.options.path: this user cannot make {root}/a/store in {root}/a: {ends} 73"
    source = f"source.options.path: this user cannot read {root}/recording: {ends} 78"
    key = f"keys.file: cannot be read: Permission denied ({root}/key): {ends} 64"
    assert seen == [(store, False), (source, False), (key, False)]
