"""Editions that name all that a score may need: earlier checkpoints, a reference, tags, tables."""

from __future__ import annotations

import copy
import random
from functools import cache
from typing import Any

import msgspec

from daemon.policy import Engine, Kind, Policy
from daemon.ports import LaneId, Store
from daemon.registry.publish import Others, Published, Refused, Sample, publish
from daemon.registry.registry import Registry
from scoring import checkpoints, kinds
from scoring.catalogue import catalogue
from scoring.manifest import Checkpoint
from tests import tiny_bert, tiny_joint
from tests.streams import PERIOD_MS, Record, say, small_policy

SAID = (
    ("turn on the light in the kitchen", "O O O O O O B-room"),
    ("turn off the light", "O O O O"),
    ("what is the weather", "O O O O"),
    ("play some music", "O O B-artist"),
    ("set a timer for ten minutes", "O O O O B-minutes O"),
    ("stop it please", "O O O"),
    ("play music please", "O B-artist O"),
    ("next song", "O O"),
)
ALL = tuple(entry.name for entry in catalogue())


def made(kind: str, seed: int) -> tuple[Checkpoint, dict[str, bytes]]:
    """A checkpoint as the engine of this kind reads it."""
    return tiny_joint.described(seed) if kind == "torch" else tiny_joint.exported(seed)


def policy(kind: str, scores: tuple[str, ...], **changes: Any) -> Policy:
    """One that computes these scores, of tagged records kept by their id."""
    base = small_policy(
        engine=Engine(kind=kind),
        identity="id",
        scores=tuple(Kind(name) for name in scores),
        select=Kind("weighted", {"score": scores[-1]}),
    )
    record = msgspec.structs.replace(base.record, tags="tags")
    return msgspec.structs.replace(base, record=record, **changes)


def sample(kind: str, seed: int = 0) -> Sample:
    """Texts with tags and labels: of four in five the checkpoint's own answer."""
    return copy.deepcopy(_sample(kind, seed, 120))


@cache
def _sample(kind: str, seed: int, rows: int) -> Sample:
    checkpoint, blobs = made(kind, seed)
    model = kinds.module("scoring.models", kind).build(tiny_joint.files(checkpoint, blobs), 1)
    words = [tiny_bert.WORDS[at % 24] for at in range(rows)]
    texts = [f"{SAID[at % 8][0]} {words[at]} {words[at // 8]}" for at in range(rows)]
    answers = model.run(texts).logits.argmax(axis=1).tolist()
    model.close()
    labels: list[str | None] = [
        tiny_bert.LABELS[(answer + (at % 5 == 4)) % 5] for at, answer in enumerate(answers)
    ]
    return Sample(texts, labels, [tuple(f"{SAID[at % 8][1]} O O".split()) for at in range(rows)])


def put(store: Store, kind: str, *seeds: int) -> tuple[str, ...]:
    """Checkpoints that are in the store, and of no edition."""
    return tuple(checkpoints.put(store, *made(kind, seed)) for seed in seeds)


def published(
    store: Store, kind: str, wanted: Policy, seed: int = 0, **named: Any
) -> Published | Refused:
    """The edition of checkpoint `seed`."""
    checkpoint, blobs = made(kind, seed)
    rows = named.pop("sample", None) or sample(kind, seed)
    return publish(
        Registry(store), checkpoint, blobs, wanted, first_window=0, sample=rows,
        others=Others(**named),
    )  # fmt: skip


def records(seed: int = 3, windows: int = 4, per_window: int = 12) -> dict[LaneId, list[Record]]:
    """Two lanes of tagged, labelled and bare records, some refused for their tags."""
    rng = random.Random(seed)
    lanes: dict[LaneId, list[Record]] = {LaneId("u", p): [] for p in range(2)}
    number = 0
    for window in range(5, 5 + windows):
        for rows in lanes.values():
            for at in range(per_window):
                number += 1
                text, tags = rng.choice(SAID)
                label = rng.choice([*tiny_bert.LABELS, None, "brand_new"])
                more: dict[str, Any] = {}
                if rng.random() < 0.7:
                    more["tags"] = tags.split() if rng.random() < 0.9 else ["O"]
                rows.append((window * PERIOD_MS + at, say(number, text, label, **more)))
    return lanes
