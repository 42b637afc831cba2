"""Random cases: streams with everything that may happen to one, and the schedules to read them."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass, field
from typing import Any

import msgspec

from daemon.config.settings import Stream
from daemon.learning.cascade import Cascade
from daemon.policy import Groups, Kind, Policy, Quarantine
from daemon.ports import LaneId
from tests.streams import CLASSES, PERIOD_MS, Record, say, small_policy

LABELS = LaneId("labels", 0)
MORE_CLASSES = (*CLASSES, "brand_new")  # what a later checkpoint knows


@dataclass(frozen=True)
class Edition:
    """To be published before the run begins."""

    policy: Policy
    first_window: int = 0
    classes: tuple[str, ...] = CLASSES
    seed: int = 0


@dataclass(frozen=True)
class Case:
    """All that a shard is a function of."""

    records: dict[LaneId, list[Record]]
    kinds: dict[LaneId, str]
    stream: Stream
    editions: tuple[Edition, ...]
    step: int = 1

    @property
    def utterances(self) -> int:
        """Records of utterance lanes."""
        return sum(len(r) for lane, r in self.records.items() if self.kinds[lane] == "utterances")


@dataclass(frozen=True)
class Schedule:
    """All that a shard must not be a function of."""

    seed: int = 0
    batch_records: int = 7
    poll_records: int = 20
    read_ahead: int = 2
    lanes_at_once: int = 1


def schedules(seed: int, count: int) -> list[Schedule]:
    """Different ways to read the same log; the first two are the extremes."""
    rng = random.Random(f"schedule {seed}")
    some = [Schedule(seed, 1, 1, 0, 1), Schedule(seed + 1, 1000, 1000, 8, 9)]
    while len(some) < count:
        some.append(
            Schedule(
                rng.randrange(1 << 30),
                rng.choice([1, 2, 5, 30]),
                rng.choice([1, 3, 10, 100]),
                rng.choice([0, 1, 3, 9]),
                rng.choice([1, 2, 5]),
            )
        )
    return some[:count]


def random_stream(rng: random.Random) -> Stream:
    """Waits of 0 to 2 windows, the lag at its bound or above it."""
    grace, label_wait = rng.choice([0, 1, 1, 2]), rng.choice([0, 0, 1, 2])
    lag = 2 + grace + label_wait + rng.choice([0, 0, 1, 3])
    return Stream(period_ms=PERIOD_MS, grace=grace, label_wait=label_wait, lag=lag)


def random_policy(rng: random.Random) -> Policy:
    """One that `sluice config check` accepts."""
    identity = rng.choice(["text", "id"])
    score = rng.choice(["entropy", "margin", "el2n"])
    select = rng.choice([Kind("default", {"score": score}), Kind("uniform"), Kind("weighted")])
    by: Any = rng.choice([("label", "argmax"), ("label", "hypothesis", "argmax"), ("argmax",)])
    if identity == "text" and select.kind == "default":
        by = ("label", "argmax")
    return small_policy(
        identity=identity,
        select=select,
        reservoir=Kind(rng.choice(["balanced", "balanced", "uniform", "newest"])),
        capacity_rows=rng.choice([1, 5, 12]),
        groups=Groups(
            by=by,
            support=rng.choice([1, 3]),
            limit=rng.choice([2, 5]),
            floor_rows=rng.choice([0, 1]),
            cap_rows=rng.choice([None, 2]),
            traffic_exponent=rng.choice([0.0, 0.5, 1.0]),
        ),
        quarantine=Quarantine(
            assumed_rate=rng.choice([None, 0.1, 0.5]), minimum_answers=rng.choice([3, 50])
        ),
    )


@dataclass
class _Writer:
    """Fills lanes, and remembers what a label lane could speak about."""

    rng: random.Random
    records: dict[LaneId, list[Record]]
    number: int = 0
    said: list[tuple[int, int]] = field(default_factory=list)  # window, number

    def utterance(self, lane: LaneId, window: int) -> None:
        rng = self.rng
        time_ms = window * PERIOD_MS + rng.randint(0, PERIOD_MS - 1)
        if rng.random() < 0.05:
            time_ms = max(0, time_ms - rng.randint(1, 3) * PERIOD_MS)
        self.number += 1
        if rng.random() < 0.03:
            self.records[lane].append((time_ms, rng.choice([b"", b"{", None, b"[]"])))
            return
        labels: list[str | None] = [*CLASSES, None]
        if window > 8:
            labels.append("brand_new")
        text = f"say {int(rng.paretovariate(0.7)) % 30}"
        intent = rng.choice([None, *CLASSES])
        value = say(self.number, text, rng.choice(labels), intent=intent)
        self.records[lane].append((time_ms, value))
        self.said.append((window, self.number))

    def answer(self, lane: LaneId, window: int) -> None:
        """A late label, an answer to an audit, or rubbish."""
        rng = self.rng
        time_ms = window * PERIOD_MS + rng.randint(0, PERIOD_MS - 1)
        if rng.random() < 0.05 or not self.said:
            self.records[lane].append((time_ms, rng.choice([b"{", b"{}", None])))
            return
        about, number = rng.choice(self.said[-60:])
        body: dict[str, object] = {"id": f"u{number}", "label": rng.choice(MORE_CLASSES)}
        if rng.random() < 0.6:  # of a shard that is there, or never will be
            body["shard"] = about if about < window else 3
        self.records[lane].append((time_ms, msgspec.json.encode(body)))


def random_case(seed: int, *, windows: int = 6, per_window: int = 14) -> Case:
    """Repeats, labels, rubbish, late records, idle lanes, gaps, answers, a change of edition."""
    rng = random.Random(seed)
    lanes = [LaneId("u", p) for p in range(rng.choice([1, 2, 3]))]
    if rng.random() < 0.3:
        lanes.append(LaneId("another", 0))
    labelled = rng.random() < 0.7
    records: dict[LaneId, list[Record]] = {lane: [] for lane in lanes}
    kinds = dict.fromkeys(lanes, "utterances")
    if labelled:
        records[LABELS], kinds[LABELS] = [], "labels"
    writer = _Writer(rng, records)
    at, gap = 5, rng.choice([0, 0, 40])
    silent_from = {lane: rng.choice([99, 99, at + 2]) for lane in lanes[1:]}
    for index in range(windows):
        window = at + index + (gap if index >= windows // 2 else 0)
        for lane in lanes:
            if index and (rng.random() < 0.15 or window >= silent_from.get(lane, 1 << 30)):
                continue
            least = 0 if index else 1
            for _ in range(rng.randint(least, 2 * per_window // len(lanes))):
                writer.utterance(lane, window)
        for _ in range(rng.randint(0, 12) if labelled else 0):
            writer.answer(LABELS, window)
    policy = random_policy(rng)
    editions = [Edition(policy)]
    if rng.random() < 0.4:
        later = msgspec.structs.replace(policy, capacity_rows=rng.choice([3, 9]))
        classes = rng.choice([CLASSES, MORE_CLASSES])
        editions.append(Edition(later, at + windows // 2, classes, seed=1))
    stream, step = random_stream(rng), rng.choice([1, 1, 3])
    made = novel(editions, random.Random(f"novel {seed}"))
    return Case(records, kinds, stream, cascaded(made, random.Random(f"cascade {seed}")), step)


def cascaded(editions: tuple[Edition, ...], rng: random.Random) -> tuple[Edition, ...]:
    """Every fourth case has two stages, in some not from the first edition on, or not to the last.
    Their second scores need no other checkpoint: this is about when and where they act."""
    if rng.random() < 3 / 4:
        return editions
    chosen = rng.choice([range(len(editions)), [rng.randrange(len(editions))]])
    made = list(editions)
    for number in chosen:
        policy = made[number].policy
        score = rng.choice(["least_confidence", "loss"])  # one of them needs a label
        second = Cascade(
            policy.capacity_rows + rng.choice([1, 6, 30]),
            (Kind(score),),
            Kind("weighted", {"score": score, "eps": 0.05}),
        )
        reservoir = Kind("balanced") if policy.reservoir.kind == "newest" else policy.reservoir
        groups = msgspec.structs.replace(policy.groups, by=("label", "argmax"))
        policy = msgspec.structs.replace(
            policy, cascade=second, rolling=None, reservoir=reservoir, groups=groups
        )
        made[number] = dataclasses.replace(made[number], policy=policy)
    return tuple(made)


def novel(editions: list[Edition], rng: random.Random) -> tuple[Edition, ...]:
    """Every third case refuses what was emitted, for ever or for a while; in some, not from the
    first edition on, or not to the last."""
    if rng.random() < 2 / 3:
        return tuple(editions)
    known: Any = rng.choice([msgspec.UNSET, msgspec.UNSET, 1, 3])
    mixed = len(editions) > 1 and rng.random() < 0.5
    chosen = [rng.randrange(len(editions))] if mixed else range(len(editions))
    made = list(editions)
    for number in chosen:
        policy = msgspec.structs.replace(
            made[number].policy, epoch="window", known_windows=known, rolling=None
        )
        made[number] = dataclasses.replace(made[number], policy=policy)
    return tuple(made)
