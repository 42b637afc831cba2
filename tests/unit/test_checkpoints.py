"""Checkpoints that are sound: read, published, loaded, listed; and a registry that lies."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.stores.memory import MemoryStore
from scoring import checkpoints, manifest
from scoring.checkpoints import BadCheckpoint, Checkpoint, Fault, File
from tests import checkpoint_parts as parts

SOUND = {"hf": parts.hf, "onnx": parts.onnx, "table": parts.table}


class Crashing(MemoryStore):
    """Loses power before its n-th create."""

    def __init__(self, creates: int) -> None:
        super().__init__()
        self.creates = creates

    def create(self, name: str, data: bytes) -> bool:
        if self.creates == 0:
            raise ConnectionAbortedError
        self.creates -= 1
        return super().create(name, data)


class Lying(MemoryStore):
    """Answers `get` of one file with other bytes."""

    def __init__(self, suffix: str, answer: bytes) -> None:
        super().__init__()
        self.suffix, self.answer = suffix, answer

    def get(self, name: str) -> bytes:
        return self.answer if name.endswith(self.suffix) else super().get(name)


def refused(reason: Fault, call: object, *arguments: object) -> None:
    with pytest.raises(BadCheckpoint) as caught:
        call(*arguments)  # type: ignore[operator]
    assert caught.value.reason is reason, caught.value
    assert caught.value.hint


@pytest.mark.parametrize("kind", SOUND)
def test_read_put_load_gives_the_same_bytes(kind: str, tmp_path: Path) -> None:
    blobs = SOUND[kind]()
    path = parts.folder(tmp_path / "model", blobs)
    checkpoint, read = checkpoints.read_directory(path, name="first try")
    assert (checkpoint.format, checkpoint.labels, read) == (kind, parts.LABELS, blobs)
    store = MemoryStore()
    digest = checkpoints.put(store, checkpoint, read)
    files = checkpoints.load(store, digest)
    assert files.fingerprint == digest
    assert (files.kind, dict(files.blobs)) == (kind, blobs)
    assert (files.labels, files.max_length) == (checkpoint.labels, checkpoint.max_length)
    assert files == checkpoints.as_files(checkpoint, read)
    assert checkpoints.read_checkpoint(store, digest) == checkpoint
    assert list(checkpoints.list_checkpoints(store)) == [digest]


def test_twice_is_once_and_the_digest_is_of_the_manifest_bytes(tmp_path: Path) -> None:
    checkpoint, blobs = checkpoints.read_directory(parts.folder(tmp_path / "m", parts.table()))
    store = MemoryStore()
    digest = checkpoints.put(store, checkpoint, blobs)
    before = list(store.list(""))
    assert checkpoints.put(store, checkpoint, blobs) == digest
    assert list(store.list("")) == before
    data = store.get(f"checkpoints/{digest}/checkpoint.json")
    assert hashlib.sha256(data).hexdigest() == digest
    assert manifest.encode(manifest.decode(data)) == data


@pytest.mark.parametrize("creates", range(4))
def test_a_crash_at_any_create_leaves_nothing_readable_and_heals(creates: int) -> None:
    blobs = parts.onnx()
    checkpoint = manifest.describe("onnx", blobs, parts.LABELS, 64)
    store = Crashing(creates)
    with pytest.raises(ConnectionAbortedError):
        checkpoints.put(store, checkpoint, blobs)
    digest = manifest.digest(checkpoint)
    assert list(checkpoints.list_checkpoints(store)) == []
    refused(Fault.MISSING, checkpoints.load, store, digest)
    store.creates = 4
    assert checkpoints.put(store, checkpoint, blobs) == digest
    assert checkpoints.load(store, digest).blobs == blobs


def test_digest_is_pinned_and_tells_labels_and_their_order() -> None:
    blobs = {"table.npz": b"x"}
    one = manifest.describe("table", blobs, ("a", "b"), 8)
    assert manifest.encode(one) == (
        b'{"version":1,"format":"table","name":"","labels":["a","b"],"max_length":8,'
        b'"files":[{"name":"table.npz","sha256":"'
        + hashlib.sha256(b"x").hexdigest().encode()
        + b'","bytes":1}],"created_from":null}'
    )
    others = [
        manifest.describe("table", blobs, ("b", "a"), 8),
        manifest.describe("table", blobs, ("a", "c"), 8),
        manifest.describe("table", blobs, ("a", "b"), 9),
        manifest.describe("table", {"table.npz": b"y"}, ("a", "b"), 8),
        manifest.describe("table", blobs, ("a", "b"), 8, "named"),
        manifest.describe("table", blobs, ("a", "b"), 8, created_from="0" * 64),
    ]
    assert len({manifest.digest(each) for each in (one, *others)}) == 7


def test_max_length_comes_from_the_caller_the_tokenizer_or_the_default(tmp_path: Path) -> None:
    path = parts.folder(tmp_path / "hf", parts.hf())
    assert checkpoints.read_directory(path)[0].max_length == 64  # as many positions as it has
    assert checkpoints.read_directory(path, max_length=16)[0].max_length == 16
    for wrong in (65, 0, -1):
        with pytest.raises(BadCheckpoint):
            checkpoints.read_directory(path, max_length=wrong)
    cut = json.loads(parts.tokenizer()) | {"truncation": {"max_length": 24}}
    (path / "tokenizer.json").write_text(json.dumps(cut))
    assert checkpoints.read_directory(path)[0].max_length == 24
    (path / "config.json").write_bytes(parts.config(model_type="roberta", pad_token_id=1))
    (path / "tokenizer.json").write_bytes(parts.tokenizer())
    assert checkpoints.read_directory(path)[0].max_length == 62  # two stand before the first
    onnx = parts.folder(tmp_path / "onnx", parts.onnx())
    assert checkpoints.read_directory(onnx)[0].max_length == 128


def test_other_files_are_passed_over_and_named(tmp_path: Path) -> None:
    path = parts.folder(tmp_path / "model", parts.hf())
    (path / "README.md").write_text("hello")
    (path / "training_args.bin").write_bytes(b"\x80\x02")
    (path / "bad\x1b[31m").symlink_to("/etc/passwd")
    _, blobs = checkpoints.read_directory(path)
    assert sorted(blobs) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert checkpoints.ignored(path) == ("README.md", "bad\\x1b[31m", "training_args.bin")


@pytest.mark.parametrize("name", ["checkpoint.json", "model.onnx", "labels.json"])
@pytest.mark.parametrize("answer", [b"", b"\x08" * 99, b"{}"])
def test_a_store_that_gives_other_bytes_is_found_out(name: str, answer: bytes) -> None:
    blobs = parts.onnx()
    store = Lying(name, answer)
    digest = checkpoints.put(store, manifest.describe("onnx", blobs, parts.LABELS, 9), blobs)
    refused(Fault.MISMATCH, checkpoints.load, store, digest)


@given(st.data())
def test_any_flipped_bit_of_a_published_file_is_found(data: st.DataObject) -> None:
    blobs = parts.table()
    checkpoint = manifest.describe("table", blobs, parts.LABELS, 9)
    good = blobs["table.npz"]
    at = data.draw(st.integers(0, len(good) * 8 - 1))
    bad = bytearray(good)
    bad[at // 8] ^= 1 << (at % 8)
    store = Lying("table.npz", bytes(bad))
    digest = checkpoints.put(store, checkpoint, blobs)
    refused(Fault.MISMATCH, checkpoints.load, store, digest)


def test_foreign_bytes_under_a_name_are_not_published_over() -> None:
    blobs = parts.table()
    checkpoint = manifest.describe("table", blobs, parts.LABELS, 9)
    for name in ("table.npz", "checkpoint.json"):
        store = MemoryStore()
        store.create(f"checkpoints/{manifest.digest(checkpoint)}/{name}", b"somebody's")
        refused(Fault.MISMATCH, checkpoints.put, store, checkpoint, blobs)


@pytest.mark.parametrize("digest", ["", "latest", "../x", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_a_name_that_is_no_digest_is_not_looked_up(digest: str) -> None:
    refused(Fault.MISMATCH, checkpoints.load, MemoryStore(), digest)


def test_lists_only_whole_checkpoints() -> None:
    store = MemoryStore()
    for name in (f"{'1' * 64}/model.onnx", f"{'2' * 64}/checkpoint.json", "x/checkpoint.json"):
        store.create(f"checkpoints/{name}", b"-")
    store.create("parts/x", b"-")
    assert list(checkpoints.list_checkpoints(store)) == ["2" * 64]


def published(data: bytes) -> tuple[MemoryStore, str]:
    """A registry in which these bytes stand as a manifest under their own digest."""
    store, digest = MemoryStore(), hashlib.sha256(data).hexdigest()
    store.create(f"checkpoints/{digest}/checkpoint.json", data)
    return store, digest


def with_names(*names: str) -> bytes:
    files = tuple(File(name, "0" * 64, 1) for name in names)
    checkpoint = Checkpoint(format="onnx", labels=("a", "b"), max_length=8, files=files)
    return msgspec.json.encode(checkpoint)


SOUND_NAMES = ("labels.json", "model.onnx", "tokenizer.json")


@pytest.mark.parametrize(
    "names",
    [
        ("../x", *SOUND_NAMES),
        ("/etc/passwd", *SOUND_NAMES),
        ("labels.json", "model.onnx", "sub/tokenizer.json"),
        ("CON", "model.onnx", "tokenizer.json"),
        ("MODEL.ONNX", *SOUND_NAMES),
        ("labels.json", "labels.json", "model.onnx", "tokenizer.json"),
        ("labels.json", "model.onnx", "t" * 300),
        ("labels.json", "model.onnx", "tokenizer.json\x00"),
        ("model.onnx", "labels.json", "tokenizer.json"),
        ("model.onnx", "tokenizer.json"),
        (),
    ],
)
def test_a_manifest_names_exactly_the_files_of_its_format(names: tuple[str, ...]) -> None:
    refused(Fault.BAD_MANIFEST, checkpoints.load, *published(with_names(*names)))
    assert manifest.decode(with_names(*SOUND_NAMES))  # the names alone are at fault


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"version":1', b'"version":2'),
        (b'"format":"onnx"', b'"format":"pt2"'),
        (b'"name":""', b'"name":"a\\nb"'),
        (b'"name":""', b'"name":"' + b"n" * 65 + b'"'),
        (b'"max_length":8', b'"max_length":0'),
        (b'"max_length":8', b'"max_length":4097'),
        (b'"max_length":8', b'"max_length":8.5'),
        (b'"bytes":1', b'"bytes":-1'),
        (b'"bytes":1', b'"bytes":0'),
        (b"0" * 64, b"G" * 64),
        (b'"created_from":null', b'"created_from":"/home"'),
        (b'"created_from":null', b'"created_from":null,"auto_map":"x"'),
        (b'{"version":1', b'{ "version":1'),
        (b'"version":1,"format":"onnx"', b'"format":"onnx","version":1'),
        (b"}", b""),
        (b'"a"', b'"\xff"'),
    ],
)
def test_a_manifest_is_strict_and_canonical(old: bytes, new: bytes) -> None:
    data = with_names(*SOUND_NAMES)
    assert data.count(old) >= 1
    refused(Fault.BAD_MANIFEST, checkpoints.load, *published(data.replace(old, new)))


def test_a_manifest_may_not_claim_more_than_the_format_allows() -> None:
    data = with_names(*SOUND_NAMES).replace(b'"bytes":1', b'"bytes":%d' % 2**31)
    refused(Fault.TOO_LARGE, checkpoints.load, *published(data))
    refused(Fault.TOO_LARGE, checkpoints.load, *published(b" " * (4 * 1024 * 1024 + 1)))


def test_labels_of_the_manifest_are_those_of_the_files() -> None:
    blobs = parts.onnx()
    for labels in (parts.LABELS[::-1], parts.LABELS[:2], (*parts.LABELS, "extra")):
        checkpoint = manifest.describe("onnx", blobs, labels, 9)
        refused(Fault.BAD_LABELS, checkpoints.put, MemoryStore(), checkpoint, blobs)
        store, digest = published(manifest.encode(checkpoint))
        for name, data in blobs.items():
            store.create(f"checkpoints/{digest}/{name}", data)
        refused(Fault.BAD_LABELS, checkpoints.load, store, digest)
