"""A made-up annotator: answers the audit rows of each shard through the log, as people would.

    python -m daemon.demo.annotator RECORDING STORE TRUTH --first-window N --last-window M

It appends to the open label lane of a recording. What it writes depends on the shards alone,
never on when it looked; started again, it goes on behind what already stands there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from daemon import tables
from daemon.clock import SystemClock
from daemon.demo.stream import LABEL_TOPIC
from daemon.ports import EXIT_DEPENDENCY, EXIT_OK, Clock, Fatal, Missing, Retry, Store
from daemon.shards import shard
from daemon.stores import local

TICK: Mapping[str, Any] = {"tick": True}  # no answer: it only moves the lane's time
POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Timing:
    """When answers come: those to the shard of W stand at the start of window W + lag."""

    first_window: int
    last_window: int  # its shard is not answered: nothing would learn from it
    period_ms: int
    lag: int

    def time_ms(self, window: int, place: int) -> int:
        """Append time of the answer at `place` among those to `window`, inside one window."""
        return (window + self.lag) * self.period_ms + min(place, self.period_ms - 1)


class Answers(Protocol):
    """Where answers go: `LaneFile`, or a topic."""

    def append(self, records: Sequence[tuple[int, Mapping[str, Any]]]) -> None: ...

    def end(self) -> None: ...


class LaneFile:
    """The label lane's file, appended to line by line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):  # a line that a crash cut off was never read: readers wait for "\n"
            with path.open("r+b") as file:
                file.truncate(whole)
        self._skip = data.count(b"\n", 0, whole)  # written by a run before this one

    def append(self, records: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """(time_ms, value) pairs; those that a run before wrote are passed over."""
        new = records[self._skip :]
        self._skip -= len(records) - len(new)
        with self._path.open("ab") as file:
            for time_ms, value in new:
                line = json.dumps({"time": time_ms, "value": value}, separators=(",", ":"))
                file.write(line.encode() + b"\n")

    def end(self) -> None:
        """No record will follow."""
        self._path.with_name(f"{self._path.name}.end").touch(0o600)


def answers(
    columns: Mapping[str, Sequence[Any]], truth: Mapping[str, str], window: int, timing: Timing
) -> list[tuple[int, Mapping[str, Any]]]:
    """One answer per audit row in the order of the shard; a tick where there is none."""
    audited = [
        name
        for name, arms in zip(columns["id"], columns["arms"], strict=True)
        if "audit" in arms and name in truth
    ]
    made: list[tuple[int, Mapping[str, Any]]] = [
        (timing.time_ms(window, place), {"id": name, "label": truth[name], "shard": window})
        for place, name in enumerate(audited)
    ]
    return made or [(timing.time_ms(window, 0), TICK)]


def annotate(
    store: Store,
    truth: Mapping[str, str],
    lane: Answers,
    timing: Timing,
    clock: Clock,
    *,
    poll_seconds: float = POLL_SECONDS,
    patience_seconds: float = 600.0,
) -> None:
    """Answer every shard in the order of windows, then end the lane.

    The tick at the start lets the first shards be made without an answer. Raises Fatal when no
    new shard comes for `patience_seconds`.
    """
    lane.append([(timing.time_ms(timing.first_window, 0), TICK)])
    window, waited_from = timing.first_window, clock.monotonic()
    while window <= timing.last_window:
        newest = _newest(store)
        if newest is None or newest < window:
            if clock.monotonic() - waited_from > patience_seconds:
                hint = "see why the run stopped; this process may then be started again"
                raise Fatal("no new shard has come", code=EXIT_DEPENDENCY, hint=hint)
            clock.sleep(poll_seconds)
            continue
        # shards come in order: of those before the newest, what is missing will never be
        for each in range(window, min(newest, timing.last_window - 1) + 1):
            lane.append(answers(_rows(store, each), truth, each, timing))
        window, waited_from = newest + 1, clock.monotonic()
    lane.end()


def _newest(store: Store) -> int | None:
    """The highest window with a manifest, None where there is none yet."""
    newest = None
    with suppress(Retry):  # the next look may do
        for name in store.list(shard.PREFIX):
            window = name.removeprefix(shard.PREFIX).partition("/")[0]
            if window.isdigit() and name == shard.manifest_name(int(window)):
                newest = int(window)
    return newest


def _rows(store: Store, window: int) -> dict[str, list[Any]]:
    """Columns of the shard; a window without records has none."""
    try:
        manifest = json.loads(store.get(shard.manifest_name(window)))
    except Missing:
        return {"id": [], "arms": []}
    return tables.decode(store.get(manifest["rows_object"]))[0]


def read_truth(path: Path) -> dict[str, str]:
    """Record id -> what was really said, from the file beside the recording."""
    return {value["id"]: value["intent"] for value in _json_lines(path)}


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="annotator", description=__doc__)
    parser.add_argument("recording", type=Path, help="folder with the open label lane")
    parser.add_argument("store", type=Path, help="folder in which shards appear")
    parser.add_argument("truth", type=Path, help="truth.jsonl of the recording")
    parser.add_argument("--first-window", type=int, required=True)
    parser.add_argument("--last-window", type=int, required=True)
    parser.add_argument("--period-ms", type=int, default=300_000)
    parser.add_argument("--lag", type=int, default=3)
    parser.add_argument("--poll-seconds", type=float, default=POLL_SECONDS)
    parser.add_argument("--patience-seconds", type=float, default=600.0)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code of the process. Raises Fatal as `annotate` does."""
    given = _arguments(argv)
    timing = Timing(given.first_window, given.last_window, given.period_ms, given.lag)
    annotate(
        local.build(local.Options(str(given.store))),
        read_truth(given.truth),
        LaneFile(given.recording / LABEL_TOPIC / "00000.jsonl"),
        timing,
        SystemClock(),
        poll_seconds=given.poll_seconds,
        patience_seconds=given.patience_seconds,
    )
    return EXIT_OK


if __name__ == "__main__":
    try:
        code = main()
    except Fatal as fatal:
        sys.stderr.write(f"{fatal}\n")
        code = fatal.code
    sys.exit(code)
