"""The rules of the house. Each takes a module and gives its faults: place, what, and the remedy."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter

from tests.house import plan
from tests.house.tree import PRODUCT, Import, Module, covering, covers, imports

FLOOR_OF = {pattern: floor for floor in plan.FLOORS for pattern in floor.modules}
READ_ONLY = ("Mapping", "Sequence", "Collection", "Set", "AbstractSet", "Final")
MUTABLE = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)


def floors(module: Module, known: Iterable[str]) -> Iterator[str]:
    """Every module has a floor; imports go down, or stay on it."""
    if module.name in PRODUCT:
        return
    mine = FLOOR_OF.get(covering(FLOOR_OF, module.name))
    if mine is None:
        yield f"{module.place()}: stands on no floor. Add it to FLOORS in tests/house/plan.py"
        return
    for target, line in imports(module, known):
        theirs = FLOOR_OF.get(covering(FLOOR_OF, target))
        if theirs is None or theirs == mine or theirs.height < mine.height:
            continue
        yield (
            f"{module.place(line)}: {module.name} ({mine.name}) imports {target} ({theirs.name}). "
            "Imports go down only: move what both need to a lower floor, or pass it as an argument"
        )


def circles(modules: Iterable[Module], known: Iterable[str]) -> Iterator[str]:
    """No module leads back to itself: each can be read, and moved, without the other."""
    names = set(known)
    leads = {m.name: {i.target for i in imports(m, names)} & names - {m.name} for m in modules}
    try:
        TopologicalSorter(leads).prepare()
    except CycleError as error:
        path = " <- ".join(error.args[1])
        yield f"{path}: import one another in a circle. Move what both need into a third module"


def owners(module: Module) -> Iterator[str]:
    """Each library of others is imported by its owner alone."""
    for target, line in imports(module, ()):
        root = target.split(".", maxsplit=1)[0]
        if root in PRODUCT or root in sys.stdlib_module_names:
            continue
        library = covering([owner.library for owner in plan.OWNERS], target)
        owner = next((owner for owner in plan.OWNERS if owner.library == library), None)
        if owner is None:
            yield f"{module.place(line)}: {root} has no owner. Name one in tests/house/plan.py"
        elif not covering(owner.modules, module.name):
            yield (
                f"{module.place(line)}: {library} belongs to {', '.join(owner.modules)}. "
                "Ask the owner for what you need, in words of ours"
            )


def world(module: Module) -> Iterator[str]:
    """Clock, randomness, environment, network and processes have few doors."""
    for name, line in module.uses():
        pattern = covering(plan.WORLD, name)
        if pattern:
            doors, remedy = plan.WORLD[pattern]
            if not covering(doors, module.name):
                yield f"{module.place(line)}: {pattern} is banned here. Instead: {remedy}"


def writers(module: Module) -> Iterator[str]:
    """Files are opened for writing by few."""
    if covering(plan.WRITERS, module.name):
        return
    for node in calls(module):
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if method in ("write_text", "write_bytes") or set(_mode(module, node)) & set("wxa+"):
            yield (
                f"{module.place(node.lineno)}: writes a file. Durable writes are Store.create "
                "(law 6); for others see WRITERS in tests/house/plan.py"
            )


def _mode(module: Module, node: ast.Call) -> str:
    """The mode that a call opens a file in; "" for a call that opens none."""
    name = module.dotted(node.func)
    if name == "os.open":
        flags = " ".join(map(ast.unparse, node.args[1:2]))
        return "w" if any(flag in flags for flag in ("O_WRONLY", "O_RDWR", "O_CREAT")) else "r"
    if name in ("builtins.open", "io.open"):
        given = node.args[1:2]
    elif isinstance(node.func, ast.Attribute) and node.func.attr == "open":
        given = node.args[:1]
    else:
        return ""
    given += [keyword.value for keyword in node.keywords if keyword.arg == "mode"]
    values = [value.value for value in given if isinstance(value, ast.Constant)]
    return next((value for value in values if isinstance(value, str)), "r")


def purity(module: Module, known: Iterable[str]) -> Iterator[str]:
    """The core does no I/O, starts no thread, and imports only what is as pure."""
    if not covering(plan.PURE, module.name):
        return
    remedy = "The core takes values and returns effects: do this on the edge and pass the result"
    for name, line in module.uses():
        if banned := covering(plan.IMPURE_IMPORTS, name):
            yield f"{module.place(line)}: {banned} in the pure core. {remedy}"
    for node in calls(module):
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        called = module.dotted(node.func)
        if called in plan.IMPURE_CALLS or method in plan.IMPURE_METHODS:
            yield f"{module.place(node.lineno)}: {called or method}() in the pure core. {remedy}"
    for target, line in imports(module, known):
        ours = target.split(".", maxsplit=1)[0] in PRODUCT and target not in PRODUCT
        if ours and not covering((*plan.PURE, *plan.PURE_MAY_IMPORT), target):
            yield (
                f"{module.place(line)}: {module.name} is pure and imports {target}, which is not. "
                "Move the pure half of it into a module of PURE in tests/house/plan.py"
            )


def sums(module: Module) -> Iterator[tuple[str, str, int]]:
    """(expression, what is wrong with it, line): floats that are added, library logarithms."""
    for node in module.nodes:
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.MatMult):
            yield ast.unparse(node), "adds floats in an order that the CPU chooses", node.lineno
    for node in calls(module):
        name = module.dotted(node.func)
        last = node.func.attr if isinstance(node.func, ast.Attribute) else name
        last = last.rpartition(".")[2]
        library = name.startswith(("math.", "numpy.", "builtins."))
        if last in plan.LOGARITHMS and library:
            yield ast.unparse(node), "has other last bits on other CPUs", node.lineno
        integers = any(k.arg == "dtype" and "int" in ast.unparse(k.value) for k in node.keywords)
        adds = last in plan.SUMMING and (library or isinstance(node.func, ast.Attribute))
        if adds and not integers:
            yield ast.unparse(node), "may add floats in an order that varies", node.lineno


def exactness(module: Module) -> Iterator[str]:
    """Integers decide (law 7)."""
    if not covering(plan.PURE, module.name):
        return
    for expression, fault, line in sums(module):
        if (module.name, expression) not in plan.SUMS:
            yield (
                f"{module.place(line)}: `{expression}` {fault}. Add integers (dtype=np.int64), use "
                "scoring.rows.row_sums, buffers.exact, or say in SUMS of tests/house/plan.py why "
                "these are integers"
            )


def length(module: Module) -> Iterator[str]:
    """One noun, one file: short enough to be read whole."""
    most = plan.TEST_LINES if module.name.startswith("tests") else plan.LINES
    if module.lines > most:
        yield f"{module.place()}: {module.lines} lines, at most {most}. Split it by its nouns"
    for node in module.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > plan.FUNCTION_LINES:
                yield (
                    f"{module.place(node.lineno)}: {node.name} has {lines} lines, at most "
                    f"{plan.FUNCTION_LINES}. Give its steps names"
                )


def blind(module: Module) -> Iterator[str]:
    """Errors are named by what the caller does; only the loop and main take all."""
    if module.name in plan.BLIND:
        return
    for node in module.nodes:
        if isinstance(node, ast.ExceptHandler):
            caught = "" if node.type is None else ast.unparse(node.type)
            if not caught or {"Exception", "BaseException"} & set(caught.strip("()").split(", ")):
                yield (
                    f"{module.place(node.lineno)}: catches everything. Name the errors; those of "
                    "ports (Retry, Fatal, Missing) reach the loop by themselves"
                )


def words(module: Module) -> Iterator[str]:
    """A name says what is inside."""
    if set(module.name.lower().split(".")) & set(plan.VAGUE_NAMES):
        yield f"{module.place()}: names no noun. Call it what it holds"
    for node in module.nodes:
        if isinstance(node, ast.ClassDef) and node.name.endswith(("Manager", "Helper", "Utils")):
            yield f"{module.place(node.lineno)}: {node.name}: say what it does, not that it does"
    if module.source.strip() and ast.get_docstring(module.tree) is None:
        yield f"{module.place()}: no docstring. Its first line is what the folder's menu shows"


def state(module: Module) -> Iterator[str]:
    """No module remembers: tables are read-only for mypy, and nothing is rebound."""
    for node in module.nodes:
        if isinstance(node, ast.Global):
            yield f"{module.place(node.lineno)}: global. Keep state in an object that is passed"
    for node in module.tree.body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        name = target.id if isinstance(target, ast.Name) else ""
        made = isinstance(value, ast.Call) and module.dotted(value.func).removeprefix(
            "builtins."
        ) in ("list", "dict", "set", "bytearray", "collections.defaultdict", "collections.deque")
        if name == "__all__" or not (isinstance(value, MUTABLE) or made):
            continue
        annotation = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else ""
        if annotation.split("[", maxsplit=1)[0].rpartition(".")[2] not in READ_ONLY:
            yield (
                f"{module.place(node.lineno)}: {name} can be changed. Annotate it as Mapping, "
                "Sequence or Set (mypy refuses writes then), or make it a tuple or frozenset"
            )


def calls(module: Module) -> Iterator[ast.Call]:
    return (node for node in module.nodes if isinstance(node, ast.Call))


def idle(modules: list[Module]) -> Iterator[str]:
    """Lines of the plan that name nothing any more."""
    names = [module.name for module in modules]
    listed = [pattern for floor in plan.FLOORS for pattern in floor.modules]
    listed += [*plan.PURE, *plan.WRITERS, *plan.PURE_MAY_IMPORT, *plan.BLIND, *plan.KINDS]
    listed += [m for owner in plan.OWNERS for m in owner.modules]
    listed += [m for doors, _ in plan.WORLD.values() for m in doors]
    for pattern in dict.fromkeys(listed):
        if not any(covers(pattern, name) for name in names):
            yield f"tests/house/plan.py: {pattern} names no module. Remove or rename the line"
    used = {(target, m.name) for m in modules for target, _ in _all_imports(m)}
    for owner in plan.OWNERS:
        for pattern in owner.modules:
            if not any(
                covers(owner.library, target) and covers(pattern, name) for target, name in used
            ):
                yield f"tests/house/plan.py: {pattern} does not import {owner.library}. Remove it"
    found = {(m.name, e) for m in modules if covering(plan.PURE, m.name) for e, _, _ in sums(m)}
    for module_name, expression in plan.SUMS:
        if (module_name, expression) not in found:
            yield f"tests/house/plan.py: {module_name} has no `{expression}`. Remove the line"


def _all_imports(module: Module) -> list[Import]:
    return imports(module, ())
