"""A real server takes every object that the chart renders, and would run every pod of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.helm.chart import VALUES, manifests, pods
from tests.kube.cluster import Namespace, surroundings

each_values = pytest.mark.parametrize("values", VALUES, ids=lambda path: str(path.stem))


@pytest.fixture(autouse=True)
def _surroundings() -> None:
    surroundings()


@each_values
def test_the_server_takes_every_object(namespace: Namespace, values: Path) -> None:
    found = manifests(values, "--namespace", namespace.name)
    namespace.apply(*(each for each in found if each["kind"] == "ServiceAccount"))  # pods want it
    said = namespace.kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump_all(found)
    )
    assert len(said.splitlines()) == len(found)


@each_values
def test_restricted_admits_every_pod(namespace: Namespace, values: Path) -> None:
    """Of a workload that it refuses the server only warns, so pods are sent by themselves."""
    for number, (name, spec) in enumerate(pods(manifests(values))):
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"pod-{number}"},
            "spec": spec | {"serviceAccountName": "default"},
        }
        sent = yaml.safe_dump(manifest)
        said = namespace.kubectl("create", "--dry-run=server", "-f", "-", stdin=sent)
        assert "created (server dry run)" in said, name
