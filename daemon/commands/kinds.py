"""sluice kinds: everything a configuration can name: scores, policies, reservoirs, models ...

    sluice kinds
    sluice kinds scores

Options are listed with their defaults; what they mean stands in the file of the kind. Of scores
alone, also what each needs, what it costs and which paper it is from: those of one forward pass
first, then those that run all m checkpoints of an edition's history (m forward passes a text), then
those that run backward under each.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Mapping
from pathlib import Path

from daemon.console import Console
from daemon.ports import EXIT_OK
from scoring import kinds
from scoring.catalogue import catalogue

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
    if arguments.what == "scores":
        console.table(("score", "options", "needs", "cost", "source", "summary"), _scores())
        return EXIT_OK
    rows = []
    for what, package in PACKAGES.items():
        if arguments.what in (None, what):
            rows += [(what, kind, *told(package, kind)) for kind in kinds.names(package)]
    console.table(("what", "kind", "options", "summary"), rows)
    return EXIT_OK


def _scores() -> list[tuple[str | None, ...]]:
    """The catalogue, which imports the files of all scores: they need numpy only."""
    return [
        (e.name, told(PACKAGES["scores"], e.name)[0], ", ".join(e.needs) or None, e.cost, e.source,
         e.summary)
        for e in catalogue()
    ]  # fmt: skip


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
