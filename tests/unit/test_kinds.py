"""The folder is the registry: what is listed, what is built, and how a mistake is answered."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scoring.kinds import BadOptions, UnknownKind, load, names

STEADY = """
from msgspec import Struct

class Inner(Struct, frozen=True, forbid_unknown_fields=True):
    depth: int = 1

class Options(Struct, frozen=True, forbid_unknown_fields=True):
    rate: float = 0.5
    inner: Inner = Inner()

    def __post_init__(self):
        if self.rate > 9:
            raise ValueError("rate is too high")

def build(options, *context):
    return (options.rate, options.inner.depth, *context)
"""
BARE = "def build(options):\n    return 'bare'\n"
HEAVY = "import a_library_that_nobody_has\n\ndef build(options):\n    return None\n"
HELPER = (
    "def builder():\n    return None\n\nclass Tool:\n    def build(self):\n        return None\n"
)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    folder = tmp_path / "some_kinds"
    folder.mkdir()
    sources = {"steady": STEADY, "bare": BARE, "heavy": HEAVY, "helper": HELPER, "__init__": ""}
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "some_kinds"
    for name in [name for name in sys.modules if name.startswith("some_kinds")]:
        del sys.modules[name]


def test_a_kind_is_a_file_with_build_and_is_not_imported_to_be_listed(package: str) -> None:
    assert names(package) == ("bare", "heavy", "steady")
    assert "some_kinds.heavy" not in sys.modules


def test_options_are_decoded_and_context_is_handed_on(package: str) -> None:
    assert load(package, "steady", {}) == (0.5, 1)
    options = {"rate": 2, "inner": {"depth": 3}}
    assert load(package, "steady", options, "here") == (2.0, 3, "here")
    assert load(package, "bare", {}) == "bare"


def test_an_unknown_kind_names_the_nearest(package: str) -> None:
    with pytest.raises(UnknownKind) as caught:
        load(package, "Stedy", {})
    assert caught.value.nearest == "steady"
    assert caught.value.available == ("bare", "heavy", "steady")
    assert str(caught.value) == (
        "unknown kind 'Stedy': did you mean 'steady'? available: bare, heavy, steady"
    )
    with pytest.raises(UnknownKind) as far:
        load(package, "qqqq", {})
    assert far.value.nearest is None


@pytest.mark.parametrize("kind", ["helper", "__init__", "../steady", "steady.x", ""])
def test_nothing_else_can_be_loaded(package: str, kind: str) -> None:
    with pytest.raises(UnknownKind):
        load(package, kind, {})


@pytest.mark.parametrize(
    ("options", "path", "why"),
    [
        ({"rate": "fast"}, "options.rate", "Expected `float`, got `str`"),
        ({"inner": {"depth": None}}, "options.inner.depth", "Expected `int`, got `null`"),
        ({"rat": 1.0}, "options.rat", "unknown field, did you mean 'rate'?"),
        ({"qqqq": 1.0}, "options.qqqq", "unknown field, fields: rate, inner"),
        ({"rate": 10.0}, "options", "rate is too high"),
    ],
)
def test_bad_options_name_their_place(
    package: str, options: dict[str, object], path: str, why: str
) -> None:
    with pytest.raises(BadOptions) as caught:
        load(package, "steady", options)
    assert (caught.value.path, caught.value.why) == (path, why)


def test_an_unknown_field_deeper_down_keeps_its_path(package: str) -> None:
    with pytest.raises(BadOptions) as caught:
        load(package, "steady", {"inner": {"dept": 1}})
    assert caught.value.path == "options.inner"
    assert "dept" in caught.value.why


def test_a_kind_without_options_takes_none(package: str) -> None:
    with pytest.raises(BadOptions, match="fields: none"):
        load(package, "bare", {"x": 1})


def test_a_missing_library_passes_through(package: str) -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        load(package, "heavy", {})
    assert caught.value.name == "a_library_that_nobody_has"


def test_no_package(package: str) -> None:
    with pytest.raises(ModuleNotFoundError):
        names("some_kinds.nothing")
    with pytest.raises(ModuleNotFoundError):
        names("some_kinds.steady")  # a module, not a folder
