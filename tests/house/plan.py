"""The plan of the house, as tables: who stands where, who owns what. Rules are in rules.py.

A pattern names a module and all inside it; the longest one that fits decides. Patterns that
name nothing are faults, so the plan never describes a house that was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Floor(NamedTuple):
    """Modules of one floor import one another and every lower floor. Equal heights never meet."""

    name: str
    height: int
    modules: tuple[str, ...]


FLOORS = (
    Floor("ground", 0, ("scoring.types", "buffers.base", "buffers.draw", "buffers.exact")),
    Floor("scoring", 1, ("scoring",)),
    Floor("buffers", 1, ("buffers",)),
    Floor(  # values in, values out
        "pure daemon",
        2,
        (
            "daemon.config.settings",
            "daemon.decode",
            "daemon.lanes",
            "daemon.learning",
            "daemon.messages",
            "daemon.monitors",
            "daemon.offline.heard",
            "daemon.offline.left",
            "daemon.offline.selection",
            "daemon.offline.terms",
            "daemon.policy",
            "daemon.ports",
            "daemon.shards",
            "daemon.tables",
        ),
    ),
    Floor(  # touch the world through the protocols of daemon.ports only
        "through ports",
        3,
        ("daemon.derived", "daemon.registry", "daemon.running"),
    ),
    Floor(  # open files, sockets, clocks, terminals
        "edge",
        4,
        (
            "daemon.clock",
            "daemon.config",
            "daemon.console",
            "daemon.corpus",
            "daemon.health",
            "daemon.kafka",
            "daemon.metrics",
            "daemon.outlets",
            "daemon.recording",
            "daemon.report",
            "daemon.sources",
            "daemon.stores",
        ),
    ),
    Floor("loop", 5, ("daemon.loop",)),
    Floor(
        "top",
        6,
        (
            "daemon.benchmark",
            "daemon.commands",
            "daemon.demo",
            "daemon.doctor",
            "daemon.offline",
            "daemon.training",
            "daemon.__main__",
        ),
    ),
)

# The pure core: equal input, equal output, on every machine. What it imports of ours is as pure.
PURE = (
    *FLOORS[0].modules,
    "buffers",
    *FLOORS[3].modules,
    "scoring.candidates",
    "scoring.grade",
    "scoring.policies",
    "scoring.rows",
    "scoring.scorer",
    "scoring.scores",
    "scoring.supplies",
    "scoring.trails",
)
PURE_MAY_IMPORT: Mapping[str, str] = {
    "scoring.kinds": "reads the folder of kinds: code, never data",
}


class Owner(NamedTuple):
    """A library, the distribution that brings it, and the only modules that import it."""

    library: str
    distribution: str
    modules: tuple[str, ...]


OWNERS = (
    Owner("apricot", "apricot-select", ("daemon.benchmark.peers",)),
    Owner("cleanlab", "cleanlab", ("daemon.benchmark.peers",)),
    Owner("google.protobuf", "onnx", ("scoring.models.onnx_checks",)),
    Owner("hassil", "hassil", ("daemon.demo",)),
    Owner("huggingface_hub", "transformers", ("scoring.models.torch_network",)),
    Owner("kafka", "kafka-python", ("daemon.kafka", "daemon.sources.kafka")),
    Owner("msgspec", "msgspec", ("daemon", "scoring")),
    Owner("numpy", "numpy", ("buffers", "daemon", "scoring")),
    Owner("obstore", "obstore", ("daemon.stores.bucket",)),
    Owner("onnx", "onnx", ("scoring.models.onnx_*",)),
    Owner("onnxruntime", "onnxruntime", ("scoring.models.onnx",)),
    Owner(
        "pyarrow",
        "pyarrow",
        (
            "daemon.tables",
            "daemon.lanes.ledger",
            "daemon.offline.dataset",
            "daemon.recording.writer",
            "daemon.recording.lanefile",
            "daemon.recording.lanetable",
        ),
    ),
    Owner("prometheus_client", "prometheus-client", ("daemon.metrics.values",)),
    Owner("rich", "rich", ("daemon.console",)),
    Owner(
        "safetensors",
        "safetensors",
        (
            "scoring.export",
            "scoring.models.torch_network",
            "scoring.training.network",
            "daemon.demo",
        ),
    ),
    Owner("skactiveml", "scikit-activeml", ("daemon.benchmark.peers",)),
    Owner("tokenizers", "tokenizers", ("scoring.models.tokens",)),
    Owner(
        "torch",
        "torch",
        (
            "scoring.models.torch",
            "scoring.models.torch_layers",
            "scoring.models.torch_network",
            "scoring.training.joint",
            "scoring.training.network",
        ),
    ),
    Owner(
        "transformers",
        "transformers",
        ("scoring.models.torch_network", "scoring.training.network"),
    ),
    Owner("yaml", "pyyaml", ("daemon.config.reader",)),
)

# The world: names that only these modules use, and what everybody else does instead.
WORLD: Mapping[str, tuple[tuple[str, ...], str]] = {
    "time": (("daemon.clock",), "take `now` as an argument, or a Clock of daemon.ports"),
    "datetime.datetime.now": ((), "take `now` as an argument"),
    "datetime.datetime.utcnow": ((), "take `now` as an argument"),
    "datetime.datetime.today": ((), "take `now` as an argument"),
    "datetime.date.today": ((), "take `now` as an argument"),
    "random": ((), "draw by identity: buffers.draw (law 2)"),
    "numpy.random": ((), "draw by identity: buffers.draw (law 2)"),
    "uuid": ((), "name things by what they hold: daemon.tables.digest"),
    "secrets": ((), "draw by identity: buffers.draw (law 2)"),
    "os.urandom": ((), "draw by identity: buffers.draw (law 2)"),
    "builtins.hash": ((), "it differs in every process: use hashlib or buffers.draw"),
    "socket": (
        ("daemon.kafka.diagnosis",),
        "sources and stores speak to the network through their library",
    ),
    "subprocess": (("daemon.commands.demo",), "nothing but the demo starts processes"),
    "os.environ": (
        (
            "daemon.__main__",
            "daemon.commands.session",
            "daemon.kafka.settings",
            "daemon.offline.pinned",
            "daemon.stores.bucket",
            "scoring.models.onnx",
        ),
        "take it as an argument",
    ),
    "os.getenv": ((), "take it as an argument"),
}

# Besides the World, the core has none of these.
IMPURE_IMPORTS = (
    "asyncio", "concurrent", "datetime", "getpass", "glob", "http", "logging", "multiprocessing",
    "os", "pathlib", "platform", "select", "shutil", "signal", "sys.argv", "sys.stderr",
    "sys.stdin", "sys.stdout", "tempfile", "threading", "urllib",
)  # fmt: skip
IMPURE_CALLS = (
    "builtins.open", "builtins.print", "builtins.input", "builtins.breakpoint", "builtins.exec",
    "builtins.eval", "builtins.id", "io.open",
)  # fmt: skip
IMPURE_METHODS = (
    "read_bytes", "read_text", "write_bytes", "write_text", "mkdir", "unlink", "iterdir", "rglob",
)  # fmt: skip

# Who opens files for writing. A durable write of the daemon is `Store.create` (law 6).
WRITERS: Mapping[str, str] = {
    "daemon.stores.local": "create: temporary file, fsync, link(2), fsync of the folder",
    "daemon.recording.writer": "makes recordings",
    "daemon.outlets.file": "appends lines to a file that a user named, fsynced at each flush",
    "daemon.demo": "makes a world to run in",
    "daemon.benchmark.pages": "writes the pages of a benchmark to a folder that a user named",
    "daemon.commands.checkpoint": "exports to a folder that a user named",
    "daemon.commands.report": "writes the page that a user asked for",
    "daemon.offline.results": "writes files that a user named, whole or not at all",
    "daemon.training.folder": "the folder of a training, which a user named",
}

# Sums in the core: why each of them adds integers, in any order the same (law 7).
SUMS: Mapping[tuple[str, str], str] = {
    ("buffers.bottom", "np.cumsum(counts)"): "counts",
    ("buffers.waterfill", "slots.sum()"): "numbers of rows",
    ("buffers.waterfill", "floors.sum()"): "numbers of rows",
    ("buffers.waterfill", "owned(middle).sum()"): "numbers of rows",
    ("buffers.waterfill", "rows.sum()"): "numbers of rows",
    ("daemon.shards.agreement", "sum(own)"): "counts",
    ("daemon.shards.agreement", "sum((c * (c - 1) for c in own))"): "counts",
    ("daemon.shards.late", "sum((late.by_id[i][0] == best for i in ids))"): "booleans",
    ("daemon.shards.assemble", "sum((c.records for c in counts))"): "counts",
    ("daemon.shards.assemble", "sum((c.late for c in counts))"): "counts",
    ("daemon.shards.figures", "sum(steps)"): "scores in grid steps",
    ("daemon.shards.figures", "sum((s * s for s in steps))"): "scores in grid steps",
    ("daemon.learning.calibration", "sum(h.values())"): "counts in fixed point",
    ("daemon.learning.calibration", "sum(histogram.values())"): "counts in fixed point",
    ("daemon.learning.calibration", "sum(half.plausibility.values())"): "counts in fixed point",
    (
        "daemon.learning.calibration",
        "sum((count for s, count in half.plausibility.items() if s <= step))",
    ): "counts in fixed point",
    ("daemon.lanes.candidate", "sum((p.late for p in segments))"): "counts",
    ("daemon.lanes.lane", "(times // self.period_ms < closing.window).sum()"): "booleans",
    (
        "daemon.shards.merge",
        "sum((pool.columns['multiplicity'][row] for row in pool.repeats))",
    ): "numbers of records",
    (
        "daemon.shards.pool",
        "sum((resolved.lost[row] for row in first if row in resolved.lost))",
    ): "counts",
    ("daemon.learning.spreads", "sum(histogram.values())"): "counts in fixed point",
    ("daemon.learning.rules", "sum(weights)"): "target shares in fixed point",
    ("daemon.learning.rules", "sum(whole)"): "target shares in fixed point",
    (
        "daemon.learning.rules",
        "sum((count for name, count in counts.items() if name not in known))",
    ): "counts",
    ("daemon.lanes.window", "late[first:end].sum()"): "booleans",
    ("scoring.candidates", "kept.sum(axis=1)"): "booleans",
    ("scoring.supplies", "sum(counts)"): "counts",
}
SUMMING = ("sum", "cumsum", "mean", "average", "dot", "matmul", "einsum", "std", "var", "nansum")
LOGARITHMS = ("log", "log2", "log10", "log1p", "exp", "exp2", "expm1", "pow", "power")

# may catch everything: they name the reaction
BLIND = ("daemon.loop", "daemon.__main__", "daemon.kafka.polling")

# Folders of kinds -> the suite that walks them.
KINDS: Mapping[str, str] = {
    "scoring.scores": "tests/contracts/test_scores.py",
    "scoring.policies": "tests/contracts/test_policies.py",
    "scoring.models": "tests/contracts/test_models.py",
    "buffers": "tests/contracts/test_reservoirs.py",
    "daemon.sources": "tests/contracts/test_sources.py",
    "daemon.stores": "tests/contracts/test_stores.py",
    "daemon.outlets": "tests/contracts/test_outlets.py",
}

LINES, TEST_LINES, FUNCTION_LINES = 200, 300, 50
VAGUE_NAMES = ("util", "utils", "helper", "helpers", "common", "misc", "manager", "base_classes")
