"""The policy: everything that is configured about selection, published as part of an edition.

What is not here (threads, batch sizes, paths) belongs to the process and changes no shard.
Fields hold the defaults; the docstring of each struct is what `sluice config show` prints.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, field

SEMANTICS: Final = 1  # what this code computes; an image also runs the one before
Positive = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Path = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^.\s]+(\.[^.\s]+)*$")]


class Kind(Struct, frozen=True, forbid_unknown_fields=True):
    """A kind from its folder, with the options of its file."""

    kind: str
    options: dict[str, Any] = field(default_factory=dict)


class RecordMap(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the fields of an utterance stand in your JSON: dotted paths, null where absent."""

    id: Path = "id"
    text: Path = "text"
    locale: Path | None = None
    intent: Path | None = None  # of the hypothesis, as production answered
    confidence: Path | None = None
    slots: Path | None = None
    label: Path | None = None
    label_source: Literal["annotated", "weak"] | Path = "annotated"  # or a path that says it
    consent: Path | None = None  # true, or the record is refused
    user: Path | None = None  # kept only as a keyed hash
    event_time: Path | None = None  # milliseconds since the epoch; informative
    signals: dict[str, Path] = field(default_factory=dict)  # name -> path, numbers or booleans


class LabelMap(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the fields of a late label or an audit answer stand in its JSON."""

    id: Path = "id"
    label: Path = "label"
    label_source: Literal["annotated", "weak"] | Path = "annotated"
    shard: Path | None = "shard"  # an audit answer names the window of its shard


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """Ceilings that are checked before any work is done on a record."""

    value_bytes: Positive = 65_536
    depth: Positive = 32
    id_chars: Positive = 256
    text_chars: Positive = 512
    locale_chars: Positive = 35
    label_chars: Positive = 128
    slots: Positive = 64


class Groups(Struct, frozen=True, forbid_unknown_fields=True):
    """What is balanced. `by`: the first of these that a record has names its group."""

    by: tuple[Literal["label", "hypothesis", "argmax"], ...] = ("label", "hypothesis", "argmax")
    limit: Positive = 512  # named groups; the rest share `other`
    support: Positive = 20  # records a new group needs before it is named
    traffic_exponent: Share = 0.5  # target share ~ traffic share ** this: 0 equal, 1 as traffic
    floor_rows: NotNegative = 1
    cap_rows: Positive | None = None


class Arms(Struct, frozen=True, forbid_unknown_fields=True):
    """Rows beside the selected ones. Audit and random are uniform by utterance id."""

    audit_rows: NotNegative = 200
    random_rows: NotNegative = 0  # 0: as many as `capacity_rows`
    review_rows: NotNegative = 200


class Quarantine(Struct, frozen=True, forbid_unknown_fields=True):
    """Suspect labels: plausibility under the quantile at min(cap, margin x upper noise bound)."""

    margin: Annotated[float, Meta(ge=1.0, le=3.0)] = 1.3
    cap: Share = 0.4
    assumed_rate: Share | None = None  # used while there are no audit answers
    minimum_answers: Positive = 50  # fewer than these say nothing


class Learning(Struct, frozen=True, forbid_unknown_fields=True):
    """How a calibration remembers: it keeps (memory - 1)/memory of itself each window."""

    memory_windows: Positive = 12
    low_quantile: Share = 0.05
    high_quantile: Share = 0.95
    minimum_rows: Positive = 200  # scored rows remembered under which nothing is weighed


class Rolling(Struct, frozen=True, forbid_unknown_fields=True):
    """The reservoir over many windows, merged from their parts (law 9)."""

    windows: Positive = 24
    capacity_rows: Positive = 2_000
    half_life_windows: Positive | None = None  # None: old rows are worth as much as new ones


class Engine(Struct, frozen=True, forbid_unknown_fields=True):
    """The contract that scores are computed under; a replica that cannot hold it pauses."""

    kind: str = "onnx"
    precision: Literal["fp32"] = "fp32"


class Policy(Struct, frozen=True, forbid_unknown_fields=True):
    """All that decides what is selected."""

    record: RecordMap = RecordMap()
    answer: LabelMap = LabelMap()
    limits: Limits = Limits()
    identity: Literal["text", "id"] = "text"  # what is kept once
    engine: Engine = Engine()
    scores: tuple[Kind, ...] = (Kind("entropy"), Kind("margin"), Kind("el2n"))
    select: Kind = Kind("default")
    reservoir: Kind = Kind("balanced")
    capacity_rows: Positive = 1_000
    pool_rows: Positive | None = None  # candidates kept for late labels; None: capacity_rows
    groups: Groups = Groups()
    arms: Arms = Arms()
    quarantine: Quarantine = Quarantine()
    learning: Learning = Learning()
    rolling: Rolling = Rolling()
    key_id: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,32}$")] = "k1"
    epoch: Literal["constant"] = "constant"  # draws of a text are the same in every window
    semantics: Literal[1] = SEMANTICS
    normaliser: Literal["nfkc-casefold-1"] = "nfkc-casefold-1"
    unicode: str = unicodedata.unidata_version

    @property
    def pool(self) -> int:
        """Rows that a lane keeps: never fewer than any output needs."""
        return max(self.pool_rows or 0, self.capacity_rows, self.rolling.capacity_rows)
