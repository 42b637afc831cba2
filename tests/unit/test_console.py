"""Log lines, progress and tables, on a terminal and elsewhere; and the clock they are given."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.clock import ManualClock, SystemClock
from daemon.console import Console

START = 1_700_000_000.25  # 2023-11-14T22:13:20.250Z


class Screen:
    """A console over two strings."""

    def __init__(self, *, terminal: bool) -> None:
        self.errors, self.output = io.StringIO(), io.StringIO()
        self.clock = ManualClock(START)
        self.console = Console(
            self.clock, errors=self.errors, output=self.output, terminal=terminal
        )

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.errors.getvalue().splitlines()]


class Gone(io.StringIO):
    """A pipe whose reader has left."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.fixture
def pipe() -> Screen:
    """Of a service whose log is collected."""
    screen = Screen(terminal=False)
    screen.console.serve()
    return screen


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Screen:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    return Screen(terminal=True)


def test_a_log_line_is_json_with_the_time_of_the_clock(pipe: Screen) -> None:
    pipe.console.log("part_made", lane="live.v1/3", window=12, rows=1000, share=0.5, cold=True)
    pipe.clock.advance(60)
    pipe.console.log("stalled", level="warning", since=None)
    assert pipe.lines == [
        {"time": "2023-11-14T22:13:20.250Z", "level": "info", "event": "part_made"}
        | {"lane": "live.v1/3", "window": 12, "rows": 1000, "share": 0.5, "cold": True},
        {"time": "2023-11-14T22:14:20.250Z", "level": "warning", "event": "stalled", "since": None},
    ]
    assert pipe.output.getvalue() == ""


