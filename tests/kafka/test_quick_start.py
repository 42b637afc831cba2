"""docs/live.md as a newcomer follows it, on a broker of its own kind: every command, in order."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from daemon.__main__ import main
from daemon.ports import EXIT_OK
from scoring.models import table
from scoring.models.table import table_files
from tests.docs.small import CLASSES, blocks, moved, read, truths
from tests.house.tree import ROOT
from tests.kafka.broker import Broker, free_port, unique

PAGE, SECONDS = "docs/live.md", 90


@pytest.fixture
def laid_out(broker: Broker, tmp_path: Path) -> tuple[Path, str]:
    """Checkpoint, sample, key and the page's configuration; and the topic that it names."""
    topic = broker.topic("utterances", 2, message_timestamp_type="LogAppendTime")
    files = table_files(CLASSES, seed=0)
    (tmp_path / "checkpoint").mkdir()
    for name, data in files.blobs.items():
        (tmp_path / "checkpoint" / name).write_bytes(data)
    texts = [f"a reference {number}" for number in range(400)]
    rows = zip(texts, truths(table.build(files, 1), texts), strict=True)
    lines = [json.dumps({"text": text, "label": label}) + "\n" for text, label in rows]
    (tmp_path / "sample.jsonl").write_text("".join(lines))
    (tmp_path / "key").write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "key").chmod(0o600)
    text = moved(blocks(PAGE, "yaml")[0], tmp_path)
    for page, test in (
        ("localhost:9092", broker.bootstrap), ("[utterances]", f"[{topic}]"),
        ("group: sluice", f"group: {unique('group')}"), ("period: 5m", "period: 1s"),
        ("9464", str(free_port())),
    ):  # fmt: skip
        assert page in text, page
        text = text.replace(page, test)
    # recorded outputs stand for a network, which would need a minute of training
    (tmp_path / "sluice.yaml").write_text(text + "  engine: {kind: table}\n")
    return tmp_path, topic


def commands(folder: Path) -> list[list[str]]:
    """What the page tells to type, without the making of the key."""
    lines = "".join(blocks(PAGE, "sh")).splitlines()
    return [shlex.split(moved(line, folder)) for line in lines if line.startswith("sluice ")]


def test_the_quick_start_runs(
    broker: Broker, laid_out: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, topic = laid_out
    monkeypatch.chdir(folder)
    typed = commands(folder)
    at = typed.index(["sluice", "run"])
    for words in typed[:at]:
        assert main(words[1:]) == EXIT_OK, words
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "daemon", "run", "-c", str(folder / "sluice.yaml")],
            cwd=ROOT, stderr=log, stdout=log,
        )  # fmt: skip
    try:
        deadline, number = time.monotonic() + SECONDS, 0
        while len(list((folder / "store").glob("shards/*/manifest.json"))) < 2:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            for partition in range(2):  # people go on speaking
                number += 1
                said = {"id": f"a-{number}", "request": {"text": f"say {number % 50}"},
                        "nlu": {"label": CLASSES[number % 4]}}  # fmt: skip
                broker.produce(topic, [json.dumps(said).encode()], partition)
        for words in typed[at + 1 :]:
            assert main(words[1:]) == EXIT_OK, words
        process.terminate()
        assert process.wait(60) == EXIT_OK
    finally:
        process.kill()
        process.wait()
    assert any(folder.glob("shard-*.html"))


def test_the_page_names_pages_that_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)", read(PAGE)):
        assert (ROOT / "docs" / target).is_file(), target
