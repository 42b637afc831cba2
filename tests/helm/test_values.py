"""Values that a release cannot run with are refused before anything is installed, in words."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import pytest
import yaml

from tests.helm import readme, schema
from tests.helm.chart import CHART, refusal
from tests.house.tree import ROOT

REFUSED = {  # JSON assignment -> what the message must hold
    "replicaCount=2": "additional properties 'replicaCount' not allowed",
    'image={"tga": "1"}': "additional properties 'tga' not allowed",
    'image={"digest": "sha256:12"}': "at '/image/digest'",
    'image={"pullPolicy": "Sometimes"}': "at '/image/pullPolicy'",
    'replicas="2"': "at '/replicas': got string, want integer",
    "replicas=-1": "at '/replicas': minimum",
    "kafka=[]": "got array, want object",
    'kafka={"bootstrap": "kafka:9092"}': "at '/kafka/bootstrap': got string, want array",
    'kafka={"bootstrap": ["kafka"]}': "at '/kafka/bootstrap/0'",
    "kafka.bootstrap=[]": "kafka.bootstrap: is empty",
    "kafka.topics=[]": "kafka.topics: is empty",
    'kafka={"topics": ["a", "a"]}': "at '/kafka/topics'",
    'kafka={"topics": ["a b"]}': "at '/kafka/topics/0'",
    'kafka.security.protocol="TLS"': "at '/kafka/security/protocol'",
    'kafka.security.password="x"': "additional properties 'password' not allowed",
    'kafka.security.caKey="ca.crt"': "kafka.security.existingSecret: is empty; name the secret",
    'kafka.client={"session_timeout_ms": 1}': "at '/kafka/client/session_timeout_ms': minimum",
    'http={"port": 1}': "additional properties 'port' not allowed",
    'store={"kind": "memory"}': "at '/store/kind'",
    'store.bucket.url=""': "store.bucket.url: is empty",
    'store={"bucket": {"url": "https://bucket"}}': "at '/store/bucket/url'",
    'store.bucket.existingSecret="a"': "store.bucket.credentials: is empty",
    'store={"bucket": {"credentials": {"token": 5}}}': "at '/store/bucket/credentials/token'",
    'store={"local": {"accessModes": []}}': "at '/store/local/accessModes'",
    'store={"local": {"size": "big"}}': "at '/store/local/size'",
    'keys.existingSecret=""': "keys.existingSecret: is empty",
    'keys={"existingSecret": "No_Name"}': "at '/keys/existingSecret'",
    'keys={"file": "/key"}': "additional properties 'file' not allowed",
    'stream={"period": "5 minutes"}': "at '/stream/period'",
    'stream={"graze": 1}': "additional properties 'graze' not allowed",
    'process={"threads": 0}': "at '/process/threads'",
    'process={"http": {"port": 1}}': "at '/process'",
    'policy={"capacity": 1}': "additional properties 'capacity' not allowed",
    'policy={"capacity_rows": 0}': "at '/policy/capacity_rows': minimum",
    'policy={"groups": {"by": ["user"]}}': "at '/policy/groups/by/0'",
    'policy={"quarantine": {"cap": 1.5}}': "at '/policy/quarantine/cap'",
    'publish={"enabled": true}': "publish.volume: is empty",
    'publish={"enabled": true, "volume": {"emptyDir": {}}}': "publish.checkpoint: is empty",
    'publish={"checkpoint": "../x"}': "at '/publish/checkpoint'",
    'publish={"checkpoint": "/abs"}': "at '/publish/checkpoint'",
    'publish={"history": "models/1,models/2"}': "at '/publish/history': got string, want array",
    'publish={"history": ["models/1", "../x"]}': "at '/publish/history/1'",
    'publish={"history": ["models/1,models/2"]}': "at '/publish/history/0'",
    'publish={"history": ["models/1", "models/1"]}': "at '/publish/history'",
    'publish={"reference": "../x"}': "at '/publish/reference'",
    "startupSeconds=1": "at '/startupSeconds': minimum",
    "terminationGracePeriodSeconds=0": "at '/terminationGracePeriodSeconds': minimum",
    'resources={"limit": {}}': "additional properties 'limit' not allowed",
    'tmpSize="1 GB"': "at '/tmpSize'",
    'networkPolicy={"enabled": true}': "networkPolicy.egress: is empty",
    'serviceMonitor={"interval": "30 seconds"}': "at '/serviceMonitor/interval'",
    'keda={"enabled": true, "minReplicas": 0}': "at '/keda/minReplicas': minimum",
    'keda={"lagThreshold": "50"}': "at '/keda/lagThreshold': got string, want integer",
    'podLabels={"a": 1}': "at '/podLabels/a': got number, want string",
    'extraEnv={"A": "b"}': "at '/extraEnv': got object, want array",
}


@pytest.mark.parametrize(("assignment", "message"), REFUSED.items())
def test_bad_values_are_refused_by_name(assignment: str, message: str) -> None:
    assert message in refusal(assignment)


def test_refusals_say_what_to_do() -> None:
    for assignment in ("kafka.bootstrap=[]", 'keys.existingSecret=""'):
        told = refusal(assignment)
        assert "; " in told.partition("is empty")[2], told


def test_the_schema_is_closed_and_knows_every_value() -> None:
    """A value without a schema would be taken in any form; a schema without a value is a rest."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    found = json.loads(schema.PATH.read_text(encoding="utf-8"))
    compare(values, found, found["$defs"], "")


def compare(values: dict[str, Any], found: dict[str, Any], defs: dict[str, Any], path: str) -> None:
    """Each mapping of the defaults has its schema, closed, with the same names."""
    assert found["additionalProperties"] is False, f"{path} is open"
    names = set(found["properties"]) - {"global"}
    assert set(values) == names, f"{path}: {set(values) ^ names}"
    for name, value in values.items():
        inner = found["properties"][name]
        if isinstance(value, dict) and "properties" in inner and name != "resources":
            compare(value, inner, defs, f"{path}/{name}")


def test_the_policy_in_the_schema_is_the_policy_of_the_daemon() -> None:
    found = json.loads(schema.PATH.read_text(encoding="utf-8"))["$defs"]
    assert found == schema.definitions(), "run: python -m tests.helm.schema"


def test_the_readme_tells_of_every_value() -> None:
    assert readme.PATH.read_text(encoding="utf-8") == readme.text(), (
        "run: python -m tests.helm.readme"
    )
    for path, _, words in readme.rows():
        assert words, f"values.yaml says nothing about {path}"


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    image = re.search(r"^ARG VERSION=(.*)$", dockerfile, re.MULTILINE)
    assert image is not None
    assert project["version"] == chart["appVersion"] == image[1]
