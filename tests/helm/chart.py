"""The chart, rendered by the real helm and held against the real descriptions of the API."""

from __future__ import annotations

import functools
import json
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.house.tree import ROOT

CHART = ROOT / "helm" / "sluice"
VALUES = tuple(sorted((CHART / "ci").glob("*-values.yaml")))
MINIMAL = CHART / "ci" / "minimal-values.yaml"
EVERYTHING = CHART / "ci" / "everything-values.yaml"
RELEASE = "trial"
Manifest = dict[str, Any]


@functools.cache
def tools() -> Path:
    """The folder of `.ci/helm`: bin/helm, bin/kubeconform, openapi/, crds/."""
    made = subprocess.run(
        [str(ROOT / ".ci" / "helm")], capture_output=True, text=True, check=False, timeout=900
    )
    if made.returncode != 0:
        pytest.fail(f".ci/helm failed: {made.stderr[-2000:]}", pytrace=False)
    return Path(made.stdout.strip())


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run helm; it reaches for no cluster and no repository."""
    command = [str(tools() / "bin" / "helm"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def render(values: Path, *arguments: str) -> str:
    """The manifests of a release with these values, as helm would send them."""
    made = helm("template", RELEASE, CHART, "--namespace", "voice", "-f", values, *arguments)
    assert made.returncode == 0, made.stderr
    return made.stdout


def manifests(values: Path, *arguments: str) -> list[Manifest]:
    """As `render`, read."""
    return [found for found in yaml.safe_load_all(render(values, *arguments)) if found]


def refusal(*sets: str, values: Path = MINIMAL) -> str:
    """What helm says of values that it must refuse."""
    flags = [word for assignment in sets for word in ("--set-json", assignment)]
    made = helm("template", RELEASE, CHART, "-f", values, *flags)
    assert made.returncode != 0, f"helm took {sets}"
    return made.stderr


def one(found: Iterable[Manifest], kind: str) -> Manifest:
    """The only manifest of a kind."""
    (manifest,) = (each for each in found if each["kind"] == kind)
    return manifest


def pods(found: Iterable[Manifest]) -> list[tuple[str, Manifest]]:
    """Name and spec of every pod that the manifests would start."""
    result = []
    for manifest in found:
        name, spec = f"{manifest['kind']}/{manifest['metadata']['name']}", manifest.get("spec", {})
        if manifest["kind"] == "Pod":
            result.append((name, spec))
        elif "template" in spec:
            result.append((name, spec["template"]["spec"]))
    return result


def containers(spec: Manifest) -> list[Manifest]:
    """Those that start first, too."""
    return [*spec.get("initContainers", ()), *spec["containers"]]


def conform(rendered: str, schemas: Path) -> tuple[int, dict[str, Any]]:
    """Exit code and report of kubeconform. A kind without a schema is an error."""
    command = [
        str(tools() / "bin" / "kubeconform"), "-strict", "-summary", "-output", "json",
        "-schema-location", f"{schemas}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json", "-",
    ]  # fmt: skip
    made = subprocess.run(
        command, input=rendered, capture_output=True, text=True, check=False, timeout=60
    )
    return made.returncode, json.loads(made.stdout)


def sets(*assignments: str) -> Sequence[str]:
    """Arguments of helm for JSON assignments."""
    return [word for assignment in assignments for word in ("--set-json", assignment)]
