"""Weight files, looked at by ourselves before a parser of others is: safetensors, npz, ONNX.

Every count is bounded by the bytes that are really there, so a small file cannot ask for a large
allocation. Nothing is unpacked and no pickle is ever opened.
"""

from __future__ import annotations

import ast
import io
import json
import math
import re
import struct
import zipfile
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn

import msgspec
from msgspec import Meta, Struct

from scoring.manifest import BadCheckpoint, Fault

HEADER_BYTES_MAX = 8 * 1024 * 1024  # 10,000 tensors need about a quarter; the library takes 100 MB
TENSORS_MAX = 10_000
ARRAYS_MAX = 64
ARRAY_HEADER_BYTES_MAX = 10_000  # as numpy's own limit
ITEM_BYTES: Mapping[str, int] = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64"), 8),
}
ARCHIVES = (b"PK", b"7z\xbc\xaf", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"\x1f\x8b", b"BZh", b"Rar!")
CONVERT = "convert to safetensors: `safetensors.torch.save_file(model.state_dict(), ...)`"

NotNegative = Annotated[int, Meta(ge=0)]
Axis = Annotated[int, Meta(ge=0, le=2**40)]


class Tensor(Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of a safetensors header."""

    dtype: Annotated[str, Meta(max_length=8)]
    shape: Annotated[tuple[Axis, ...], Meta(max_length=8)]
    data_offsets: tuple[NotNegative, NotNegative]  # first, end; from the end of the header


def _refuse(name: str, what: str, reason: Fault = Fault.BAD_WEIGHTS) -> NoReturn:
    raise BadCheckpoint(reason, f"{name}: {what}; save it again with the library's own writer")


def refuse_disguised(name: str, data: bytes) -> None:
    """Pickles and archives by their first bytes. Call it on what is no valid file of its kind."""
    if data[:1] == b"\x80" and data[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}:
        hint = f"{name} is a pickle, which runs code when it is loaded; {CONVERT}"
        raise BadCheckpoint(Fault.PICKLE, hint)
    if data.startswith(ARCHIVES) or data[257:262] == b"ustar":
        hint = f"{name} is an archive (torch.save writes such, too), never unpacked; {CONVERT}"
        raise BadCheckpoint(Fault.ARCHIVE, hint)


def check_safetensors(name: str, data: bytes) -> None:
    """Header length, JSON, known types, shapes that fit, offsets that tile the file exactly.

    Layout: u64 little endian header length, JSON header, data (safetensors format description).
    """
    length = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else 0
    if not 2 <= length <= min(HEADER_BYTES_MAX, len(data) - 8) or data[8:9] != b"{":
        refuse_disguised(name, data)
        _refuse(name, f"no header, or one past the file's end or {HEADER_BYTES_MAX} bytes")
    tensors = _header(name, data[8 : 8 + length])
    position = 0
    for tensor in sorted(tensors.values(), key=lambda each: each.data_offsets):
        first, end = tensor.data_offsets
        if tensor.dtype not in ITEM_BYTES:
            _refuse(name, "a tensor has an unknown dtype", Fault.UNSUPPORTED)
        if first != position or end - first != math.prod(tensor.shape) * ITEM_BYTES[tensor.dtype]:
            _refuse(name, "offsets overlap, leave a hole or do not fit a shape")
        position = end
    if position != len(data) - 8 - length:
        _refuse(name, "the file is truncated, or longer than its tensors")


def _header(name: str, header: bytes) -> dict[str, Tensor]:
    entries: dict[str, Any] = {}

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):  # parsers differ in which of two they believe
            raise ValueError
        return dict(pairs)

    try:
        entries = json.loads(header.decode(), object_pairs_hook=once)
        msgspec.convert(entries.pop("__metadata__", {}), dict[str, str])
        if len(entries) <= TENSORS_MAX:
            tensors = msgspec.convert(entries, dict[str, Tensor])
            if tensors:
                return tensors
    except (ValueError, RecursionError, msgspec.ValidationError):
        _refuse(name, "the header is not JSON of tensors, each with dtype, shape and data_offsets")
    _refuse(name, f"{len(entries)} tensors; 1 to {TENSORS_MAX} are allowed")


def check_npz(name: str, data: bytes) -> None:
    """A zip of plain arrays, stored, not compressed, none larger than its bytes, no objects."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if not 1 <= len(entries) <= ARRAYS_MAX:
                _refuse(name, f"{len(entries)} arrays; 1 to {ARRAYS_MAX} are allowed")
            if len({entry.filename.casefold() for entry in entries}) != len(entries):
                _refuse(name, "two arrays have one name", Fault.DUPLICATE_NAME)
            stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
            if not stored or sum(entry.file_size for entry in entries) > len(data):
                hint = f"{name} is compressed or claims more than it holds; use numpy.savez"
                raise BadCheckpoint(Fault.ARCHIVE, hint)
            for entry in entries:
                if re.fullmatch(r"[a-z][a-z0-9_]{0,63}\.npy", entry.filename) is None:
                    _refuse(name, "an entry is not an array with a plain lower-case name")
                _check_array(name, archive.read(entry))  # checks the CRC; bounded just above
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError, OSError):
        refuse_disguised(name, data if not data.startswith(b"PK") else b"")
        _refuse(name, "not a whole npz file")


def _check_array(name: str, data: bytes) -> None:
    """The header of one .npy (numpy NEP 1): a numeric or text dtype, a shape that fits."""
    version = data[:8]
    wide = version != b"\x93NUMPY\x01\x00"
    if version not in {b"\x93NUMPY\x01\x00", b"\x93NUMPY\x02\x00", b"\x93NUMPY\x03\x00"}:
        _refuse(name, "an entry is no numpy array")
    first = 12 if wide else 10
    length = int.from_bytes(data[8:first], "little")
    if length > min(ARRAY_HEADER_BYTES_MAX, len(data) - first):
        _refuse(name, "an array header is longer than allowed")
    try:
        header = msgspec.convert(ast.literal_eval(data[first : first + length].decode()), Array)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        _refuse(name, "an array has an object or structured dtype, or a broken header")
    kind, item = header.descr[1], int(header.descr[2:])
    item_bytes = item * 4 if kind == "U" else item
    if len(data) - first - length != math.prod(header.shape) * item_bytes:
        _refuse(name, "an array's shape does not fit its bytes")


class Array(Struct, frozen=True, forbid_unknown_fields=True):
    """The header of one .npy."""

    descr: Annotated[str, Meta(pattern=r"\A[<|=][biufU][0-9]{1,6}\Z")]
    fortran_order: bool
    shape: Annotated[tuple[Axis, ...], Meta(max_length=4)]


def check_onnx(name: str, data: bytes) -> None:
    """The first field of a ModelProto, ir_version (onnx.proto3 field 1, varint: byte 0x08).

    What the graph may hold (no external data, standard operators) is checked where it is loaded.
    """
    if data[:1] != b"\x08" or len(data) < 16:
        refuse_disguised(name, data)
        _refuse(name, "not an ONNX model")
