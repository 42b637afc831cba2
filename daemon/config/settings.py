"""The shape of the one configuration file. What it means is checked in daemon/config/sanity.py.

The policy decides what is selected and is published as part of an edition; `stream` is fixed in
the genesis; all the rest concerns this process alone and changes no shard.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct, field

from daemon.policy import Kind, Policy
from daemon.ports import EXIT_CONFIG, Fatal

KEY_VARIABLE = "SLUICE_KEY_FILE"
URI = r"^([a-z][a-z0-9+.-]*://[^/\s]|file:///|/)\S*$"
PERIOD = re.compile(r"^([1-9][0-9]{0,8})(s|m|h|d)$")
UNITS_MS: Mapping[str, int] = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
PERIOD_MS_MAX = 31 * UNITS_MS["d"]

Text = Annotated[str, Meta(min_length=1, max_length=4096)]
Windows = Annotated[int, Meta(ge=0, le=10_000)]


class ConfigError(Fatal):
    """The configuration cannot be run. `str` is one line per fault: `path.to.key: what is wrong`.

    Holds names of keys, numbers and names of kinds, never a text value of the file.
    """

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults), code=EXIT_CONFIG)
        self.faults = faults


class Stream(Struct, frozen=True, forbid_unknown_fields=True):
    """Fixed for ever in the genesis of a store: to change any of it is another deployment."""

    period_ms: Annotated[
        int, Meta(description="length of a window: 30s, 5m, 1h, 1d, or whole seconds")
    ] = field(default=300_000, name="period")
    grace: Annotated[
        Windows, Meta(description="windows that an idle lane stays open behind the others")
    ] = 1
    label_wait: Annotated[
        Windows, Meta(description="windows that late labels may take to arrive; 0: their own alone")
    ] = 0
    lag: Annotated[
        Windows,
        Meta(description="windows between learning and use; at least 2 + grace + label_wait"),
    ] = 3


class Keys(Struct, frozen=True, forbid_unknown_fields=True):
    """The secret behind identities and draws. Two deployments with one key select alike."""

    file: Annotated[
        Text | None,
        Meta(description=f"path of a file of 16 bytes or more; null: environment {KEY_VARIABLE}"),
    ] = None


class Process(Struct, frozen=True, forbid_unknown_fields=True):
    """How this process works. Nothing here changes a shard."""

    threads: Annotated[
        Annotated[int, Meta(ge=1, le=1024)] | None,
        Meta(description="threads of the model; null: one per core"),
    ] = None
    batch_records: Annotated[
        int, Meta(ge=1, le=16_384, description="utterances that are scored together")
    ] = 1_024
    poll_records: Annotated[
        int, Meta(ge=1, le=1_000_000, description="records that one poll may return")
    ] = 4_096
    read_ahead: Annotated[
        int, Meta(ge=0, le=64, description="batches that are prepared while the model runs")
    ] = 2
    ahead_seconds: Annotated[
        Annotated[int, Meta(ge=0, le=31_536_000)] | None,
        Meta(
            description="a live record further ahead of our clock pauses its lane until the clock "
            "comes near; null: `stream.grace` windows"
        ),
    ] = None

    watchdog_seconds: Annotated[
        int,
        Meta(ge=0, le=86_400, description="a loop that hangs for longer is ended; 0: never"),
    ] = 600

    def ahead_ms(self, grace_ms: int) -> int:
        """How far ahead of our clock a live record may be."""
        return grace_ms if self.ahead_seconds is None else self.ahead_seconds * 1000


class Http(Struct, frozen=True, forbid_unknown_fields=True):
    """Where /metrics, /livez and /readyz are served: plain HTTP, GET only, nothing secret."""

    port: Annotated[
        Annotated[int, Meta(ge=1, le=65_535)] | None,
        Meta(description="TCP port; null: nothing is served"),
    ] = None
    bind: Annotated[
        Text, Meta(description="address to listen on; 0.0.0.0 is every IPv4 address of the host")
    ] = "127.0.0.1"
    live_seconds: Annotated[
        int,
        Meta(ge=10, le=3600, description="/livez fails when the loop stood still for longer"),
    ] = 120


class DeadLetters(Struct, frozen=True, forbid_unknown_fields=True):
    """Who is told of records that were refused: where, why, by which edition. What they said stays
    out unless `payload` is true; whoever may read the letters may then read what people said.
    """

    outlet: Annotated[
        Kind | None, Meta(description="where letters go; null: refusals are counted only")
    ] = None
    payload: Annotated[bool, Meta(description="letters carry the record's bytes")] = False
    payload_bytes: Annotated[
        int, Meta(ge=1, le=1 << 26, description="of a larger record the bytes are left out")
    ] = 65_536
    breaker_share: Annotated[
        float,
        Meta(ge=0, le=1, description="if more than this share is refused, a live run holds"),
    ] = 0.5
    breaker_records: Annotated[
        int, Meta(ge=1, le=10_000_000, description="of so many records, the newest")
    ] = 10_000

    @property
    def kept_bytes(self) -> int:
        """The largest record whose bytes a letter carries; 0: none."""
        return self.payload_bytes if self.payload else 0


class Announcements(Struct, frozen=True, forbid_unknown_fields=True):
    """Who is told of each shard that was made: its window, digests, and where its manifest lies."""

    outlet: Annotated[
        Kind | None, Meta(description="where announcements go; null: nobody is told")
    ] = None
    uri: Annotated[
        Annotated[str, Meta(pattern=URI)] | None,
        Meta(description="of the store as readers reach it; null: the store's own url or path"),
    ] = None


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that is configured, in one file."""

    store: Annotated[Kind, Meta(description="where registry, parts and shards live")]
    source: Annotated[Kind, Meta(description="where records come from")]
    stream: Stream = Stream()
    keys: Keys = Keys()
    process: Process = Process()
    http: Http = Http()
    dead_letters: DeadLetters = DeadLetters()
    announcements: Announcements = Announcements()
    policy: Policy = Policy()

    @property
    def announced_base(self) -> str:
        """What names of objects are appended to, without a slash at its end."""
        own = self.store.options.get("url") or self.store.options.get("path") or ""
        return (self.announcements.uri or str(own)).rstrip("/")


def period_ms(value: object) -> int:
    """Milliseconds of a period as the file states it: "5m" or whole seconds.

    Raises ValueError with what is wrong, for every other value and outside 1 s .. 31 days.
    """
    if isinstance(value, str) and (match := PERIOD.match(value)):
        result = int(match[1]) * UNITS_MS[match[2]]
    elif isinstance(value, int) and not isinstance(value, bool):
        result = value * UNITS_MS["s"]
    else:
        raise ValueError("is no period: write 30s, 5m, 1h, 1d, or whole seconds")
    if result < UNITS_MS["s"]:
        raise ValueError("must be at least one second, or no window would ever end")
    if result > PERIOD_MS_MAX:
        raise ValueError("must be at most 31d: a crash costs up to one window of scoring")
    return result


def period_text(value_ms: int) -> str:
    """The shortest text that `period_ms` reads as this many (whole seconds of) milliseconds."""
    unit = max((u for u, ms in UNITS_MS.items() if value_ms % ms == 0), key=UNITS_MS.__getitem__)
    return f"{value_ms // UNITS_MS[unit]}{unit}"