@pytest.mark.parametrize(
    ("value", "logged"),
    [
        ("turn on the light", "withheld(17)"),
        ("müde", "withheld(4)"),
        ('"}\n{"event": "forged"}', "withheld(22)"),
        ("\x1b[2J", "withheld(4)"),
        ("=cmd|x", "withheld(6)"),
        ("x" * 257, "withheld(257)"),
        ("parts/t-1/00000/000012.parquet", "parts/t-1/00000/000012.parquet"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
    ],
)
def test_prose_is_withheld(pipe: Screen, value: str | float, logged: str) -> None:
    pipe.console.log("seen", value=value)
    assert [line["value"] for line in pipe.lines] == [logged]


@given(st.text(), st.booleans())
def test_any_field_is_one_line_that_nothing_obeys(value: str, is_terminal: bool) -> None:
    screen = Screen(terminal=is_terminal)
    screen.console.serve()
    screen.console.log("seen", value=value)
    shown = screen.errors.getvalue()
    assert shown.count("\n") == 1
    assert shown.endswith("\n")
    if not is_terminal:
        assert shown.isascii()
        assert json.loads(shown)["event"] == "seen"


def test_a_level_is_one_of_three(pipe: Screen) -> None:
    for level in ("warning", "error", "loud", 3):
        pipe.console.log("seen", level=level)
    assert [line["level"] for line in pipe.lines] == ["warning", "error", "info", "info"]


def test_a_result_is_written_as_it_is() -> None:
    for screen in (Screen(terminal=True), Screen(terminal=False)):
        screen.console.write("a: [1]  # " + "x" * 200 + "\n")
        assert screen.output.getvalue() == "a: [1]  # " + "x" * 200 + "\n"
        assert screen.errors.getvalue() == ""


def test_the_words_of_a_line_cannot_be_overwritten(pipe: Screen) -> None:
    pipe.console.log("seen", time=1, event="other")
    assert pipe.lines[0]["event"] == "seen"
    assert pipe.lines[0]["time"] == "2023-11-14T22:13:20.250Z"


def test_a_terminal_gets_colours(terminal: Screen) -> None:
    terminal.console.log("part_made", level="error", rows=3, lane="[bold]t/0")
    shown = terminal.errors.getvalue()
    assert "\x1b[1;31mpart_made" in shown
    assert "[bold]t/0" in shown  # markup of others is not obeyed
    assert "22:13:20" in shown


def test_a_log_without_a_reader_stops_nobody() -> None:
    console = Console(ManualClock(), errors=Gone(), output=io.StringIO(), terminal=False)
    console.log("seen")
    console.say("a fault")


def test_what_a_person_called_speaks_in_words_to_a_pipe_too() -> None:
    screen = Screen(terminal=False)
    screen.console.say("store.kind: [red]no such kind[/red] " + "x" * 100)
    screen.console.log("replay", objects=3, text="turn on the light")
    with screen.console.progress("score log", 2, every_percent=50) as progress:
        progress.advance()
    assert screen.errors.getvalue().splitlines() == [
        "store.kind: [red]no such kind[/red] " + "x" * 100,
        "22:13:20 replay objects=3 text=withheld(17)",
        "22:13:20 progress task=score_log percent=50 done=1 total=2",
    ]


def test_sentences_of_a_service_are_lines_of_its_log(pipe: Screen, terminal: Screen) -> None:
    called = Screen(terminal=False)
    terminal.console.serve()
    for screen in (pipe, terminal, called):
        screen.console.say('no "such"\nstore', event="failed", level="error", code=78)
    assert pipe.lines == [
        {"time": "2023-11-14T22:13:20.250Z", "level": "error", "event": "failed"}
        | {"code": 78, "message": 'no "such"\nstore'}
    ]
    assert terminal.errors.getvalue() == called.errors.getvalue() == 'no "such"\nstore\n'


@pytest.mark.parametrize(("steps", "told"), [(1, [25, 50, 75, 100]), (30, [30, 60, 90, 120])])
def test_progress_tells_every_few_percent(pipe: Screen, steps: int, told: list[int]) -> None:
    with pipe.console.progress("score log", 100, every_percent=25) as progress:
        for _ in range(0, 100, steps):
            progress.advance(steps)
    assert [line["percent"] for line in pipe.lines] == told
    assert {line["task"] for line in pipe.lines} == {"score_log"}


def test_progress_over_nothing(pipe: Screen) -> None:
    with pipe.console.progress("nothing", 0):
        pass
    assert pipe.lines == []


def test_progress_is_a_bar_on_a_terminal(terminal: Screen) -> None:
    with terminal.console.progress("score log", 8) as progress:
        for _ in range(8):
            progress.advance()
    assert "score log" in terminal.errors.getvalue()
    assert "8/8" in terminal.errors.getvalue()
    assert "percent" not in terminal.errors.getvalue()


ROWS = [("dim\tlights", 12, None), ("stop", 0.123456789, True)]


def test_a_table_for_a_pipe_is_tab_separated(pipe: Screen) -> None:
    pipe.console.table(("intent", "rows", "cap"), ROWS)
    assert pipe.output.getvalue().split("\n") == [
        "intent\trows\tcap",
        "dim\\tlights\t12\t-",
        "stop\t0.123457\tTrue",
        "",
    ]


def test_a_table_as_json_is_exact(pipe: Screen) -> None:
    pipe.console.table(("intent", "rows", "cap"), [*ROWS, ("nan", float("nan"), 1)], as_json=True)
    lines = [json.loads(line) for line in pipe.output.getvalue().splitlines()]
    assert [tuple(line.values()) for line in lines] == [*ROWS, ("nan", "nan", 1)]


def test_a_table_on_a_terminal(terminal: Screen) -> None:
    terminal.console.table(("intent", "rows", "cap"), [("\x1b[2J[red]", 12, None)])
    shown = terminal.output.getvalue()
    assert "intent" in shown
    assert "\\x1b[2J[red]" in shown
    assert "\x1b[2J" not in shown


def test_a_manual_clock_moves_when_told() -> None:
    clock = ManualClock(100.0)
    clock.sleep(5)
    clock.sleep(-1)
    clock.jump(-50)
    assert (clock.monotonic(), clock.now()) == (5.0, 55.0)
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-1)


def test_the_system_clock_never_goes_back() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    clock.sleep(-1)  # no ValueError
    assert clock.monotonic() >= before
    assert clock.now() > 1_700_000_000
