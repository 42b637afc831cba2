"""Labels made of confident answers that nobody objected to, and when that is not enough."""

from __future__ import annotations

import unicodedata
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config import weak as weakness
from daemon.config.reader import parse
from daemon.config.sanity import advice
from daemon.decode.decoder import Decoder
from daemon.decode.normalise import normaliser
from daemon.decode.utterance import Utterance
from daemon.decode.weak import Weak
from daemon.policy import Groups, Kind, Limits, Policy, Quarantine, RecordMap
from tests.cases import LABELS
from tests.selection import labelled, lane_split, run, selected
from tests.streams import CLASSES, say, small_policy
from tests.unit.test_config import BASE, message
from tests.unit.test_late_labels import told

SIGNALS = {"barge_in": "s.barge", "rephrased": "s.again", "zz_volume": "s.volume"}
MAPPING = RecordMap(
    label="label", label_source="by", intent="intent", confidence="sure", signals=SIGNALS
)
WEAK = Weak(confidence=0.8, vetoes=("barge_in", "rephrased"))
PLAIN = normaliser("nfkc-casefold-1", unicodedata.unidata_version)
MADE = ("music", "weak")
NONE = (None, "none")
SURE = {"intent": "music", "sure": 0.9}


def decoded(body: dict[str, Any], weak: Weak = WEAK, mapping: RecordMap = MAPPING) -> Utterance:
    value = msgspec.json.encode({"id": "1", "text": "on", **body})
    (found,) = Decoder(mapping, Limits(), b"", PLAIN, weak).decode([value]).utterances
    return found


def label(body: dict[str, Any], weak: Weak = WEAK) -> tuple[str | None, str]:
    found = decoded(body, weak)
    assert found.intent == body.get("intent"), "the hypothesis stays what it was"
    return found.label, found.label_source


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (SURE, MADE),
        ({**SURE, "sure": 0.8}, MADE),
        ({**SURE, "sure": 0.7999}, NONE),
        ({"intent": "music"}, NONE),
        ({"sure": 1.0}, NONE),
        ({**SURE, "label": "alarm", "by": "annotated"}, ("alarm", "annotated")),
        ({**SURE, "s": {"barge": False, "again": 0, "volume": 7}}, MADE),
        ({**SURE, "s": {"barge": True}}, NONE),
        ({**SURE, "s": {"again": 1}}, NONE),
        ({**SURE, "s": {"again": -0.5}}, NONE),
        ({**SURE, "s": {"barge": None, "again": 0.0}}, MADE),
    ],
)
def test_a_confident_answer_that_nobody_objected_to_is_a_label(
    body: dict[str, Any], expected: tuple[str | None, str]
) -> None:
    assert label(body) == expected


def test_without_a_bound_no_label_is_made() -> None:
    assert label(SURE, Weak()) == NONE
    assert label(SURE, Weak(confidence=0.0)) == MADE
    assert label({**SURE, "s": {"barge": True}}, Weak(confidence=0.0)) == MADE, "no veto named"


def test_a_mapping_without_signals_has_none_to_ask() -> None:
    mapping = RecordMap(intent="intent", confidence="sure")
    assert decoded(SURE, Weak(confidence=0.5), mapping).label == "music"
    with pytest.raises(ValueError, match=r"2 of policy\.weak\.vetoes"):
        Decoder(mapping, Limits(), b"", PLAIN, WEAK)


@given(
    sure=st.none() | st.floats(0, 1),
    barge=st.none() | st.booleans() | st.integers(-3, 3),
    least=st.floats(0, 1),
)
def test_the_rule(sure: float | None, barge: float | None, least: float) -> None:
    body = {"intent": "music", "sure": sure, "s": {"barge": barge}}
    expected = sure is not None and sure >= least and not barge
    assert (label(body, Weak(least, ("barge_in",))) == MADE) == expected


def world(**changes: Any) -> Policy:
    """EL2N alone is weighed: a record without a label is refused."""
    policy = small_policy(
        select=Kind("weighted", {"score": "el2n"}), quarantine=Quarantine(assumed_rate=0.0),
        groups=Groups(by=("label", "argmax"), limit=9), capacity_rows=40, **changes,
    )  # fmt: skip
    record = msgspec.structs.replace(policy.record, confidence="sure", signals={"barge_in": "b"})
    return msgspec.structs.replace(policy, record=record)


