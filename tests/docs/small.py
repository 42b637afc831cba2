"""The example of README.md as a folder: what a user would have before the first command."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

from scoring.models import table
from scoring.models.table import table_files
from scoring.types import Model
from tests.house.tree import ROOT

CLASSES = ("alarm", "lights", "music", "weather")
PERIOD_MS = 300_000
WINDOWS, PER_WINDOW = 6, 90
BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


def read(page: str) -> str:
    """A page by its path from the top of the repository."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """The bodies of fenced blocks in that language."""
    return [m["body"] for m in BLOCK.finditer(read(page)) if m["language"] == language]


def moved(text: str, folder: Path) -> str:
    """Pages say /data; tests mean `folder`."""
    return text.replace("/data/", f"{folder}/")


def lay_out(folder: Path) -> None:
    """Recording, sample, checkpoint, key and configuration, as README.md shows them."""
    files = table_files(CLASSES, seed=0)
    (folder / "checkpoint").mkdir()
    for name, data in files.blobs.items():
        (folder / "checkpoint" / name).write_bytes(data)
    model = table.build(files, 1)
    recording, record = blocks("README.md", "json")
    lane = folder / "recording" / "utterances" / "00000.jsonl"
    lane.parent.mkdir(parents=True)
    (folder / "recording" / "recording.json").write_text(recording)
    lane.write_text("".join(_lines(record, model)))
    texts = [f"a reference {number}" for number in range(400)]
    rows = zip(texts, truths(model, texts), strict=True)
    lines = [json.dumps({"text": text, "label": label}) + "\n" for text, label in rows]
    (folder / "sample.jsonl").write_text("".join(lines))
    key = folder / "key"
    key.write_text("0123456789abcdef0123456789abcdef\n")
    key.chmod(0o600)
    yaml = moved(next(b for b in blocks("README.md", "yaml") if "replay" in b), folder)
    # recorded outputs stand for a network, which would need a minute of training
    extra = "  engine: {kind: table}\n  capacity_rows: 40\n  rolling: {capacity_rows: 60}\n"
    arms = "  arms: {audit_rows: 15, review_rows: 15}\n  quarantine: {assumed_rate: 0.1}\n"
    (folder / "sluice.yaml").write_text(yaml + extra + arms)


def truths(model: Model, texts: list[str]) -> list[str]:
    """Labels of a world in which this model is always right."""
    return [CLASSES[i] for i in model.run(texts).probs.argmax(axis=1).tolist()]


def _lines(example: str, model: Model) -> list[str]:
    """The record that README.md shows, then others of its shape; one label in ten is wrong."""
    shape = json.loads(example)
    rng = random.Random(0)
    texts = [f"say {int(rng.paretovariate(0.7)) % 200}" for _ in range(WINDOWS * PER_WINDOW)]
    lines = [example]
    for number, (text, label) in enumerate(zip(texts, truths(model, texts), strict=True), start=2):
        shape["time"] += PERIOD_MS // PER_WINDOW
        shape["value"]["id"] = f"a-{number}"
        shape["value"]["request"]["text"] = text
        shape["value"]["nlu"]["label"] = label if rng.random() < 0.9 else rng.choice(CLASSES)
        lines.append(json.dumps(shape) + "\n")
    return lines
