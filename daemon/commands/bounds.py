"""What `--from` and `--until` say: a time, a window, or positions of lanes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

from daemon.commands.session import DIGITS
from daemon.ports import EXIT_CONFIG, Fatal, LaneId

POSITION = re.compile(r"([A-Za-z0-9._-]+)/([0-9]{1,5})=([0-9]{1,18})")


class Bound(NamedTuple):
    """`time_ms`: None where positions are given, or nothing."""

    time_ms: int | None
    positions: dict[LaneId, int]

    @property
    def open(self) -> bool:
        return self.time_ms is None and not self.positions


def read(texts: list[str] | None, option: str, period_ms: int) -> Bound:
    """Each text is TOPIC/PARTITION=POSITION, or the only one is a time or a window's number.

    A window counts as the time of its begin. Raises Fatal.
    """
    positions: dict[LaneId, int] = {}
    for text in texts or []:
        if match := POSITION.fullmatch(text):
            positions[LaneId(match[1], int(match[2]))] = int(match[3])
        elif len(texts or []) > 1:
            raise _no_bound(option)
        else:
            return Bound(_time_ms(text, option, period_ms), {})
    return Bound(None, positions)


def _time_ms(text: str, option: str, period_ms: int) -> int:
    if DIGITS.fullmatch(text):
        return int(text) * period_ms
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _no_bound(option) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def _no_bound(option: str) -> Fatal:
    return Fatal(
        f"{option} names neither a time nor positions",
        code=EXIT_CONFIG,
        hint="write 2024-06-01T12:00Z, a window, or TOPIC/PARTITION=POSITION for each lane",
    )