def test_weak_labels_are_selected_like_others_and_say_what_they_are() -> None:
    values = [
        say(n, f"say {n}", intent=CLASSES[n % 4], sure=0.5 + (n % 2) / 2, b=n % 3 == 0)
        for n in range(48)
    ]
    weak = Weak(confidence=0.9, vetoes=("barge_in",))
    rows = selected(run(lane_split(values, 3), world(weak=weak)))
    expected = {f"u{n}": CLASSES[n % 4] for n in range(48) if n % 2 and n % 3}
    assert {row["id"]: row["label"] for row in rows} == expected
    assert {row["label_source"] for row in rows} == {"weak"}
    assert not selected(run(lane_split(values, 3), world())), "none is made unasked"


def test_an_annotator_corrects_a_weak_label() -> None:
    values = [say(n, f"say {n}", intent="music", sure=1.0) for n in range(12)]
    records = lane_split(values, 2)
    records[LABELS] = told({3: "alarm", 4: "music"})
    rows = {r["id"]: r for r in selected(run(records, world(identity="id", weak=Weak(0.9))))}
    assert (rows["u3"]["label"], rows["u3"]["label_source"]) == ("alarm", "annotated")
    assert (rows["u5"]["label"], rows["u5"]["label_source"]) == ("music", "weak")
    assert len(rows) == 12


@pytest.mark.parametrize("identity", ["id", "text"])
def test_lanes_change_nothing(identity: Any) -> None:
    """Some records of a text have labels, some get weak ones, some get none."""
    shapes = [msgspec.json.decode(value) for value in labelled(80, 20)]
    values = [
        msgspec.json.encode({**shape, "intent": CLASSES[n % 3], "sure": n % 7 / 6})
        for n, shape in enumerate(shapes)
    ]
    policy = world(identity=identity, weak=Weak(confidence=0.5))
    found = []
    for lanes in (1, 4):
        rows = selected(run(lane_split(values, lanes), policy))
        columns = ("text", "group", "log_rank", "weight", "multiplicity")
        found.append(sorted(tuple(row[name] for name in columns) for row in rows))
    assert found[0] == found[1] and len(found[0]) > 10


RECORD = "record: {intent: i, confidence: c, signals: {barge_in: b}}, "
FAULTS = {
    "weak: {confidence: 0.9}": "policy.weak.confidence: needs policy.record.intent, without it no "
    "hypothesis would ever become a label\npolicy.weak.confidence: needs policy.record.confidence, "
    "without it no hypothesis would ever become a label",
    RECORD + "weak: {confidence: 0.9, vetoes: [barge-in]}": "policy.weak.vetoes: names what "
    "policy.record.signals does not map; did you mean barge_in?",
    RECORD + "weak: {vetoes: [barge_in]}": "policy.weak: has no confidence, so no label is made "
    "and the rest says nothing",
}


@pytest.mark.parametrize("text", FAULTS)
def test_labels_that_could_never_be_are_refused(text: str) -> None:
    assert message(f"{BASE}policy: {{{text}}}") == FAULTS[text]


BLIND = (
    "policy.weak.model_family: {}, and el2n of a label that the same family made says no more than "
    "its confidence; weigh entropy, or score with another model and name the family here"
)
NOBODY = "nobody says which model made the labels"
EL2N = "select: {kind: weighted, options: {score: el2n}}"


def config(weak: str, select: str = EL2N) -> Any:
    return parse(f"{BASE}policy: {{{RECORD}{select}, weak: {{confidence: 0.9, {weak}}}}}")


def test_who_weighs_labels_of_its_own_family_is_told() -> None:
    said = list(advice(config("vetoes: [barge_in]")))
    assert said == [BLIND.format(NOBODY)]
    assert not list(advice(config("vetoes: [barge_in], model_family: old")))
    assert not list(advice(config("vetoes: [barge_in]", "select: {kind: default}"))), "entropy"
    other = "scores: [{kind: rho_loss}], select: {kind: weighted, options: {score: rho_loss}}"
    assert not list(advice(config("vetoes: [barge_in]", other))), "another model has its say"
    (empty,) = advice(config("vetoes: [], model_family: old"))
    assert empty.startswith("policy.weak.vetoes: is empty")


def test_a_checkpoint_of_the_family_is_named_when_it_is_published() -> None:
    named = config("vetoes: [barge_in], model_family: Distil").policy
    own = "this checkpoint is of the family that made the labels"
    assert list(weakness.published(named, "distil-2024-06-01")) == [BLIND.format(own)]
    assert not list(weakness.published(named, "bert-2024-06-01"))
    unnamed = config("vetoes: [barge_in]").policy
    assert list(weakness.published(unnamed, "bert")) == [BLIND.format(NOBODY)]
    assert not list(weakness.published(Policy(), "bert")), "no weak labels, nothing to say"
