"""JSON schemas for kubeconform from what Kubernetes publishes of itself: OpenAPI v3 and CRDs.

Both describe objects loosely; here a field that they do not name is an error, as a typing mistake
in a manifest is otherwise dropped by the server without a word.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

APIS = (  # of what the chart renders
    "api__v1", "apis__apps__v1", "apis__batch__v1", "apis__networking.k8s.io__v1",
    "apis__policy__v1",
)  # fmt: skip
GROUP = "x-kubernetes-group-version-kind"
OPEN = "x-kubernetes-preserve-unknown-fields"
Schema = dict[str, Any]


def write(tools: Path, out: Path) -> None:
    """A file `kind-group-version.json` for each kind, as kubeconform names them."""
    for name, schema in (*_core(tools / "openapi"), *_custom(tools / "crds")):
        (out / f"{name}.json").write_text(json.dumps(schema), encoding="utf-8")


def _core(folder: Path) -> Iterator[tuple[str, Schema]]:
    for api in APIS:
        document = json.loads((folder / f"{api}_openapi.json").read_text(encoding="utf-8"))
        schemas = {name: _closed(s) for name, s in document["components"]["schemas"].items()}
        _say_what_is_left_unsaid(schemas)
        for name, schema in schemas.items():
            for kind in schema.get(GROUP, ()):
                whole = {
                    "$ref": f"#/components/schemas/{name}",
                    "components": {"schemas": schemas},
                }
                yield _file(kind["kind"], kind["group"], kind["version"]), whole


def _say_what_is_left_unsaid(schemas: dict[str, Schema]) -> None:
    """A quantity may be written as a number, and a port or percentage as either."""
    schemas["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {"type": ["string", "number"]}
    schemas["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] = {"type": ["string", "integer"]}


def _custom(folder: Path) -> Iterator[tuple[str, Schema]]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path in sorted(folder.glob("*s.yaml")):
        if not path.stem.endswith(("_servicemonitors", "_prometheusrules", "_scaledobjects")):
            continue
        definition = yaml.load(path.read_text(encoding="utf-8"), loader)["spec"]
        for version in definition["versions"]:
            schema = _closed(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            name = _file(definition["names"]["kind"], definition["group"], version["name"])
            yield name, schema


def _file(kind: str, group: str, version: str) -> str:
    """The {{.ResourceKind}}{{.KindSuffix}} of kubeconform: first label of the group only."""
    parts = [kind, *([group.split(".", maxsplit=1)[0]] if group else []), version]
    return "-".join(parts).lower()


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _closed(value) for key, value in schema.items()}
    named = isinstance(made.get("properties"), dict) and made.get("type") == "object"
    if named and not made.get(OPEN) and "additionalProperties" not in made:
        made["additionalProperties"] = False
    if made.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
    return made
