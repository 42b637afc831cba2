"""sluice kinds: everything a configuration can name: scores, policies, reservoirs, models ...

sluice kinds
sluice kinds scores
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
}


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="?", choices=sorted(PACKAGES), help="one folder only")


def run(arguments: argparse.Namespace, console: Console) -> int:
    rows = []
    for what, package in PACKAGES.items():
        if arguments.what in (None, what):
            rows += [(what, kind, _summary(package, kind)) for kind in kinds.names(package)]
    console.table(("what", "kind", "summary"), rows)
    return EXIT_OK


def _summary(package: str, kind: str) -> str:
    """The first line of the file's docstring; the file is not imported."""
    path = Path(__file__).parents[2].joinpath(*package.split("."), f"{kind}.py")
    document = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return document.split("\n\n", maxsplit=1)[0].replace("\n", " ")
