"""What shards have emitted: their texts (or ids) are refused for some windows (novelty). Pure.

A text is known by the first 64 bits of its identity. The comparison is exact but for chance: with
n known texts another text passes for one of them with probability n / 2**64.

A calibration names runs: objects of sorted hashes, each with the window that emitted it. A shard
adds one run of its own; when that would be too many, all become one, as in a log-structured merge
tree (O'Neil, Cheng, Gawlick and O'Neil 1996). So a calibration stays small, and a window writes
what is new and not what is known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct, UnsetType

PREFIX = "emitted/"
MOST_RUNS = 64  # named by one calibration
ROW_BYTES = 10  # of a hash and its age in a run
NEVER_EMITTED = -1  # no window
DEFAULT_WINDOWS = 288

Epoch = Annotated[
    Literal["constant", "window"],
    Meta(description="of the draws; window: what a shard has emitted is refused for a while"),
]
KnownWindows = (
    Annotated[
        int,
        Meta(
            ge=1,
            le=65_535,  # an age has 16 bits
            description="with epoch window: windows for which an emitted text stays known; "
            f"{DEFAULT_WINDOWS} where it is left out",
        ),
    ]
    | UnsetType
)
Hashes = npt.NDArray[np.uint64]
Int64s = npt.NDArray[np.int64]


def lifetime(epoch: str, windows: int | UnsetType) -> int:
    """Windows for which an emitted text is refused, of a policy's two fields; 0: none is."""
    if epoch == "constant":
        return 0
    return DEFAULT_WINDOWS if isinstance(windows, UnsetType) else windows


class Run(Struct, frozen=True, array_like=True):
    """How a calibration names a run. A list in JSON: there may be MOST_RUNS of them."""

    window: int  # the newest that emitted a row of it
    rows: int
    digest: str  # of its bytes: the first half of the sha256, hex

    @property
    def name(self) -> str:
        """Of the object. Content-addressed: who makes it twice makes the same."""
        return f"{PREFIX}{self.window:012d}-{self.digest}.bin"


@dataclass(frozen=True, slots=True, eq=False)
class Emission:
    """The content of a run."""

    window: int
    hashes: Hashes  # (n,) ascending, each once
    ages: npt.NDArray[np.uint16]  # (n,) windows before `window` that emitted it

    @property
    def windows(self) -> Int64s:
        """(n,) that emitted each."""
        return self.window - self.ages.astype(np.int64)


def emission(window: int, hashes: Sequence[int] | Hashes) -> Emission:
    """What the shard of one window emitted, in any order."""
    distinct = np.unique(np.asarray(hashes, np.uint64))
    return Emission(window, distinct, np.zeros(len(distinct), np.uint16))


def merged(emissions: Sequence[Emission], since: int) -> Emission:
    """One run of several, without what was emitted before `since`; the newest window counts."""
    hashes = np.concatenate([one.hashes for one in emissions])
    windows = np.concatenate([one.windows for one in emissions])
    stay = windows >= since
    hashes, windows = hashes[stay], windows[stay]
    order = np.lexsort((windows, hashes))
    hashes, windows = hashes[order], windows[order]
    last = np.append(hashes[1:] != hashes[:-1], True)[: len(hashes)]
    newest = max(one.window for one in emissions)
    return Emission(newest, hashes[last], (newest - windows[last]).astype(np.uint16))


def encode(made: Emission) -> tuple[Run, bytes]:
    """A run's bytes: all hashes, then all ages; little-endian, of 8 and 2 bytes."""
    data = made.hashes.astype("<u8").tobytes() + made.ages.astype("<u2").tobytes()
    return Run(made.window, len(made.hashes), hashlib.sha256(data).hexdigest()[:32]), data


def decode(run: Run, data: bytes) -> Emission:
    """The content of a run. Raises ValueError where these are not its bytes."""
    if hashlib.sha256(data).hexdigest()[:32] != run.digest or len(data) != ROW_BYTES * run.rows:
        raise ValueError(f"{run.name} does not hold what its name says")
    hashes = np.frombuffer(data, "<u8", run.rows).astype(np.uint64, copy=False)
    ages = np.frombuffer(data, "<u2", run.rows, 8 * run.rows).astype(np.uint16, copy=False)
    return Emission(run.window, hashes, ages)


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What one window refuses: all that was emitted in `since` or later, up to a calibration."""

    emissions: tuple[Emission, ...] = ()
    since: int = 0

    @classmethod
    def of(cls, emissions: Sequence[Emission], since: int) -> Known:
        """The oldest run is by far the largest: shared by all windows; the others become one."""
        first, rest = tuple(emissions[:1]), emissions[1:]
        return cls((*first, merged(rest, since)) if rest else first, since)

    def windows(self, hashes: Hashes) -> Int64s:
        """(n,) the last window that emitted each; NEVER_EMITTED where none did since `since`."""
        found = np.full(len(hashes), NEVER_EMITTED, np.int64)
        for one in self.emissions:
            if not len(one.hashes):
                continue
            place = np.minimum(np.searchsorted(one.hashes, hashes), len(one.hashes) - 1)
            when = one.window - one.ages[place].astype(np.int64)
            hit = (one.hashes[place] == hashes) & (when >= self.since)
            found = np.where(hit, np.maximum(found, when), found)
        return found

    def contains(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """(n,) whether each is known."""
        known: npt.NDArray[np.bool_] = self.windows(hashes) != NEVER_EMITTED
        return known

    @property
    def texts(self) -> int:
        """How many are known, each once."""
        count = 0
        for at, one in enumerate(self.emissions):
            live = one.hashes[one.windows >= self.since]
            earlier = Known(self.emissions[:at], self.since)
            count += int(np.count_nonzero(~earlier.contains(live)))
        return count


NOTHING = Known()


def grow(
    runs: Sequence[Run], known: Known, fresh: Emission, since: int
) -> tuple[tuple[Run, ...], bytes]:
    """Runs after a shard emitted `fresh`, and the bytes of the last; b"" where it emitted nothing.

    `known`: the content of `runs`, what was emitted before `since` needs not be there.
    """
    stay = tuple(run for run in runs if run.window >= since)
    if not len(fresh.hashes):
        return stay, b""
    whole = len(stay) >= MOST_RUNS
    run, data = encode(merged((*known.emissions, fresh), since) if whole else fresh)
    return (run,) if whole else (*stay, run), data
