"""How numbers, shares and times are written for people."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

THIN = "\u202f"  # narrow no-break space: a unit stays with its number
MINUS = "\u2212"
DASH = "\u2013"
ROUND = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)


def count(number: int) -> str:
    """12,345."""
    return f"{number:,}".replace("-", MINUS)


def several(number: int, one: str, more: str = "") -> str:
    """The number's noun: `group` or `groups`."""
    return one if number == 1 else more or f"{one}s"


def percent(share: float) -> str:
    """A share in [0, 1]; never 0 for what is not nothing."""
    if 0 < share < 0.0005:
        return f"<0.1{THIN}%"
    digits = 0 if share in (0.0, 1.0) else 1
    return f"{100 * share:.{digits}f}{THIN}%"


def percent_tick(share: float) -> str:
    """As short as an axis can have it."""
    return f"{100 * share:.3g}{THIN}%"


def real(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}".replace("-", MINUS)


def signed(value: float) -> str:
    """+0.213; what rounds to nothing has no sign."""
    text = f"{value:+.3f}"
    return "0.000" if float(text) == 0 else text.replace("-", MINUS)


def bare(share: float) -> str:
    """A share whose unit stands further on."""
    return percent(share).removesuffix(f"{THIN}%")


def interval(low: float, high: float) -> str:
    """Two shares, the unit once."""
    return f"{bare(low)} to {percent(high)}"


def ratio(part: int, whole: int) -> float:
    """A share; 0 of nothing."""
    return part / whole if whole else 0.0


def listed(words: list[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def effective(counts: Iterable[int]) -> float:
    """How many equally large groups would be as diverse: exp of the entropy (Hill 1973, N1)."""
    sizes = [n for n in counts if n > 0]
    total = sum(sizes)
    return math.exp(-sum(n / total * math.log(n / total) for n in sizes)) if total else 0.0


def when(window: int, period_ms: int) -> str:
    """The interval of record time of a window, in UTC; "" for what no calendar holds."""
    try:
        first = datetime.fromtimestamp(window * period_ms / 1000, UTC)
        end = first + timedelta(milliseconds=period_ms)
    except (OverflowError, ValueError, OSError):
        return ""
    clock = "%H:%M" if period_ms % 60_000 == 0 else "%H:%M:%S"
    until = clock if first.date() == end.date() else f"%Y-%m-%d {clock}"
    return f"{first:%Y-%m-%d {clock}} to {end:{until}} UTC"


def axis_top(value: float) -> float:
    """The next round number that is not below the value; 1 for nothing."""
    if value <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(value))
    return next((step * unit for step in ROUND if step * unit >= value), 10 * unit)
