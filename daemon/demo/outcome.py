"""What a demo run achieved, held against the truth that only the demo knows."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from buffers import draw
from daemon import tables
from daemon.corpus import Corpus, Row
from daemon.demo.encoder import Encoder
from daemon.demo.lift import Lift, lift
from daemon.derived.history import History
from daemon.lanes import ledger
from scoring.types import CODES, Reason


@dataclass(frozen=True, slots=True)
class Found:
    """Flipped labels among the records that a warm window judged."""

    flipped: int
    suspects: int
    hits: int

    @property
    def precision(self) -> float:
        return self.hits / self.suspects if self.suspects else math.nan

    @property
    def recall(self) -> float:
        return self.hits / self.flipped if self.flipped else math.nan


@dataclass(frozen=True, slots=True)
class Outcome:
    """Figures of one run."""

    records: int
    shards: int
    found: Found
    noise_stream: float  # share of wrong labels among labelled records
    noise_selected: float  # the same among the selected rows of warm windows
    groups_before: float  # effective number of groups: exp of the entropy of their shares
    groups_after: float
    lift: Lift


def read_truth(path: Path) -> dict[str, dict[str, Any]]:
    """id -> truth of the record."""
    with path.open(encoding="utf-8") as lines:
        return {row["id"]: row for row in map(json.loads, lines)}


def found(history: History, truth: dict[str, dict[str, Any]], key: bytes) -> Found:
    """Compare the quarantine of every warm window with the planted flips."""
    names = list(truth)
    identities = draw.identity(key, "id", names)
    flips = {
        (int(high), int(low))
        for (high, low), name in zip(identities, names, strict=True)
        if truth[name]["flipped"]
    }
    warm = {w for w in history.windows() if not history.registry.manifest(w).cold}
    flipped = suspects = hits = 0
    for name in history.registry.store.list("ledgers/"):
        if int(name.rsplit("/", 1)[-1].split("-", maxsplit=1)[0]) not in warm:
            continue
        columns = ledger.read(history.registry.store.get(name))
        suspect = columns["reason"] == CODES[Reason.SUSPECT]
        wrong = np.array(
            [
                (int(high), int(low)) in flips
                for high, low in zip(columns["id_hi"], columns["id_lo"], strict=True)
            ],
            bool,
        )
        flipped += int(wrong.sum())
        suspects += int(suspect.sum())
        hits += int((wrong & suspect).sum())
    return Found(flipped, suspects, hits)


def effective(counts: Counter[str]) -> float:
    """Hill number of order 1 (Hill 1973): how many groups of equal size look as diverse."""
    total = sum(counts.values())
    if not total:
        return 0.0
    return math.exp(-sum(c / total * math.log(c / total) for c in counts.values()))


def outcome(
    history: History,
    truth: dict[str, dict[str, Any]],
    key: bytes,
    corpus: Corpus,
    encoder: Encoder,
    seeds: int,
) -> Outcome:
    """Read every shard of the store."""
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    arms: dict[str, list[Row]] = {"selected": [], "random": []}
    wrong, records, windows = [], 0, history.windows()
    for window in windows:
        manifest = history.registry.manifest(window)
        records += manifest.counts["records"]
        if manifest.cold:
            continue
        before.update(manifest.traffic)
        after.update(manifest.kept)
        rows, _ = tables.decode(history.registry.store.get(manifest.rows_object))
        for name, text, label, taken in zip(
            rows["id"], rows["text"], rows["label"], rows["arms"], strict=True
        ):
            if label is None:
                continue
            for arm, kept in arms.items():
                if arm in taken:
                    kept.append(Row(text, label))
            if "selected" in taken:
                wrong.append(truth[name]["flipped"])
    labelled = [row for row in truth.values() if row["labelled"]]
    equal = min(len(rows) for rows in arms.values())
    return Outcome(
        records,
        len(windows),
        found(history, truth, key),
        sum(row["flipped"] for row in labelled) / max(1, len(labelled)),
        sum(wrong) / max(1, len(wrong)),
        effective(before),
        effective(after),
        lift(
            encoder,
            _thin(arms["selected"], equal),
            _thin(arms["random"], equal),
            corpus.test or corpus.valid,
            seeds=seeds,
        ),
    )


def _thin(rows: list[Row], count: int) -> list[Row]:
    """`count` rows at even distances: both arms train on equally many, of all windows."""
    places = np.linspace(0, len(rows) - 1, count).round().astype(np.int64)
    return [rows[place] for place in places.tolist()]
