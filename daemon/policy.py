"""The policy: everything that is configured about selection, published as part of an edition.

What is not here (threads, batch sizes, paths) belongs to the process and changes no shard.
Fields hold the defaults; the docstring of each struct is what `sluice config show` prints.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, field

from daemon.decode.near import Identity
from daemon.decode.weak import Weak
from daemon.learning.cascade import Second, candidates
from daemon.learning.emitted import Epoch, KnownWindows
from daemon.learning.kind import Kind
from daemon.learning.supplied import Calibrate, History, TagsPath

__all__ = ["Kind"]  # and all that is defined here

SEMANTICS: Final = 1  # what this code computes; an image also runs the one before
Positive = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Path = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^.\s]+(\.[^.\s]+)*$")]


class RecordMap(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the fields of an utterance stand in your JSON: dotted paths, null where absent."""

    id: Path = "id"
    text: Path = "text"
    locale: Annotated[Path | None, Meta(description="language tag")] = None
    intent: Annotated[
        Path | None, Meta(description="of the hypothesis, as production answered")
    ] = None
    confidence: Annotated[Path | None, Meta(description="of the hypothesis, 0 to 1")] = None
    slots: Annotated[Path | None, Meta(description="of the hypothesis")] = None
    label: Annotated[
        Path | None, Meta(description="intent that is taken for true; null: none in the record")
    ] = None
    label_source: Literal["annotated", "weak"] | Path = "annotated"  # or a path that says it
    consent: Annotated[
        Path | None,
        Meta(description="must be true there, or the record is refused; null: nobody is asked"),
    ] = None
    user: Annotated[Path | None, Meta(description="kept only as a keyed hash")] = None
    event_time: Annotated[
        Path | None, Meta(description="milliseconds since 1970; informative, decides nothing")
    ] = None
    signals: Annotated[
        dict[str, Path],
        Meta(description="name: path, of numbers or booleans that rows shall carry"),
    ] = field(default_factory=dict)
    tags: TagsPath = UNSET


class LabelMap(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the fields of a late label or an audit answer stand in its JSON."""

    id: Path = "id"
    label: Path = "label"
    label_source: Literal["annotated", "weak"] | Path = "annotated"
    shard: Annotated[
        Path | None,
        Meta(
            description="an audit answer names the window of its shard; null: all are late labels"
        ),
    ] = "shard"


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
    limit: Annotated[Positive, Meta(description="named groups; the rest share (other)")] = 512
    support: Annotated[
        Positive, Meta(description="records a new group needs before it is named")
    ] = 20
    traffic_exponent: Annotated[
        Share, Meta(description="target share ~ traffic share ** this: 0 all alike, 1 as traffic")
    ] = 0.25
    floor_rows: Annotated[
        NotNegative, Meta(description="rows that a group owns before targets speak; 0: none")
    ] = 1
    cap_rows: Annotated[Positive | None, Meta(description="most rows of one; null: no cap")] = None


class Arms(Struct, frozen=True, forbid_unknown_fields=True):
    """Rows beside the selected ones. Audit and random are uniform by utterance id."""

    audit_rows: Annotated[
        NotNegative, Meta(description="to have labels checked; 0: noise is never measured")
    ] = 200
    random_rows: Annotated[
        NotNegative, Meta(description="to compare with; 0: as many as capacity_rows")
    ] = 0
    review_rows: Annotated[NotNegative, Meta(description="suspect labels; 0: none are shown")] = 200


class Quarantine(Struct, frozen=True, forbid_unknown_fields=True):
    """Suspect labels: plausibility under the quantile at min(cap, margin x audited noise rate)."""

    margin: Annotated[float, Meta(ge=0.1, le=3.0)] = 1.0
    cap: Share = 0.4
    assumed_rate: Annotated[
        Share | None,
        Meta(description="wrong labels until answers tell; null: windows stay cold, not balanced"),
    ] = None
    minimum_answers: Annotated[
        Positive, Meta(description="audit answers under which they say nothing")
    ] = 50


class Learning(Struct, frozen=True, forbid_unknown_fields=True):
    """How a calibration remembers: it keeps (memory - 1)/memory of itself each window."""

    memory_windows: Positive = 12
    low_quantile: Share = 0.05
    high_quantile: Share = 0.95
    minimum_rows: Annotated[
        Positive, Meta(description="scored rows remembered under which nothing is weighed")
    ] = 200


class Rolling(Struct, frozen=True, forbid_unknown_fields=True):
    """The reservoir over many windows, merged from their parts (law 9). null: there is none."""

    windows: Positive = 24
    capacity_rows: Positive = 2_000
    half_life_windows: Annotated[
        Positive | None,
        Meta(
            description="windows until a row counts half; null: old rows are worth as much as new"
        ),
    ] = None


class Engine(Struct, frozen=True, forbid_unknown_fields=True):
    """The contract that scores are computed under; a replica that cannot hold it pauses."""

    kind: str = "onnx"
    precision: Literal["fp32"] = "fp32"


class Policy(Struct, frozen=True, forbid_unknown_fields=True):
    """All that decides what is selected."""

    record: RecordMap = RecordMap()
    answer: LabelMap = LabelMap()
    weak: Weak = Weak()
    limits: Limits = Limits()
    identity: Identity = "text"
    engine: Engine = Engine()
    scores: tuple[Kind, ...] = (Kind("entropy"), Kind("margin"), Kind("el2n"))
    select: Kind = Kind("default")
    reservoir: Kind = Kind("balanced")
    capacity_rows: Annotated[Positive, Meta(description="selected rows of a window")] = 1_000
    pool_rows: Annotated[
        Positive | None,
        Meta(description="candidates of a lane; null: twice the capacity, or what rolling needs"),
    ] = None
    groups: Groups = Groups()
    arms: Arms = Arms()
    quarantine: Quarantine = Quarantine()
    learning: Learning = Learning()
    rolling: Rolling | None = Rolling()
    key_id: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,32}$")] = "k1"
    epoch: Epoch = "constant"
    known_windows: KnownWindows = UNSET
    history: History = UNSET
    calibrate: Calibrate = UNSET
    cascade: Second = UNSET
    semantics: Literal[1] = SEMANTICS
    normaliser: Literal["nfkc-casefold-1"] = "nfkc-casefold-1"
    unicode: str = unicodedata.unidata_version

    @property
    def pool(self) -> int:
        """Rows that a lane keeps: never fewer than any output needs."""
        # late suspects, labels that lose and what the last shards emitted are taken out of the
        # pool: others must be there instead
        chosen_from = max(self.capacity_rows, candidates(self.cascade))
        least = chosen_from * (1 if self.pool_rows else 2)
        rolled = self.rolling.capacity_rows if self.rolling else 0
        return max(self.pool_rows or 0, least, rolled)
