"""The tree as the house rules see it: modules, what they import, what they call. Nothing runs."""

from __future__ import annotations

import ast
import builtins
import fnmatch
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("buffers", "daemon", "scoring")


class Import(NamedTuple):
    """`target` is as long as a module of ours, or as written for others' modules."""

    target: str
    line: int


@dataclass(frozen=True)
class Module:
    """A source file. `name` is dotted; packages are named without `__init__`."""

    name: str
    path: Path
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        return tuple(ast.walk(self.tree))

    @property
    def lines(self) -> int:
        return self.source.count("\n")

    def place(self, line: int = 1) -> str:
        """Where an editor finds it."""
        inside = self.path.is_relative_to(ROOT)
        return f"{self.path.relative_to(ROOT) if inside else self.path}:{line}"

    @cached_property
    def names(self) -> dict[str, str]:
        """What a name at hand stands for: `np` -> numpy, `Path` -> pathlib.Path."""
        found: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    root = alias.name.split(".", maxsplit=1)[0]
                    found[alias.asname or root] = alias.name if alias.asname else root
            elif isinstance(node, ast.ImportFrom) and not node.level:
                for alias in node.names:
                    found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        return found

    def dotted(self, node: ast.expr) -> str:
        """`np.random.rand` -> numpy.random.rand, `open` -> builtins.open; "" for what is ours."""
        if isinstance(node, ast.Name):
            built_in = f"builtins.{node.id}" if hasattr(builtins, node.id) else ""
            return self.names.get(node.id, built_in)
        if isinstance(node, ast.Attribute) and (before := self.dotted(node.value)):
            return f"{before}.{node.attr}"
        return ""

    def uses(self) -> Iterator[tuple[str, int]]:
        """Every dotted name that the code imports or reads, resolved, with its line."""
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((f"{node.module}.{a.name}", node.lineno) for a in node.names)
            elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
                yield self.dotted(node), node.lineno


def imports(module: Module, ours: Iterable[str]) -> list[Import]:
    """What a module imports anywhere in it: late and type-checking imports count as well."""
    known = set(ours)
    found = []
    for node in module.nodes:
        if isinstance(node, ast.Import):
            found += [Import(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                target = whole if whole in known else str(node.module)
                found.append(Import(target, node.lineno))
    return found


def read(path: Path, root: Path = ROOT) -> Module:
    """One file of the tree."""
    parts = path.relative_to(root).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(name, path, path.read_text(encoding="utf-8"))


def product() -> list[Module]:
    """Every module that is installed."""
    files = (path for folder in PRODUCT for path in (ROOT / folder).rglob("*.py"))
    return [read(path) for path in sorted(files)]


def everything() -> list[Module]:
    """The product, its tests and the tools beside them."""
    tests = [read(path) for path in sorted((ROOT / "tests").rglob("*.py"))]
    tools = [read(path) for path in sorted((ROOT / "requirements").glob("*.py"))]
    return [*product(), *tests, *tools]


def covers(pattern: str, name: str) -> bool:
    """`daemon.stores` covers itself and all inside it; `scoring.models.onnx*` is a glob."""
    return fnmatch.fnmatchcase(name, pattern) or name.startswith(f"{pattern}.")


def covering(patterns: Iterable[str], name: str) -> str:
    """The longest pattern that covers `name`, "" if none does."""
    return max((p for p in patterns if covers(p, name)), key=len, default="")
