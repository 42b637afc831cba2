"""Schemas are made once for each process of tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helm import chart, descriptions


@pytest.fixture(scope="session")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for kubeconform."""
    folder = tmp_path_factory.mktemp("schemas")
    descriptions.write(chart.tools(), folder)
    return folder
