"""sluice kinds: everything a configuration can name: scores, policies, reservoirs, models ...

    sluice kinds
    sluice kinds policies

Options are listed with their defaults; what they mean stands in the file of the kind. What each
score needs and costs says `sluice scores`.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Mapping
from pathlib import Path

from daemon.console import Console
from daemon.ports import EXIT_OK
from scoring import kinds

PACKAGES: Mapping[str, str] = {
    "scores": "scoring.scores",
    "policies": "scoring.policies",
    "models": "scoring.models",
    "reservoirs": "buffers",
    "sources": "daemon.sources",
    "stores": "daemon.stores",
    "outlets": "daemon.outlets",
}


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="?", choices=sorted(PACKAGES), help="one folder only")


def run(arguments: argparse.Namespace, console: Console) -> int:
    rows = []
    for what, package in PACKAGES.items():
        if arguments.what in (None, what):
            rows += [(what, kind, *told(package, kind)) for kind in kinds.names(package)]
    console.table(("what", "kind", "options", "summary"), rows)
    return EXIT_OK


def told(package: str, kind: str) -> tuple[str | None, str]:
    """Options, and the first sentence of the file's docstring; the file is not imported."""
    path = Path(__file__).parents[2].joinpath(*package.split("."), f"{kind}.py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    document = ast.get_docstring(tree) or ""
    options = [
        field.target.id + (f"={ast.unparse(field.value)}" if field.value else "")
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == "Options"
        for field in node.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    ]
    return ", ".join(options) or None, document.split("\n\n", maxsplit=1)[0].replace("\n", " ")
