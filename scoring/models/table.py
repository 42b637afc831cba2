"""Recorded outputs instead of a network: tests, counterfactuals, and benchmarks of the host path.

A text that was recorded gets its logits; any other gets a row of a fixed bank, chosen by the
checksum of the text. Texts themselves are not in the file, only digests of them. Its tokens are
the words between white space.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from scoring.models.base import TABLE_FILE, BadModel, Files, check_outputs, softmax
from scoring.types import Floats, Model, Outputs

precision = "fp32"

HIDDEN = 8  # width of the made-up `hidden`
SIZE_MAX = 1 << 30  # bytes of all arrays unpacked: a small archive may claim any size
_DIGEST = 16  # bytes
_SPREAD = np.float32(8)  # logits lie in [-8, 8): some texts certain, most not
_ARRAYS = ("bank", "digests", "logits", "projection")


def build(files: Files, threads: int) -> Model:
    """Read the table. BadModel if it is damaged or disagrees with the labels."""
    del threads  # a lookup is too short to share
    model = TableModel(files)
    check_outputs(model.run(("a", "")), 2, files.labels)
    return model


class TableModel:
    """Looks up; about 1 us a text, whatever the number of classes."""

    engine = f"table {precision}"

    def __init__(self, files: Files) -> None:
        self.classes = files.labels
        self.fingerprint = files.fingerprint
        arrays = _read(files.blob(TABLE_FILE))
        recorded, bank = arrays["logits"], arrays["bank"]
        if recorded.ndim != 2 or bank.ndim != 2 or recorded.shape[1] != bank.shape[1]:
            raise BadModel("table.npz: bank and logits must both be (rows, classes)")
        if len(bank) < 1 or arrays["digests"].shape != (len(recorded), _DIGEST):
            raise BadModel("table.npz: one digest per recorded row and a bank of at least one row")
        if len(arrays["projection"]) != bank.shape[1]:
            raise BadModel("table.npz: the projection must have a row per class")
        self._bank_rows = len(bank)
        self._logits = np.concatenate([bank, recorded]).astype(np.float32)
        self._probs = softmax(self._logits)
        self._hidden: Floats = np.stack(  # row by row: a product of all rows may round otherwise
            [row @ arrays["projection"] for row in self._logits]
        ).astype(np.float32)
        digests = [row.tobytes() for row in arrays["digests"].astype(np.uint8)]
        self._recorded = {digest: len(bank) + row for row, digest in enumerate(digests)}

    def run(self, texts: Sequence[str]) -> Outputs:
        """See `scoring.types.Model`."""
        raw = [text.encode("utf-8", "surrogatepass") for text in texts]
        rows = np.fromiter(map(zlib.crc32, raw), np.int64, len(raw)) % self._bank_rows
        if self._recorded:
            hits = [self._recorded.get(_digest(text), -1) for text in raw]
            known = np.array(hits, dtype=np.int64)
            rows = np.where(known >= 0, known, rows)
        words = np.fromiter((len(text.split()) for text in texts), np.int32, len(texts))
        return Outputs(self._logits[rows], self._probs[rows], self._hidden[rows], lengths=words)

    def close(self) -> None:
        """Nothing is held."""


def table_files(
    labels: Sequence[str],
    entries: Mapping[str, Sequence[float]] | None = None,
    bank_rows: int = 4096,
    seed: int = 0,
) -> Files:
    """A table over `labels`: `entries` maps texts, as the model reads them, to k logits.

    Other texts get one of `bank_rows` rows of logits in [-8, 8) that follow from `seed`.
    """
    entries = entries or {}
    k = len(labels)
    if any(len(row) != k for row in entries.values()):
        raise BadModel(f"every entry must have one logit for each of the {k} labels")
    digests = b"".join(_digest(text.encode("utf-8", "surrogatepass")) for text in entries)
    signs = _signed(f"bank {seed}", bank_rows, k)
    arrays: dict[str, npt.NDArray[Any]] = {
        "labels": np.array(labels, dtype=np.str_),  # a folder of this file says its own classes
        "bank": _SPREAD * signs * signs * signs,
        "digests": np.frombuffer(digests, dtype=np.uint8).reshape(len(entries), _DIGEST),
        "logits": np.array(list(entries.values()), dtype=np.float32).reshape(len(entries), k),
        "projection": _signed(f"projection {seed}", k, HIDDEN),
    }
    packed = io.BytesIO()
    np.savez(packed, **arrays)  # type: ignore[arg-type]  # the stub reads ** as allow_pickle
    blob = packed.getvalue()
    fingerprint = hashlib.sha256(repr(tuple(labels)).encode() + blob).hexdigest()
    return Files("table", {TABLE_FILE: blob}, tuple(labels), 1, fingerprint)


def _digest(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=_DIGEST).digest()


def _signed(purpose: str, rows: int, columns: int) -> Floats:
    """(rows, columns) float32 in [-1, 1), the same on every machine and with every library."""
    raw = hashlib.shake_256(purpose.encode()).digest(2 * rows * columns)
    steps = np.frombuffer(raw, dtype="<i2").astype(np.float32)
    return (steps / np.float32(1 << 15)).reshape(rows, columns)


def _read(blob: bytes) -> dict[str, npt.NDArray[np.float32]]:
    try:
        with zipfile.ZipFile(io.BytesIO(blob)) as archive:
            if sum(member.file_size for member in archive.infolist()) > SIZE_MAX:
                raise BadModel(f"table.npz unpacks to more than {SIZE_MAX} bytes")
        with np.load(io.BytesIO(blob), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in _ARRAYS}
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, OSError, EOFError) as error:
        raise BadModel("table.npz is damaged: make it again with table_files") from error
