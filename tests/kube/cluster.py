"""The cluster beside which these tests run, as `.ci/cluster` has made it."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CLUSTER = os.environ.get("CLUSTER", "")  # its folder; empty where there is none
HOST = "10.244.0.1"  # where pods reach what listens beside the cluster
IMAGE = "localhost/sluice:test"
USER = 10001  # of the image
SECONDS = 240
Manifest = dict[str, Any]
RESTRICTED: Mapping[str, Any] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def run(*command: str | Path, stdin: str | None = None, check: bool = True) -> str:
    """Standard output, with what went wrong behind it where that is allowed."""
    made = subprocess.run(
        list(map(str, command)),
        input=stdin, capture_output=True, text=True, timeout=SECONDS + 60, check=False,
    )  # fmt: skip
    if check:
        assert made.returncode == 0, f"{command[:4]}: {made.stderr[-4000:]}{made.stdout[-2000:]}"
        return made.stdout
    return made.stdout + made.stderr


class Namespace:
    """A namespace of one test, under Pod Security "restricted"."""

    def __init__(self, name: str) -> None:
        self.name = name
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        )
        # the token controller makes it; a pod before it would be refused
        self.kubectl("wait", "--for=create", "serviceaccount/default", f"--timeout={SECONDS}s")

    def delete(self) -> None:
        """All of it, soon."""
        run("kubectl", "delete", "namespace", self.name, "--wait=false")
        run("kubectl", "delete", "persistentvolume", f"--selector=of={self.name}", "--wait=false")

    def kubectl(self, *arguments: str | Path, stdin: str | None = None, check: bool = True) -> str:
        return run("kubectl", "--namespace", self.name, *arguments, stdin=stdin, check=check)

    def helm(self, *arguments: str | Path, check: bool = True) -> str:
        return run("helm", "--namespace", self.name, *arguments, check=check)

    def apply(self, *manifests: Manifest) -> None:
        """Unknown fields are errors."""
        for manifest in manifests:
            self.kubectl("apply", "--validate=strict", "-f", "-", stdin=json.dumps(manifest))

    def get(self, *what: str) -> Any:
        return json.loads(self.kubectl("get", *what, "-o", "json"))

    def names(self, kind: str, selector: str = "") -> list[str]:
        found = self.get(kind, f"--selector={selector}")["items"]
        return sorted(item["metadata"]["name"] for item in found)

    def wait(self, what: str, condition: str) -> None:
        """As `kubectl wait`; says what the cluster thinks where it does not come."""
        try:
            self.kubectl("wait", what, f"--for={condition}", f"--timeout={SECONDS}s")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.state()}") from None

    def state(self) -> str:
        """Of all pods, for whoever reads a failure."""
        parts = [self.kubectl("get", "pods,jobs", "-o", "wide", check=False)]
        parts.append(self.kubectl("get", "events", "--sort-by=.lastTimestamp", check=False)[-4000:])
        logs = ("logs", "--all-containers", "--tail=20")
        parts += [self.kubectl(*logs, name, check=False) for name in self.names("pods")]
        return "\n".join(parts)

    def secret(self, name: str, **data: str) -> None:
        metadata = {"name": name}
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})

    def folder(self, name: str) -> Path:
        """Of a volume of this namespace; of all of them, for ""."""
        folder = Path(CLUSTER) / "volumes" / self.name / name
        folder.parent.mkdir(parents=True, exist_ok=True)
        return folder

    def volume(self, name: str) -> Path:
        """A claim `name` that many pods may mount, and its folder on this machine."""
        folder = self.folder(name)
        folder.mkdir()
        owned(folder)
        capacity, modes = {"storage": "1Gi"}, ["ReadWriteMany"]
        unique = {"name": f"{self.name}-{name}", "labels": {"of": self.name}}
        self.apply(
            {
                "apiVersion": "v1", "kind": "PersistentVolume", "metadata": unique,
                "spec": {"capacity": capacity, "accessModes": modes, "storageClassName": "",
                         "hostPath": {"path": str(folder)},
                         "claimRef": {"namespace": self.name, "name": name}},
            },
            {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
                "spec": {"accessModes": modes, "storageClassName": "", "volumeName": unique["name"],
                         "resources": {"requests": capacity}},
            },
        )  # fmt: skip
        return folder

    def run(
        self, name: str, *arguments: str, claim: str = "", command: tuple[str, ...] = ()
    ) -> tuple[int, str]:
        """Run sluice (or `command`) in a pod to its end: exit code and output."""
        self.apply(pod(name, *arguments, claim=claim, command=command))
        ended = "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}"
        self.wait(f"pod/{name}", ended)
        status = self.get("pod", name)["status"]["containerStatuses"][0]["state"]
        return status["terminated"]["exitCode"], self.kubectl("logs", name)


def pod(name: str, *arguments: str, claim: str = "", command: tuple[str, ...] = ()) -> Manifest:
    """A pod that "restricted" admits, with a claim at /data."""
    mounts, volumes = [{"name": "tmp", "mountPath": "/tmp"}], [{"name": "tmp", "emptyDir": {}}]
    if claim:
        mounts.append({"name": "data", "mountPath": "/data"})
        volumes.append({"name": "data", "persistentVolumeClaim": {"claimName": claim}})
    container: Manifest = {
        "name": "sluice", "image": IMAGE, "imagePullPolicy": "Never", "args": list(arguments),
        "securityContext": dict(RESTRICTED), "volumeMounts": mounts,
    }  # fmt: skip
    if command:
        container["command"] = list(command)
    security = {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"restartPolicy": "Never", "automountServiceAccountToken": False,
                 "securityContext": security, "containers": [container], "volumes": volumes},
    }  # fmt: skip


def owned(folder: Path) -> None:
    """Give all of a folder to the user of the image."""
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, USER, USER)


@functools.cache
def surroundings() -> None:
    """What the values of the chart's trials expect of a cluster: CRDs, and two classes."""
    made = Path(run(Path(__file__).resolve().parents[2] / ".ci" / "helm").strip())
    names = ("servicemonitors", "prometheusrules", "scaledobjects")
    for path in (found for name in names for found in (made / "crds").glob(f"*_{name}.yaml")):
        run("kubectl", "apply", "--server-side", "-f", path)
    run("kubectl", "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    run("kubectl", "create", "priorityclass", "batch", "--value=1")
    sandbox = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "handler": "runsc"}
    run(
        "kubectl", "create", "-f", "-", stdin=json.dumps(sandbox | {"metadata": {"name": "gvisor"}})
    )
