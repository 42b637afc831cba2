"""Weight files that must be refused before a parser sees them: safetensors and npz."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from scoring import containers
from scoring.checkpoints import BadCheckpoint, Fault
from tests import checkpoint_parts as parts
from tests.checkpoint_parts import BOMB, PICKLED, SECRET, spoilt


def tensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(first: int, end: int, dtype: str = "F32", shape: object = None) -> dict[str, object]:
    shape = [(end - first) // 4] if shape is None else shape
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, end]}


GOOD = safetensors.numpy.save({"a": np.ones(4, np.float32), "b": np.ones((2, 3), np.int64)})

WEIGHTS = {
    "zero": (b"", Fault.EMPTY),
    "shorter than a length": (b"\x10\0\0", Fault.BAD_WEIGHTS),
    "header past the end": (tensors({"a": entry(0, 8)}, length=10_000), Fault.BAD_WEIGHTS),
    "header of 2^63": (tensors(b"{}", length=2**63), Fault.BAD_WEIGHTS),
    "header of 2^64 - 1": (tensors(b"{}", length=2**64 - 1), Fault.BAD_WEIGHTS),
    "header beyond the cap": (
        tensors({"__metadata__": {"a": "b" * 9_000_000}, "a": entry(0, 8)}, b"\0" * 8),
        Fault.BAD_WEIGHTS,
    ),
    "header is a list": (tensors(b"[]"), Fault.BAD_WEIGHTS),
    "header is not JSON": (tensors(b"{" + SECRET.encode() + b"}"), Fault.BAD_WEIGHTS),
    "header is not UTF-8": (tensors(b'{"\xff":1}'), Fault.BAD_WEIGHTS),
    "header too deep": (tensors(b'{"a":' * 100_000), Fault.BAD_WEIGHTS),
    "no tensor": (tensors({}), Fault.BAD_WEIGHTS),
    "truncated": (GOOD[:-1], Fault.BAD_WEIGHTS),
    "longer than its tensors": (GOOD + b"\0", Fault.BAD_WEIGHTS),
    "unknown dtype": (tensors({"a": entry(0, 8, SECRET[:8])}, b"\0" * 8), Fault.UNSUPPORTED),
    "overlap": (tensors({"a": entry(0, 8), "b": entry(4, 12)}, b"\0" * 12), Fault.BAD_WEIGHTS),
    "hole": (tensors({"a": entry(0, 4), "b": entry(8, 12)}, b"\0" * 12), Fault.BAD_WEIGHTS),
    "past the data": (tensors({"a": entry(0, 16)}, b"\0" * 8), Fault.BAD_WEIGHTS),
    "backwards": (tensors({"a": entry(8, 0, shape=[2])}, b"\0" * 8), Fault.BAD_WEIGHTS),
    "negative": (tensors({"a": entry(-8, 0, shape=[2])}), Fault.BAD_WEIGHTS),
    "shape is larger": (tensors({"a": entry(0, 8, shape=[3])}, b"\0" * 8), Fault.BAD_WEIGHTS),
    "shape wraps": (tensors({"a": entry(0, 8, shape=[2**62, 8])}, b"\0" * 8), Fault.BAD_WEIGHTS),
    "shape of floats": (tensors({"a": entry(0, 8, shape=[2.0])}, b"\0" * 8), Fault.BAD_WEIGHTS),
    "a name twice": (
        tensors(b'{"a":%s,"a":%s}' % (2 * (json.dumps(entry(0, 8)).encode(),)), b"\0" * 8),
        Fault.BAD_WEIGHTS,
    ),
    "metadata of numbers": (
        tensors({"__metadata__": {"a": 1}, "a": entry(0, 8)}, b"\0" * 8),
        Fault.BAD_WEIGHTS,
    ),
    "100,000 tensors": (
        tensors({f"{i}": entry(0, 0, shape=[0]) for i in range(100_000)}),
        Fault.BAD_WEIGHTS,
    ),
    "a pickle": (PICKLED, Fault.PICKLE),
    "a zip bomb": (BOMB, Fault.ARCHIVE),
    "a tar": (b"x".ljust(257, b"\0") + b"ustar" + b"\0" * 250, Fault.ARCHIVE),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_safetensors(case: str, tmp_path: Path) -> None:
    data, reason = WEIGHTS[case]
    spoilt(tmp_path, "hf", "model.safetensors", data, reason)
    assert not Path(SECRET).exists()


def test_sound_safetensors_pass() -> None:
    containers.check_safetensors("x", GOOD)
    containers.check_safetensors("x", safetensors.numpy.save({"empty": np.ones((0, 3), "f4")}))


@given(st.binary(max_size=200), st.integers(0, len(GOOD)))
def test_garbage_never_raises_anything_else(noise: bytes, at: int) -> None:
    for check in (containers.check_safetensors, containers.check_npz, containers.check_onnx):
        for data in (noise, GOOD[:at] + noise, NPZ[:at] + noise, NPZ[: at * 4] + noise + NPZ[-at:]):
            with suppress(BadCheckpoint):
                check("x", data)


NPZ = parts.table()["table.npz"]


def array(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    length = len(header).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return b"\x93NUMPY" + version + length + header.encode() + data


def zipped(entries: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as written:
        for name, data in entries:
            written.writestr(name, data)
    return out.getvalue()


def described(descr: str, shape: str) -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n"


TABLES = {
    "zero": (b"", Fault.EMPTY),
    "truncated": (NPZ[:-30], Fault.BAD_WEIGHTS),
    "a pickle": (PICKLED, Fault.PICKLE),
    "compressed": (zipped([("a.npy", b"\0" * 9999)], zipfile.ZIP_DEFLATED), Fault.ARCHIVE),
    "compressed in vain": (zipped([("a.npy", bytes(range(99)))], zipfile.ZIP_LZMA), Fault.ARCHIVE),
    "a path": (zipped([("../a.npy", b"")]), Fault.BAD_WEIGHTS),
    "no array": (zipped([("a.npy", SECRET.encode())]), Fault.BAD_WEIGHTS),
    "too many": (zipped([(f"a{i}.npy", b"") for i in range(65)]), Fault.BAD_WEIGHTS),
    "none": (zipped([]), Fault.BAD_WEIGHTS),
    "objects": (parts.npz(labels=np.array(["a", None], dtype=object)), Fault.BAD_WEIGHTS),
    "huge shape": (
        zipped([("a.npy", array(described("'<f4'", f"({2**40}, {2**40})")))]),
        Fault.BAD_WEIGHTS,
    ),
    "negative shape": (zipped([("a.npy", array(described("'<f4'", "(-1,)")))]), Fault.BAD_WEIGHTS),
    "code": (
        zipped([("a.npy", array(f"__import__('os').system('touch {SECRET}')"))]),
        Fault.BAD_WEIGHTS,
    ),
    "numbers for labels": (parts.npz(labels=np.arange(3)), Fault.BAD_LABELS),
    "no labels": (parts.npz(bank=np.arange(3)), Fault.BAD_LABELS),
}


@pytest.mark.parametrize("case", TABLES)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_npz(case: str, tmp_path: Path) -> None:
    data, reason = TABLES[case]
    spoilt(tmp_path, "table", "table.npz", data, reason)
    assert not Path(SECRET).exists()
