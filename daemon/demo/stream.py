"""The made-up stream: records of a house that talks, and the truth that Sluice never sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from daemon.corpus import Corpus, Row
from daemon.demo.mistakes import FAULTS, answer, confusable, spoil, surface
from daemon.demo.traffic import Plan, Shape, Traffic, plan, traffic
from daemon.policy import RecordMap
from scoring.training.dice import Dice

TOPIC, LABEL_TOPIC = "utterances", "answers"


class Event(NamedTuple):
    """One record of the recording: a JSON object, or bytes that are none."""

    lane: int
    time_ms: int
    value: dict[str, Any] | bytes


class Truth(NamedTuple):
    """What really was said in a record that can be decoded."""

    id: str
    intent: str
    labelled: bool
    flipped: bool  # the label it carries is wrong


@dataclass(frozen=True, slots=True)
class Stream:
    """Events in order of position within each lane, and the truth by record."""

    events: tuple[Event, ...]
    truth: tuple[Truth, ...]
    plan: Plan
    shape: Shape
    malformed: int


def record_map() -> RecordMap:
    """Where the fields stand in the records that `make` writes."""
    return RecordMap(
        id="id",
        text="utterance.text",
        locale="utterance.locale",
        intent="nlu.intent",
        confidence="nlu.confidence",
        slots="nlu.slots",
        label="label.intent",
        label_source="label.source",
        consent="consent",
        user="user.id",
        event_time="time",
        signals={"rephrased": "signals.rephrased", "barge_in": "signals.barge_in"},
    )


def make(corpus: Corpus, shape: Shape | None = None, *, seed: int = 0) -> Stream:
    """Draw a whole stream; equal arguments give equal bytes."""
    chosen = shape or Shape()
    dice = Dice("stream", seed)
    made = plan(corpus, chosen, dice.named("plan"))
    drawn = traffic(made, chosen, dice.named("traffic"))
    people = _People(made, drawn, chosen, dice.named("records"))
    broken = dice.uniforms("broken", chosen.records) < chosen.malformed
    events: list[Event] = []
    truth: list[Truth] = []
    for index, lane in enumerate(drawn.lanes.tolist()):
        said, value = people.record(index)
        if broken[index]:
            fault = FAULTS[(index - len(truth)) % len(FAULTS)]  # each in turn
            events.append(Event(lane, int(drawn.times_ms[index]), spoil(value, fault)))
        else:
            events.append(Event(lane, int(drawn.times_ms[index]), value))
            truth.append(said)
    return Stream(tuple(events), tuple(truth), made, chosen, int(broken.sum()))


class _People:
    """Builds record by record from columns of draws that were made at once."""

    def __init__(self, made: Plan, drawn: Traffic, shape: Shape, dice: Dice) -> None:
        self._drawn, self._shape = drawn, shape
        self._intents = sorted(made.heard)
        self._near = confusable(made.heard)
        count = shape.records
        self._draws: Mapping[str, list[float]] = {
            name: dice.uniforms(name, count).tolist()
            for name in ("surface", "labelled", "flip", "kind", "other", "source", "delay",
                         "right", "confidence", "wrong", "rephrased", "barge_in")
        }  # fmt: skip

    def record(self, index: int) -> tuple[Truth, dict[str, Any]]:
        """Truth and value of record `index`, its label possibly flipped or missing."""
        row, chance = self._drawn.rows[index], {k: v[index] for k, v in self._draws.items()}
        near = self._near[row.intent]
        answered, confidence = answer(
            row.intent,
            near,
            self._intents,
            (chance["right"], chance["confidence"], chance["wrong"]),
            self._shape.production,
        )
        wrong = answered != row.intent
        labelled = chance["labelled"] >= self._shape.unlabelled
        flipped = labelled and chance["flip"] < self._shape.flipped
        value: dict[str, Any] = {
            "id": f"utt-{index:06d}",
            "utterance": {
                "text": surface(row.text, chance["surface"]),
                "locale": self._shape.locale,
            },
            "nlu": {"intent": answered, "confidence": confidence, "slots": slots(row)},
            "user": {"id": f"user-{int(self._drawn.users[index]):04d}"},
            "consent": True,
            "time": int(self._drawn.times_ms[index]) - int(3000 * chance["delay"]),
            "signals": {
                "rephrased": chance["rephrased"] < (0.35 if wrong else 0.03),
                "barge_in": chance["barge_in"] < (0.20 if wrong else 0.04),
            },
        }
        if labelled:
            intent = self._flip(row.intent, near, chance) if flipped else row.intent
            source = "annotated" if chance["source"] < 0.7 else "weak"
            value["label"] = {"intent": intent, "source": source}
        return Truth(value["id"], row.intent, labelled, flipped), value

    def _flip(self, intent: str, near: Sequence[str], chance: Mapping[str, float]) -> str:
        others = near if chance["kind"] < 0.5 else [n for n in self._intents if n != intent]
        return others[int(chance["other"] * len(others))]


def slots(row: Row) -> dict[str, str]:
    """Slot name -> words, from BIO tags; of a name that comes twice the first."""
    found: dict[str, str] = {}
    last, first = "", False
    for word, tag in zip(row.text.split(), row.tags or (), strict=False):
        kind, _, name = tag.partition("-")
        if kind == "B":
            last, first = name, name not in found
            if first:
                found[name] = word
        elif kind == "I" and first and name == last:
            found[name] += f" {word}"
        else:
            first = False
    return found
