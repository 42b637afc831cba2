"""The rules of the house, on every file. A failure names the place and the remedy.

The plan (floors, owners, doors) is tests/house/plan.py, the rules are tests/house/rules.py, and
tests/house/test_rules.py shows each of them a fault that it must find.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from itertools import chain

import pytest

from scoring.kinds import names
from tests.house import plan, rules, tree
from tests.house.tree import PRODUCT, ROOT

MODULES = tree.product()
KNOWN = [module.name for module in MODULES]
EVERYTHING = tree.everything()


def none(faults: Iterable[str]) -> None:
    """Fail with one line per fault."""
    found = list(dict.fromkeys(faults))
    if found:
        pytest.fail("\n".join([f"{len(found)} faults", *found]), pytrace=False)


def test_imports_go_down_only() -> None:
    none(fault for module in MODULES for fault in rules.floors(module, KNOWN))


def test_imports_make_no_circle() -> None:
    none(rules.circles(MODULES, KNOWN))


def test_libraries_have_one_owner() -> None:
    none(fault for module in MODULES for fault in rules.owners(module))


def test_libraries_are_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    declared = {re.split(r"[\[<>=;!~ ]", line, maxsplit=1)[0].lower() for line in asked}
    none(
        f"pyproject.toml: {owner.distribution} is imported as {owner.library} and not declared. "
        "Add it to the dependencies, or to the extra of its owner"
        for owner in plan.OWNERS
        if owner.distribution not in declared
    )


def test_clock_chance_and_environment_have_few_doors() -> None:
    none(fault for module in MODULES for fault in rules.world(module))


def test_few_write_files() -> None:
    none(fault for module in MODULES for fault in rules.writers(module))


def test_the_core_is_pure() -> None:
    none(fault for module in MODULES for fault in rules.purity(module, KNOWN))


def test_the_core_adds_integers() -> None:
    none(fault for module in MODULES for fault in rules.exactness(module))


def test_files_and_functions_are_short() -> None:
    none(fault for module in EVERYTHING for fault in rules.length(module))


def test_errors_are_named() -> None:
    none(fault for module in MODULES for fault in rules.blind(module))


def test_names_and_docstrings() -> None:
    none(fault for module in EVERYTHING for fault in rules.words(module))


def test_modules_remember_nothing() -> None:
    none(fault for module in MODULES for fault in rules.state(module))


def test_the_plan_is_of_this_house() -> None:
    none(rules.idle(MODULES))


@pytest.mark.parametrize(("package", "suite"), plan.KINDS.items())
def test_every_folder_of_kinds_has_a_suite_that_walks_it(package: str, suite: str) -> None:
    path = ROOT / suite
    assert path.is_file(), f"{suite} is missing: the contract of the kinds in {package}"
    source = path.read_text(encoding="utf-8")
    walks = (f'names("{package}")', f"iter_modules({package}.__path__)")
    assert any(walk in source for walk in walks), (
        f"{suite} does not walk {package}: take its kinds from scoring.kinds.names, so that a new "
        "file is tested without a new test"
    )
    assert names(package), f"{package} has no kind: a file with `build` is one"


def test_every_folder_of_kinds_is_in_the_plan_and_in_the_menu() -> None:
    from daemon.commands.kinds import PACKAGES

    assert set(PACKAGES.values()) == set(plan.KINDS), (
        "daemon/commands/kinds.py and KINDS of tests/house/plan.py list different folders"
    )


def test_every_kind_says_what_it_is() -> None:
    for package in plan.KINDS:
        for kind in names(package):
            module = tree.read(ROOT.joinpath(*package.split("."), f"{kind}.py"))
            first = (ast.get_docstring(module.tree) or "").partition("\n\n")[0]
            assert first.endswith("."), f"{module.place()}: the menu shows its first paragraph"


@pytest.mark.parametrize("package", PRODUCT)
def test_no_other_distribution_brings_our_packages(package: str) -> None:
    found = set(packages_distributions().get(package, ()))
    assert found == {"utterance-sluice"}, (
        f"{package} comes from {sorted(found) or 'no distribution'}: others install a package of "
        "that name too and overwrite ours. Install this one (make test, or pip install -e .) in an "
        "environment without the other (pip uninstall python-daemon)"
    )
