"""Every rule of the house finds the fault that it is there for, and leaves good code alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from tests.house import plan, rules
from tests.house.tree import ROOT, Module, covering

KNOWN = (
    "scoring",
    "scoring.scorer",
    "daemon.running.engines",
    "daemon.lanes.lane",
    "daemon.stores.local",
    "daemon.lanes.window",
)
Rule = Callable[[Module], Iterable[str]]


def module(source: str, name: str = "daemon.lanes.lane") -> Module:
    return Module(name, ROOT / (name.replace(".", "/") + ".py"), source)


def floors(found: Module) -> Iterable[str]:
    return rules.floors(found, KNOWN)


def purity(found: Module) -> Iterable[str]:
    return rules.purity(found, KNOWN)


FAULTS: list[tuple[Rule, str, str, str]] = [
    (floors, "daemon.brand_new", "", "stands on no floor"),
    (floors, "daemon.lanes.lane", "from daemon.stores import local", "daemon.stores.local"),
    (floors, "daemon.lanes.lane", "def f():\n    import daemon.loop", "Imports go down only"),
    (floors, "scoring.scorer", "from daemon.lanes.window import window_of", "Imports go down only"),
    (floors, "scoring.scorer", "from buffers import columns", "Imports go down only"),
    (floors, "buffers.columns", "import scoring.scorer", "Imports go down only"),
    (floors, "daemon.loop", "import daemon.commands.run", "Imports go down only"),
    (rules.owners, "daemon.lanes.lane", "import torch", "belongs to scoring.models.torch"),
    (rules.owners, "daemon.lanes.lane", "from onnx import helper", "onnx belongs to"),
    (rules.owners, "daemon.lanes.lane", "import brand_new", "brand_new has no owner"),
    (rules.world, "daemon.loop", "import time", "take `now`"),
    (rules.world, "daemon.loop", "from time import monotonic", "take `now`"),
    (rules.world, "daemon.loop", "from datetime import datetime as d\nd.now()", "take `now`"),
    (rules.world, "daemon.loop", "import numpy as np\nnp.random.default_rng()", "identity"),
    (rules.world, "daemon.loop", "a = sorted('ab', key=hash)", "every process"),
    (rules.world, "daemon.loop", "import os\nos.environ['A']", "as an argument"),
    (rules.world, "daemon.loop", "import os.path\nos.environ['A']", "as an argument"),
    (rules.writers, "daemon.derived.why", "open('a', 'wb')", "Store.create"),
    (rules.writers, "daemon.derived.why", "p.open(mode='a')", "Store.create"),
    (rules.writers, "daemon.derived.why", "p.write_text('a')", "Store.create"),
    (
        rules.writers,
        "daemon.derived.why",
        "import os\nos.open('a', os.O_CREAT | flags)",
        "Store.create",
    ),
    (purity, "daemon.lanes.lane", "import os", "os in the pure core"),
    (purity, "daemon.lanes.lane", "from pathlib import Path", "pathlib in the pure core"),
    (purity, "daemon.lanes.lane", "print(1)", "builtins.print"),
    (purity, "daemon.lanes.lane", "open('a')", "builtins.open"),
    (purity, "daemon.lanes.lane", "path.read_bytes()", "read_bytes"),
    (purity, "daemon.lanes.lane", "from daemon.running.engines import Engine", "which is not"),
    (purity, "buffers.balanced", "import threading", "threading in the pure core"),
    (rules.exactness, "daemon.lanes.lane", "a = sum(b)", "may add floats"),
    (rules.exactness, "daemon.lanes.lane", "a = b.sum()", "may add floats"),
    (rules.exactness, "daemon.lanes.lane", "import numpy as np\na = np.mean(b)", "may add floats"),
    (rules.exactness, "daemon.lanes.lane", "a = b @ c", "the CPU chooses"),
    (rules.exactness, "daemon.lanes.lane", "import math\na = math.log(b)", "last bits"),
    (rules.exactness, "daemon.lanes.lane", "a = b.sum(dtype=np.float64)", "may add floats"),
    (rules.length, "daemon.lanes.lane", "a = 1\n" * 201, "201 lines"),
    (rules.length, "daemon.lanes.lane", "def f():\n" + "    a = 1\n" * 50, "51 lines"),
    (rules.length, "tests.unit.test_a", "a = 1\n" * 301, "301 lines"),
    (rules.blind, "daemon.lanes.lane", "try:\n    a()\nexcept:\n    b()", "Name the errors"),
    (
        rules.blind,
        "daemon.lanes.lane",
        "try:\n    a()\nexcept (Exception, B):\n    b()",
        "Name the",
    ),
    (
        rules.blind,
        "daemon.lanes.lane",
        "try:\n    a()\nexcept BaseException as e:\n    b()",
        "Name the",
    ),
    (rules.words, "daemon.utils", '"""Doc."""', "names no noun"),
    (rules.words, "daemon.lanes.lane", '"""Doc."""\nclass LaneManager: ...', "LaneManager"),
    (rules.words, "daemon.lanes.lane", "a = 1", "no docstring"),
    (rules.state, "daemon.lanes.lane", "TABLE = {1: 2}", "TABLE can be changed"),
    (rules.state, "daemon.lanes.lane", "seen: list[int] = []", "seen can be changed"),
    (rules.state, "daemon.lanes.lane", "SEEN = set()", "SEEN can be changed"),
    (rules.state, "daemon.lanes.lane", "def f():\n    global a\n    a = 1", "global"),
]

GOOD: list[tuple[Rule, str, str]] = [
    (floors, "daemon.lanes.lane", "from scoring import scorer\nfrom daemon import window"),
    (floors, "daemon.commands.run", "from daemon.loop import Loop"),
    (rules.owners, "scoring.models.onnx", "import onnxruntime as ort\nimport json"),
    (rules.owners, "daemon.lanes.lane", "import numpy as np\nfrom daemon import window"),
    (rules.world, "daemon.clock", "import time\ntime.monotonic()"),
    (rules.world, "daemon.lanes.lane", "time = 3\nrandom = time + a.time"),
    (rules.writers, "daemon.derived.why", "open('a', 'rb')\nopen('wax')\np.open()\npins.open(7)"),
    (rules.writers, "daemon.recording.writer", "open('a', 'wb')"),
    (purity, "daemon.lanes.lane", "import io\nio.BytesIO()\n\nclass A:\n    id: str"),
    (purity, "daemon.clock", "import os"),
    (rules.exactness, "daemon.lanes.lane", "import numpy as np\na = b.sum(dtype=np.int64)"),
    (rules.exactness, "daemon.loop", "a = sum(b)"),
    (rules.length, "daemon.lanes.lane", "def f():\n" + "    a = 1\n" * 49),
    (rules.blind, "daemon.loop", "try:\n    a()\nexcept Exception:\n    b()"),
    (rules.blind, "daemon.lanes.lane", "try:\n    a()\nexcept (KeyError, OSError):\n    b()"),
    (rules.words, "daemon.lanes.lane", '"""Doc."""'),
    (
        rules.state,
        "daemon.lanes.lane",
        "TABLE: Mapping[int, int] = {1: 2}\n__all__ = ['a']\nA = (1, 2)",
    ),
]


@pytest.mark.parametrize(("rule", "name", "source", "said"), FAULTS)
def test_a_rule_finds_its_fault(rule: Rule, name: str, source: str, said: str) -> None:
    found = list(rule(module(source, name)))
    assert found
    assert any(said in fault for fault in found), found


@pytest.mark.parametrize(("rule", "name", "source"), GOOD)
def test_a_rule_leaves_good_code_alone(rule: Rule, name: str, source: str) -> None:
    assert not list(rule(module(source, name)))


def test_a_plan_that_names_nothing_is_a_fault() -> None:
    found = list(rules.idle([module("", "daemon.lanes.lane")]))
    assert any("daemon.monitors names no module" in fault for fault in found)
    assert any("does not import torch" in fault for fault in found)
    assert any("has no `sum(weights)`" in fault for fault in found)


def test_the_longest_pattern_decides() -> None:
    assert covering(("a", "a.b", "a.b.c*"), "a.b.cd") == "a.b.c*"
    assert covering(("a.b",), "a.bc") == ""
    assert covering(plan.PURE, "daemon.monitors.noise") == "daemon.monitors"


def test_a_circle_is_found_whatever_its_length() -> None:
    circle = {"daemon.a": "from daemon import b", "daemon.b": "import daemon.c",
              "daemon.c": "def f():\n    from daemon.a import A"}  # fmt: skip
    (fault,) = rules.circles([module(s, n) for n, s in circle.items()], circle)
    assert all(name in fault for name in circle)
    line = circle | {"daemon.c": "from onnx import a\nfrom daemon.c import itself"}
    assert not list(rules.circles([module(s, n) for n, s in line.items()], line))
