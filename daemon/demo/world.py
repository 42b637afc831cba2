"""The demo's world on disk: recording, truth, checkpoints, configuration and sample."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import UNSET

from daemon.config.explain import flow
from daemon.corpus import Corpus
from daemon.decode.normalise import normaliser
from daemon.demo.encoder import Encoder
from daemon.demo.stream import LABEL_TOPIC, TOPIC, Stream, make, record_map
from daemon.demo.traffic import Shape
from daemon.demo.training import write_checkpoint
from daemon.policy import Policy
from daemon.ports import LaneId
from daemon.recording.writer import RecordingWriter, Topic
from scoring.training.heads import fit, tempered

KEY = b"sluice demo: everybody knows this key, use your own"
LAG = 3
SAMPLE_RECORDS = 2_500


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything of a demo lies."""

    folder: Path

    @property
    def recording(self) -> Path:
        return self.folder / "recording"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def config(self) -> Path:
        return self.folder / "sluice.yaml"

    @property
    def truth(self) -> Path:
        return self.folder / "truth.jsonl"

    @property
    def sample(self) -> Path:
        return self.folder / "sample.jsonl"

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    def checkpoint(self, number: int) -> Path:
        return self.folder / f"checkpoint-{number}"


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_stream(place: Place, stream: Stream) -> None:
    """The recording with its open label lane, and beside it the truth that Sluice never sees."""
    topics = (
        Topic(TOPIC, "demo-utterances", "utterances", stream.shape.lanes),
        Topic(LABEL_TOPIC, "demo-answers", "labels", 1),
    )
    writer = RecordingWriter(place.recording, topics, live=True)
    for number in range(stream.shape.lanes):
        events = [event for event in stream.events if event.lane == number]
        lane = writer.lane(LaneId(TOPIC, number))
        values = [
            event.value if isinstance(event.value, bytes) else json.dumps(event.value).encode()
            for event in events
        ]
        lane.append(range(len(events)), [event.time_ms for event in events], values)
        lane.close()
        writer.finish(LaneId(TOPIC, number))
    writer.lane(LaneId(LABEL_TOPIC, 0)).close()  # open: the annotator appends to it
    write_lines(place.truth, (row._asdict() for row in stream.truth))


def write_sample(place: Place, corpus: Corpus, stream: Stream, seed: int) -> None:
    """Recent labelled traffic, as a platform has it: other draws, the same habits and mistakes.

    Texts that a checkpoint was trained on are left out: scores of those would flatter it.
    """
    shape = Shape(records=SAMPLE_RECORDS, lanes=stream.shape.lanes)
    recent = make(corpus, shape, seed=seed + 1)
    normalise = normaliser(Policy().normaliser, Policy().unicode)
    trained = {normalise(row.text) for row in stream.plan.later}
    rows = []
    for event in recent.events:
        value = event.value if isinstance(event.value, dict) else {}
        said, label = value.get("utterance"), value.get("label")
        text = said.get("text") if isinstance(said, dict) else None
        if not isinstance(text, str) or not isinstance(label, dict):
            continue
        said_as = normalise(text)
        if said_as not in trained and said_as.rstrip(".") not in trained:  # some end in a period
            rows.append({"text": text, "label": label["intent"]})
    write_lines(place.sample, rows)


def write_checkpoints(place: Place, stream: Stream, encoder: Encoder, seed: int) -> None:
    """Two checkpoints: of a small early set, and of a larger one that knows the new intents."""
    for number, rows in ((1, stream.plan.early), (2, stream.plan.later)):
        classes = sorted({row.intent for row in rows})
        features = encoder.features([row.text for row in rows])
        labels = [row.intent for row in rows]
        # every tenth row sets the temperature: a head that is too sure hides its doubts
        held = slice(None, None, 10)
        kept = [i for i in range(len(rows)) if i % 10]
        first = fit(features[kept], [labels[i] for i in kept], classes, seed=seed)
        head = tempered(first, features[held], labels[held], classes)
        target = place.checkpoint(number)
        write_checkpoint(target.parent, head, classes, target.name, encoder)


def write_config(place: Place, shape: Shape, threads: int | None) -> None:
    """The configuration file: what a user would write, and nothing that has a default."""
    mapped = record_map()
    fields = {name: getattr(mapped, name) for name in mapped.__struct_fields__}
    record = "\n".join(
        f"    {name}: {flow(value)}" for name, value in fields.items() if value not in (None, UNSET)
    )
    key = place.folder / "key"
    key.write_bytes(KEY)
    key.chmod(0o600)
    rows = max(100, shape.records // shape.windows // 4)
    place.config.write_text(
        f"""\
# the demo's configuration: `sluice config show` explains every field and its default
store: {{kind: local, options: {{path: {place.store}}}}}
source: {{kind: replay, options: {{path: {place.recording}}}}}
keys: {{file: {key}}}
stream: {{period: {shape.period_ms // 1000}, grace: 1, label_wait: 0, lag: {LAG}}}
process: {{threads: {threads or "null"}}}
policy:
  record:
{record}
  capacity_rows: {rows}
  arms: {{audit_rows: {max(60, rows // 2)}, random_rows: {rows}, review_rows: {rows}}}
  rolling: {{windows: {shape.windows}, capacity_rows: {6 * rows}, half_life_windows: 12}}
""",
        encoding="utf-8",
    )
