"""The image under the strictest Pod Security: what it is, and that a recording gives its shards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.docs import small
from tests.kube.cluster import Namespace, owned, pod

LOOK = """\
import importlib.util
print([name for name in ("pip", "setuptools", "torch") if importlib.util.find_spec(name)])
"""
STATUS = """\
import json, os, pathlib, sys
status = dict(line.split(":\\t") for line in open("/proc/self/status") if ":\\t" in line)
def writable(folder):
    try:
        pathlib.Path(folder, "probe").write_text("")
    except OSError as error:
        return error.strerror
    return "yes"
names = ("Uid", "Gid", "CapEff", "NoNewPrivs", "Seccomp")
found = {name: status[name].split()[0] for name in names}
found |= {folder: writable(folder) for folder in ("/", "/opt/sluice", "/tmp")}
print(json.dumps(found))
"""


def test_help(namespace: Namespace) -> None:
    code, said = namespace.run("help", "--help")
    assert code == 0
    assert "a pure function of the log and the registry" in said.lower().replace("\n", " ")


def test_a_container_has_no_rights_beside_its_own(namespace: Namespace) -> None:
    code, said = namespace.run("rights", "-c", STATUS, command=("/opt/libraries/bin/python",))
    assert code == 0, said
    assert json.loads(said) == {
        "Uid": "10001", "Gid": "10001", "CapEff": "0000000000000000", "NoNewPrivs": "1",
        "Seccomp": "2", "/": "Read-only file system", "/opt/sluice": "Read-only file system",
        "/tmp": "yes",
    }  # fmt: skip


def test_nothing_in_the_image_installs_anything(namespace: Namespace) -> None:
    code, said = namespace.run("installers", "-c", LOOK, command=("/opt/libraries/bin/python",))
    assert (code, said.strip()) == (0, "[]")


def test_restricted_refuses_what_the_image_does_not_need(namespace: Namespace) -> None:
    """The check of the namespace is real: the same pod with one right more does not start."""
    for name, change in (
        ("escalation", {"allowPrivilegeEscalation": True}),
        ("capability", {"capabilities": {"drop": ["ALL"], "add": ["NET_RAW"]}}),
        ("root", {"runAsUser": 0}),
    ):
        manifest = pod(name, "--help")
        manifest["spec"]["containers"][0]["securityContext"] |= change
        said = namespace.kubectl("apply", "-f", "-", stdin=json.dumps(manifest), check=False)
        assert "violates PodSecurity" in said, (name, said)
    assert not namespace.names("pods")


@pytest.fixture
def example(namespace: Namespace, tmp_path: Path) -> Path:
    """The example of README.md on a claim `data`, as pods see it: at /data."""
    folder = namespace.volume("data")
    small.lay_out(folder)
    config = folder / "sluice.yaml"
    config.write_text(config.read_text().replace(f"{folder}/", "/data/"))
    owned(folder)
    return folder


def test_a_recording_gives_shards_that_verify(namespace: Namespace, example: Path) -> None:
    for name, *arguments in (
        ("check", "config", "check", "/data/sluice.yaml"),
        ("publish", "publish", "/data/checkpoint", "--sample", "/data/sample.jsonl",
         "--from", "2024-06-01T00:00Z", "-c", "/data/sluice.yaml"),
        ("run", "run", "-c", "/data/sluice.yaml"),
        ("verify", "verify", "last", "-c", "/data/sluice.yaml"),
    ):  # fmt: skip
        code, said = namespace.run(name, *arguments, claim="data")
        assert code == 0, said
    assert "identical" in said
    assert list((example / "store" / "shards").glob("*/manifest.json"))
