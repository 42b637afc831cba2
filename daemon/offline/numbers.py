"""What the arguments and small files of `sluice select` say: budgets, windows, rates, truths."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from pathlib import Path
from typing import NamedTuple

from daemon.config.settings import period_ms
from daemon.offline.dataset import DataSet, at
from daemon.ports import EXIT_STATE, Fatal


class Keep(NamedTuple):
    """A number of rows of each window, or a share of all rows."""

    number: int | None
    share: float

    def rows(self, total: int, windows: int) -> int:
        """Rows of a window, of which there are so many: a share is of their mean, rounded up."""
        if self.number is not None:
            return self.number
        # 7 % of 100 is 7.000000000000001 in binary: 7 rows
        return max(1, math.ceil(round(self.share * total / windows, 6)))


class Windows(NamedTuple):
    """`shares` equal ones of the file, or periods of time."""

    shares: int = 0
    period_ms: int = 0


def keep(text: str) -> Keep:
    """`50%` or `1000`."""
    number, percent, rest = text.partition("%")
    try:
        if percent and not rest and 0 < float(number) <= 100:
            return Keep(None, float(number) / 100)
        if not percent and number.isdecimal() and int(number) > 0:
            return Keep(int(number), 0.0)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError("must be a share above 0% and up to 100%, or a number of rows")


def windows(text: str) -> Windows:
    """`10`, or `1d`."""
    if text.isdecimal() and 0 < int(text) < 1_000_000:
        return Windows(shares=int(text))
    try:
        return Windows(period_ms=period_ms(text))
    except ValueError:
        what = "must be a number of windows, or a period: 30s, 5m, 1h, 1d"
        raise argparse.ArgumentTypeError(what) from None


def rate(text: str) -> float:
    """A share, 0 to 1."""
    try:
        if 0.0 <= (value := float(text)) <= 1.0:
            return value
    except ValueError:
        pass
    raise argparse.ArgumentTypeError("must be a share from 0 to 1, such as 0.05")


def seeded(seed: int) -> bytes:
    """A key that everybody knows: draws without a secret."""
    return hashlib.blake2b(b"sluice select %d" % seed, digest_size=32).hexdigest().encode()


def truths(path: Path) -> dict[str, str]:
    """id -> true label, of a file of rows. Raises Fatal."""
    found = {}
    for row in DataSet(path, "id").rows():
        name, label = at(row.value, "id"), at(row.value, "label")
        if isinstance(name, int | str) and isinstance(label, str) and label:
            found[str(name)] = label
        else:
            raise Fatal(
                f"{path}, row {row.number} says no label of an id",
                code=EXIT_STATE,
                hint='one line each: {"id": "...", "label": "the true one"}',
            )
    return found


def line(name: str) -> str:
    """An id as a line: as JSON writes it where it holds what cannot be printed."""
    return (name if name.isprintable() else json.dumps(name)) + "\n"
