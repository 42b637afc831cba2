"""ONNX Runtime reports nothing to anybody: it is told so before it is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT


@pytest.mark.parametrize("home", ["home", "a file/home"], ids=["writable", "not writable"])
def test_onnx_runtime_is_imported_without_a_trace_of_telemetry(home: str, tmp_path: Path) -> None:
    """Its makers were told of every process; where $HOME cannot be written, it complained of it.

    The environment has no name of a CI, under which it would be silent by itself.
    """
    (tmp_path / "home").mkdir()
    (tmp_path / "a file").write_text("no folder")
    run = subprocess.run(
        [sys.executable, "-c", "import scoring.models.onnx"],
        env={"HOME": str(tmp_path / home)},
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert list((tmp_path / "home").iterdir()) == [], "no identifier is kept"
