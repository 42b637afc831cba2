"""Prometheus and its tools as they are installed; tests that need them fail without."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.house.tree import ROOT

HOW = "apt-get install --no-install-recommends prometheus"
RULES = ROOT / "helm" / "sluice" / "files" / "rules.yaml"
PAGE = ROOT / "docs" / "metrics.md"
DASHBOARD = ROOT / "helm" / "sluice" / "files" / "dashboard.json"


def tool(name: str) -> str:
    """The path of `prometheus` or `promtool`."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"this test runs the real {name}; install it: {HOW}")
    return found


def promtool(*arguments: str, data: bytes = b"") -> tuple[int, str]:
    """(exit code, all that it said); warnings of `check metrics` are an exit code too."""
    done = subprocess.run(
        [tool("promtool"), *arguments], input=data, capture_output=True, check=False
    )
    return done.returncode, (done.stdout + done.stderr).decode()


class Prometheus:
    """A server that scrapes one target, asked over its API."""

    def __init__(self, address: str) -> None:
        self._address = address

    def ask(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer. Raises HTTPError for a query that is none."""
        query = urllib.parse.urlencode(parameters)
        url = f"http://{self._address}/api/v1/{path}?{query}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            body = json.load(answer)
        assert body["status"] == "success", body
        return body["data"]

    def instant(self, query: str) -> list[dict[str, Any]]:
        """Samples of an instant query, at the server's own time."""
        result = self.ask("query", query=query)["result"]
        return list(result) if isinstance(result, list) else []


@contextmanager
def prometheus(folder: Path, target: int, interval: str) -> Iterator[Prometheus]:
    """A server of our own on a port of its choice; `target` is the port that it scrapes."""
    config = folder / "prometheus.yml"
    config.write_text(
        f"global: {{scrape_interval: {interval}, evaluation_interval: {interval}}}\n"
        f"rule_files: [{RULES}]\n"
        "scrape_configs:\n"
        "- job_name: sluice\n"
        f"  static_configs: [{{targets: ['127.0.0.1:{target}'], labels: {{namespace: demo}}}}]\n"
    )
    arguments = [
        tool("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0", "--log.format=json",
    ]  # fmt: skip
    with subprocess.Popen(arguments, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        try:
            yield Prometheus(_address(process.stderr))
        finally:
            process.kill()


def _address(log: Any) -> str:
    """Where it listens, as it says itself once it is ready."""
    address = ""
    for line in log:
        said = json.loads(line)
        if said.get("component") == "web" and "address" in said:
            address = said["address"]
        if "ready to receive web requests" in said.get("msg", ""):
            return address
    pytest.fail("Prometheus ended before it was ready")
