"""Folders and files that must be refused: each with its reason, a remedy, and no content quoted."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from scoring import folders, layouts
from scoring.checkpoints import Fault
from tests import checkpoint_parts as parts
from tests.checkpoint_parts import BOMB, PICKLED, SECRET, refused, spoilt

CONTROL, RTL = "a\nb", "a\u202eb"
DOCUMENTS = {
    "onnx zero": ("onnx", "model.onnx", b"", Fault.EMPTY),
    "onnx text": ("onnx", "model.onnx", SECRET.encode() * 9, Fault.BAD_WEIGHTS),
    "onnx pickle": ("onnx", "model.onnx", PICKLED, Fault.PICKLE),
    "onnx zip": ("onnx", "model.onnx", BOMB, Fault.ARCHIVE),
    "tokenizer pickle": ("onnx", "tokenizer.json", PICKLED, Fault.PICKLE),
    "tokenizer list": ("onnx", "tokenizer.json", b"[]", Fault.BAD_JSON),
    "tokenizer deep": ("onnx", "tokenizer.json", b'{"a":' * 99 + b"1" + b"}" * 99, Fault.BAD_JSON),
    "tokenizer cut": ("hf", "tokenizer.json", parts.tokenizer()[:-2], Fault.BAD_JSON),
    "tokenizer 20 MB": ("hf", "tokenizer.json", b" " * (20 * 2**20 + 1), Fault.TOO_LARGE),
    "tokenizer empty": ("hf", "tokenizer.json", b"{}", Fault.BAD_VOCABULARY),
    "vocabulary": ("hf", "config.json", parts.config(vocab_size=10), Fault.BAD_VOCABULARY),
    "no vocabulary": ("hf", "config.json", parts.config(vocab_size=None), Fault.BAD_VOCABULARY),
    "positions": ("hf", "config.json", parts.config(max_position_embeddings=2), Fault.BAD_LENGTH),
    "auto_map": ("hf", "config.json", parts.config(auto_map={"A": SECRET}), Fault.REMOTE_CODE),
    "inner auto_map": (
        "hf",
        "config.json",
        parts.config(text_config=[{"auto_map": SECRET}]),
        Fault.REMOTE_CODE,
    ),
    "config 1 MB": ("hf", "config.json", parts.config(x="y" * 2**20), Fault.TOO_LARGE),
    "config NUL": ("hf", "config.json", b"\0" * 99, Fault.BAD_JSON),
    "id2label none": ("hf", "config.json", parts.config(id2label=None), Fault.BAD_LABELS),
    "id2label gap": (
        "hf",
        "config.json",
        parts.config(id2label={"0": SECRET, "2": "b"}),
        Fault.BAD_LABELS,
    ),
    "id2label numbers": (
        "hf",
        "config.json",
        parts.config(id2label={"0": 1, "1": 2}),
        Fault.BAD_LABELS,
    ),
    **{
        f"labels {number}": ("onnx", "labels.json", json.dumps(labels).encode(), Fault.BAD_LABELS)
        for number, labels in enumerate(
            [
                [SECRET, SECRET],
                [SECRET],
                [],
                ["", SECRET],
                [" a", SECRET],
                [CONTROL, SECRET],
                [RTL, SECRET],
                ["\ud800", SECRET],
                ["a\u2028b", SECRET],
                ["x" * 129, SECRET],
                [str(each) for each in range(4097)],
                [1, 2],
                {"0": "a", "1": "b"},
            ]
        )
    },
}


@pytest.mark.parametrize("case", DOCUMENTS)
def test_documents(case: str, tmp_path: Path) -> None:
    kind, name, data, reason = DOCUMENTS[case]
    spoilt(tmp_path, kind, name, data, reason)


def test_sizes_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = parts.folder(tmp_path / "m", parts.onnx())
    for name, most in layouts.BYTES_MAX.items():
        if name in layouts.FORMATS["onnx"]:
            os.truncate(path / name, most + 1)  # sparse: takes no room on the disk
            assert f"{most} are allowed" in refused(path, Fault.TOO_LARGE).hint
            (path / name).write_bytes(parts.onnx()[name])


@pytest.mark.parametrize("target", ["away", "model.onnx", "/dev/zero"])
def test_links_are_not_followed(target: str, tmp_path: Path) -> None:
    path = parts.folder(tmp_path / "m", parts.onnx())
    (path / "away").write_bytes((path / "model.onnx").read_bytes())
    (path / "model.onnx").unlink()
    (path / "model.onnx").symlink_to(target)
    assert "cp -L" in refused(path, Fault.NOT_REGULAR).hint


def test_pipes_sockets_and_folders_do_not_block(tmp_path: Path) -> None:
    path = parts.folder(tmp_path / "m", parts.onnx())
    (path / "model.onnx").unlink()
    os.mkfifo(path / "model.onnx")
    refused(path, Fault.NOT_REGULAR)
    (path / "model.onnx").unlink()
    (path / "model.onnx").mkdir()
    refused(path, Fault.NOT_REGULAR)
    (path / "model.onnx").rmdir()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(path / "model.onnx"))
        refused(path, Fault.UNREADABLE)


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.pt", "MODEL.PT2", "x.pkl", f"{SECRET}.ckpt", "w.pth"]
)
@pytest.mark.parametrize("beside", [{}, parts.hf()])
def test_pickles_are_refused_by_name(name: str, beside: dict[str, bytes], tmp_path: Path) -> None:
    error = refused(parts.folder(tmp_path / "m", {**beside, name: PICKLED}), Fault.PICKLE)
    assert "convert to safetensors" in error.hint


def test_folders_that_hold_no_checkpoint(tmp_path: Path) -> None:
    refused(tmp_path / "absent", Fault.UNREADABLE)
    refused(tmp_path / "nul\0", Fault.UNREADABLE)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    refused(loop, Fault.UNREADABLE)
    refused(parts.folder(tmp_path / "empty", {}), Fault.INCOMPLETE)
    refused(parts.folder(tmp_path / "two", {**parts.hf(), **parts.onnx()}), Fault.AMBIGUOUS)
    refused(tmp_path / "two" / "model.onnx", Fault.UNREADABLE)
    half = {name: data for name, data in parts.onnx().items() if name != "labels.json"}
    assert "labels.json" in refused(parts.folder(tmp_path / "half", half), Fault.INCOMPLETE).hint
    twice = {**parts.onnx(), "Model.ONNX": b"-"}
    refused(parts.folder(tmp_path / "twice", twice), Fault.DUPLICATE_NAME)
    shouted = {name.upper(): data for name, data in parts.onnx().items()}
    refused(parts.folder(tmp_path / "shouted", shouted), Fault.INCOMPLETE)


def test_a_file_that_grows_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = parts.folder(tmp_path / "m", parts.table())

    def late(name: str, size: int) -> None:  # between the look at the size and the read
        with (path / name).open("ab") as file:
            file.write(b"more")

    monkeypatch.setattr(folders, "check_size", late)
    refused(path, Fault.CHANGED)
