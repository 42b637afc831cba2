"""What a person or a log collector sees of the process: log lines, progress bars and tables.

A log line is an event with numbers and short plain words. Whatever looks like prose is withheld,
so that no careless call can put an utterance into a log; JSON and the terminal see the same.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO, Self

import rich.box
from rich.console import Console as RichConsole
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from daemon.ports import Clock

Field = int | float | bool | str | None

WORD = re.compile(r"[A-Za-z0-9_.:/@+=,()\[\]-]{0,256}")  # names, digests, lanes, object names
# and their colours; error: data is at stake, or an operator must act
LEVELS: Mapping[str, str] = {"info": "cyan", "warning": "yellow", "error": "bold red"}


def plain(value: Field) -> Field:
    """A field as it may be logged: numbers and words pass, any other string is its length."""
    if isinstance(value, str) and WORD.fullmatch(value) is None:
        return f"withheld({len(value)})"
    return _finite(value)


def _finite(value: Field) -> Field:
    """JSON has no infinities, and no NaN."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


class _Lossy(RichConsole):
    """rich answers a broken pipe by ending the process; a log that nobody reads is no reason."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class Console:
    """Writes to two streams: log lines and progress to `errors`, results to `output`."""

    def __init__(
        self, clock: Clock, *, errors: IO[str], output: IO[str], terminal: bool | None = None
    ) -> None:
        """`terminal` None: as each stream says of itself. Colours obey NO_COLOR."""
        self._clock = clock
        self._errors = _Lossy(file=errors, force_terminal=terminal, highlight=False)
        self._output = RichConsole(file=output, force_terminal=terminal, highlight=False)
        self._json = False

    def log(self, event: str, /, **fields: Field) -> None:
        """One line: of a service JSON, but on a terminal. Never raises for a stream that is gone.

        The field `level` is one of LEVELS; left out, or anything else, it is "info".
        """
        self._line(event, {name: plain(value) for name, value in fields.items()})

    def _line(self, event: str, shown: dict[str, Field]) -> None:
        moment = datetime.fromtimestamp(self._clock.now(), UTC)
        level = str(shown.pop("level", "info"))
        level = level if level in LEVELS else "info"
        with suppress(OSError):  # telemetry is lossy: it never stops the work
            if self._json:
                time = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
                line = {**shown, "time": time, "level": level, "event": plain(event)}
                _write(self._errors.file, json.dumps(line, separators=(",", ":")) + "\n")
                return
            text = Text()
            text.append(f"{moment:%H:%M:%S} ", style="dim")
            text.append(f"{plain(event)}", style=LEVELS[level])
            for name, value in shown.items():
                text.append(f" {name}=", style="dim")
                text.append(_cell(value))
            self._errors.print(text, soft_wrap=True)

    def serve(self) -> None:
        """From here on it is a service that speaks: but to a terminal, in lines of JSON alone."""
        self._json = not self._errors.is_terminal

    def say(self, message: str, /, event: str = "said", **fields: Field) -> None:
        """A sentence of ours for the person who called a command: lines on `errors`.

        Where the log is JSON it is a line of it, as `message` beside the fields.
        """
        if self._json:
            self._line(event, {**fields, "message": message})
            return
        with suppress(OSError):
            self._errors.print(Text(message), soft_wrap=True)

    def write(self, text: str) -> None:
        """A result that is a text of its own (YAML, JSON), to `output` as it is."""
        _write(self._output.file, text)

    def progress(self, title: str, total: int, *, every_percent: int = 10) -> Progress:
        """A bar over `total` steps (0: nothing to do), for a `with` block."""
        return Progress(self, title, total, every_percent)

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[Field]], *, as_json: bool = False
    ) -> None:
        """Rows for a person, tab-separated for a pipe, or one JSON object a line."""
        if as_json:
            for row in rows:
                line = dict(zip(columns, map(_finite, row), strict=True))
                _write(self._output.file, json.dumps(line) + "\n")
            return
        if not self._output.is_terminal:
            for cells in (columns, *rows):
                _write(self._output.file, "\t".join(map(_cell, cells)) + "\n")
            return
        table = Table(box=rich.box.SIMPLE_HEAD)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*map(_aligned, row))
        self._output.print(table)

    def bar(self) -> RichProgress | None:
        """A live display of this console, None where the log goes to no terminal."""
        if not self._errors.is_terminal:
            return None
        return RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._errors,
            get_time=self._clock.monotonic,
        )


class Progress:
    """Steps done of a total: a bar on a terminal, else a log line at every few percent."""

    def __init__(self, console: Console, title: str, total: int, every_percent: int) -> None:
        self._console, self._title, self._total = console, title, total
        self._every = max(1, min(100, every_percent))
        self._done = self._told = 0
        self._bar = console.bar()

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=self._total)
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, steps: int = 1) -> None:
        """`steps` more are done; beyond the total they still count."""
        self._done += steps
        if self._bar is not None:
            self._bar.advance(self._task, steps)
            return
        percent = 100 * self._done // max(1, self._total)
        if percent // self._every > self._told // self._every:
            self._told = percent
            task = self._title.replace(" ", "_")
            self._console.log(
                "progress", task=task, percent=percent, done=self._done, total=self._total
            )


def _cell(value: Field) -> str:
    """A value on one line; what a terminal would obey is shown, not done."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(value))


def _aligned(value: Field) -> Text:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return Text(_cell(value), justify="right" if number else "left")


def _write(stream: IO[str], line: str) -> None:
    stream.write(line)
    stream.flush()
