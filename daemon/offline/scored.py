"""Rows of a file through the stream's path: decode, then score; and the table that comes of it.

The table is made chunk by chunk, each an object that is created once, so that a run that was
killed goes on behind its last one and ends with the same bytes.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from daemon import tables
from daemon.lanes.candidate import Prepared
from daemon.lanes.window import Segment
from daemon.learning.rules import Rules
from daemon.offline.dataset import DataSet, Row
from daemon.ports import EXIT_STATE, Batch, Fatal, LaneId, Store
from daemon.running.engines import Engine
from scoring.types import GRID, MISSING, Grid

CHUNK = 4_096  # rows of an object
LANE = LaneId("rows", 0)


def prepared(engine: Engine, rules: Rules, rows: Sequence[Row]) -> Prepared:
    """Decoded, scored and weighed, as records of one segment whose positions are the numbers."""
    numbers = np.array([row.number for row in rows], np.int64)
    batch = Batch(LANE, numbers, np.zeros(len(rows), np.int64), [row.value for row in rows])
    return engine.prepare(rules, batch, Segment(0, 0, len(rows), 0, 0, 0))


@dataclass(slots=True)
class Seen:
    """What a person should know of the rows that were read."""

    classes: tuple[str, ...]  # of the checkpoint
    rows: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # reason -> rows that no one could read
    labels: Counter[str] = field(default_factory=Counter)

    def add(self, rows: int, reasons: Iterable[str], labels: Iterable[str | None]) -> None:
        """Some more rows: why some were refused, and the labels of the others."""
        self.rows += rows
        self.refused.update(reasons)
        self.labels.update(label for label in labels if label is not None)

    def check(self) -> None:
        """Raises Fatal where nothing could be read."""
        if self.refused.total() == self.rows:
            reason, count = self.refused.most_common(1)[0]
            raise Fatal(
                f"none of {self.rows} rows could be read: {count} as {reason}",
                code=EXIT_STATE,
                hint="policy.record says where text and id stand in a row; --map text=FIELD",
            )

    def notes(self) -> Iterator[str]:
        """Sentences of what is odd."""
        if self.refused:
            counts = ", ".join(f"{n} as {reason}" for reason, n in self.refused.most_common())
            yield f"{self.refused.total()} of {self.rows} rows could not be read: {counts}"
        known = set(self.classes)
        unknown = sum(n for label, n in self.labels.items() if label not in known)
        if unknown:
            yield (
                f"{unknown} of {self.labels.total()} labels are no class of the checkpoint: to it "
                "they are impossible, and nobody can say how plausible they are"
            )
        if len(self.labels) == 1:
            yield "all labels are of one class: there is nothing to balance"


def columns_of(p: Prepared, rows: Sequence[Row], classes: Sequence[str]) -> dict[str, list[Any]]:
    """One row of the table for each row of the file; what was not read has its reason alone."""

    def spread(values: Iterable[Any]) -> list[Any]:
        column: list[Any] = [None] * len(rows)
        for at, value in zip(p.rows.tolist(), values, strict=True):
            column[at] = value
        return column

    def real(steps: Grid) -> list[Any]:
        return spread(None if s == MISSING else s / GRID for s in steps.tolist())

    reasons: list[str | None] = [None] * len(rows)
    for refusal in p.refusals:
        reasons[refusal.index] = str(refusal.reason)
    return {
        "row": [row.number for row in rows],
        "id": spread(u.id for u in p.utterances),
        "text": spread(u.text for u in p.utterances),
        "label": spread(u.label for u in p.utterances),
        "argmax": spread(classes[i] for i in p.scored.argmax.tolist()),
        **{f"score_{name}": real(steps) for name, steps in p.scored.scores.items()},
        "plausibility": real(p.scored.plausibility),
        "reason": reasons,
    }


def types(scores: Iterable[str], *, texts: bool) -> dict[str, str]:
    """Column -> type, in order."""
    text = {"text": "str"} if texts else {}
    return {
        "row": "i64", "id": "str", **text, "label": "str", "argmax": "str",
        **{f"score_{name}": "f64" for name in scores}, "plausibility": "f64", "reason": "str",
    }  # fmt: skip


def table(
    rows: DataSet,
    engine: Engine,
    rules: Rules,
    store: Store,
    *,
    texts: bool,
    tell: Callable[[int], None],
) -> tuple[dict[str, list[Any]], Seen]:
    """The whole table, from chunks that are there and chunks that are made now."""
    kinds = types(engine.grading.names, texts=texts)
    there = set(store.list(""))
    whole: dict[str, list[Any]] = {name: [] for name in kinds}
    seen = Seen(engine.edition.classes)
    stream = rows.rows()
    for number in itertools.count():
        chunk = list(itertools.islice(stream, CHUNK))
        if not chunk:
            return whole, seen
        name = f"{number:08d}.parquet"
        if name not in there:
            p = prepared(engine, rules, chunk)
            made = columns_of(p, chunk, engine.edition.classes)
            store.create(name, tables.encode({n: made[n] for n in kinds}, kinds, b""))
        columns, _ = tables.decode(store.get(name))
        reasons = (reason for reason in columns["reason"] if reason is not None)
        seen.add(len(chunk), reasons, columns["label"])
        for column, values in columns.items():
            whole[column] += values
        tell(len(chunk))
    raise AssertionError("the file ends")
