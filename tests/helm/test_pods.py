"""Every pod of every release fits Pod Security "restricted", and writes to its volumes alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helm.chart import CHART, VALUES, Manifest, containers, manifests, one, pods, render

VOLUMES = {  # that "restricted" allows
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
    "projected", "secret",
}  # fmt: skip
each_values = pytest.mark.parametrize("values", VALUES, ids=lambda path: str(path.stem))


@each_values
def test_restricted(values: Path) -> None:
    for name, spec in pods(manifests(values)):
        for fault in faults(spec):
            pytest.fail(f"{name}: {fault}", pytrace=False)


def faults(spec: Manifest) -> list[str]:
    """What "restricted" asks for and the pod lacks, and what it has beside it."""
    found = []
    pod = spec["securityContext"]
    if pod.get("runAsNonRoot") is not True or pod.get("runAsUser", 0) < 10_000:
        found.append("runs as root, or as a user that the host may know")
    if pod.get("seccompProfile") != {"type": "RuntimeDefault"}:
        found.append("has no seccomp profile")
    if spec.get("automountServiceAccountToken") is not False:
        found.append("is given a token that it does not need")
    found += [f"asks for {key}" for key in ("hostNetwork", "hostPID", "hostIPC") if key in spec]
    for volume in spec["volumes"]:
        found += [f"mounts a {kind}" for kind in set(volume) - {"name"} - VOLUMES]
    for container in containers(spec):
        own = container["securityContext"]
        if own != {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }:
            found.append(f"{container['name']} may do more than it must")
        found += [f"{container['name']} takes a port of the host"
                  for port in container.get("ports", ()) if "hostPort" in port]  # fmt: skip
    return found


def test_the_check_can_fail() -> None:
    (_, spec), *_ = pods(manifests(VALUES[0]))
    assert not faults(spec)
    spec["containers"][0]["securityContext"]["capabilities"] = {"add": ["NET_RAW"]}
    spec["volumes"].append({"name": "host", "hostPath": {"path": "/"}})
    assert len(faults(spec)) == 2


@each_values
def test_secrets_are_files_that_only_the_group_reads(values: Path) -> None:
    for name, spec in pods(manifests(values)):
        secrets = [volume["secret"] for volume in spec["volumes"] if "secret" in volume]
        assert secrets, f"{name} has no key"
        assert {secret["defaultMode"] for secret in secrets} == {0o440}, name
        for container in containers(spec):
            assert "secretKeyRef" not in str(container.get("env")), name
    assert "kind: Secret" not in render(values), "the chart makes no secret"


@each_values
def test_probes_ask_the_process_alone(values: Path) -> None:
    (workload,) = (m for m in manifests(values) if m["kind"] in {"Deployment", "StatefulSet"})
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 9464}]
    asked = {
        name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")
    }
    assert asked == {
        "startup": {"path": "/livez", "port": "http"},
        "liveness": {"path": "/livez", "port": "http"},
        "readiness": {"path": "/readyz", "port": "http"},
    }


def test_no_pod_may_be_missing_while_a_release_is_waited_for() -> None:
    """`helm --wait` is content with replicas - maxUnavailable: 0 of 1 would do."""
    deployment = one(manifests(CHART / "ci" / "minimal-values.yaml"), "Deployment")
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_a_claim_that_the_release_made_outlives_it() -> None:
    claim = one(manifests(CHART / "ci" / "static-values.yaml"), "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
