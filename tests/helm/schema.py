"""The daemon's own schema inside the schema of the chart's values: one truth about the policy.

`python -m tests.helm.schema` writes it there after a change of the policy.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from daemon.config import explain
from daemon.kafka.settings import Client
from tests.house.tree import ROOT

PATH = ROOT / "helm" / "sluice" / "values.schema.json"
SECTIONS = ("Announcements", "Client", "DeadLetters", "Policy", "Process", "Stream")
LEFT_OUT = ("default", "title")  # some defaults depend on the Python that writes them


def definitions() -> dict[str, Any]:
    """The sections and all that they refer to."""
    source = explain.schema()["$defs"] | msgspec.json.schema(Client)["$defs"]
    found: dict[str, Any] = {}
    wanted = list(SECTIONS)
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = _without_defaults(source[name])
            wanted += _references(found[name])
    return dict(sorted(found.items()))


def _without_defaults(schema: Any, *, names: bool = False) -> Any:
    """`names`: the keys are names of fields, of which one may be called like what is left out."""
    if isinstance(schema, list):
        return [_without_defaults(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_defaults(value, names=key == "properties" and not names)
        for key, value in schema.items()
        if names or key not in LEFT_OUT
    }


def _references(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [name for item in schema for name in _references(item)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"].rpartition("/")[2]] if isinstance(schema.get("$ref"), str) else []
    return [*own, *(name for value in schema.values() for name in _references(value))]


def main() -> None:
    schema = json.loads(PATH.read_text(encoding="utf-8"))
    schema["$defs"] = definitions()
    PATH.write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
