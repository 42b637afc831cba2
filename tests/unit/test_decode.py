"""What a good record becomes, and that the two readers agree about every other one."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.decode.decoder import AnswerDecoder, Decoder
from daemon.decode.fields import answer_fields, record_fields
from daemon.decode.leaves import Reader
from daemon.decode.normalise import normaliser
from daemon.decode.utterance import Answer, Utterance, pseudonym
from daemon.policy import LabelMap, Limits, RecordMap
from scoring.types import Reason, Refusal

KEY = b"a key for tests"
FULL = RecordMap(
    locale="locale",
    intent="nlu.intent",
    confidence="nlu.confidence",
    slots="nlu.slots",
    label="label",
    label_source="source",
    consent="consent",
    user="user",
    event_time="time",
    signals={"loud": "device.loud", "barge_in": "barge_in"},
)
normalise = normaliser("nfkc-casefold-1", unicodedata.unidata_version)
RECORD: dict[str, Any] = {
    "id": "u-1",
    "text": "Licht  im Flur an",
    "locale": "de-DE",
    "nlu": {
        "intent": "light_on",
        "confidence": 0.75,
        "slots": [{"value": "Flur", "name": "room", "start": 10, "end": 14, "entity": 7}],
    },
    "label": "light_on",
    "source": "annotated",
    "consent": True,
    "user": "jane@example.org",
    "time": 1_760_000_000_000,
    "device": {"loud": -3.5, "serial": "x"},
    "barge_in": False,
}


def dump(record: object) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode()


def decoder(mapping: RecordMap = FULL, limits: Limits | None = None) -> Decoder:
    return Decoder(mapping, limits or Limits(), KEY, normalise)


def one(record: object, mapping: RecordMap = FULL) -> Utterance | Reason:
    decoded = decoder(mapping).decode([dump(record)])
    return decoded.utterances[0] if decoded.utterances else decoded.refusals[0].reason


def test_every_mapped_field_arrives() -> None:
    assert one(RECORD) == Utterance(
        id="u-1",
        text="Licht  im Flur an",
        key_text="licht im flur an",
        locale="de-DE",
        intent="light_on",
        confidence=0.75,
        slots='[{"end":14,"name":"room","start":10,"value":"Flur"}]',
        label="light_on",
        label_source="annotated",
        user=pseudonym(KEY)("jane@example.org"),
        event_time_ms=1_760_000_000_000,
        signals='{"barge_in":false,"loud":-3.5}',
    )


def test_optional_fields_may_be_absent_or_null() -> None:
    bare = {"id": "1", "text": "on", "consent": True}
    expected = Utterance(id="1", text="on", key_text="on")
    assert one(bare) == expected
    assert one(dict.fromkeys(RECORD) | bare) == expected
    assert one(bare | {"nlu": {"intent": None, "slots": None}, "device": {}}) == expected


def test_rows_and_refusals_account_for_every_value() -> None:
    good, bad = dump({"id": 1, "text": "on"}), b"{"
    decoded = decoder(RecordMap()).decode([bad, good, None, good, bad])
    assert decoded.rows.dtype == np.int64
    assert decoded.rows.tolist() == [1, 3]
    assert [refusal.index for refusal in decoded.refusals] == [0, 2, 4]
    nothing = decoder().decode([])
    assert (nothing.utterances, nothing.rows.tolist(), nothing.refusals) == ([], [], [])


@pytest.mark.parametrize("number", [7, -1, 2**64 - 1])
def test_an_integer_id_is_its_decimal_string(number: int) -> None:
    found = one({"id": number, "text": "on"}, RecordMap())
    assert isinstance(found, Utterance)
    assert found.id == str(number)


@pytest.mark.parametrize(
    ("source", "fields", "expected"),
    [
        ("annotated", {}, "annotated"),
        ("weak", {}, "weak"),
        ("by", {"by": "weak"}, "weak"),
        ("by", {"by": "annotated"}, "annotated"),
        ("by", {}, "weak"),  # unsaid: the lesser claim
        ("by", {"label": None, "by": "annotated"}, "none"),
    ],
)
def test_label_source(source: str, fields: dict[str, Any], expected: str) -> None:
    mapping = RecordMap(label="label", label_source=source)
    found = one({"id": "1", "text": "on", "label": "light"} | fields, mapping)
    assert isinstance(found, Utterance)
    assert found.label_source == expected


@pytest.mark.parametrize(
    ("slots", "expected"),
    [
        ({"b": 1, "a": None}, '{"a":null,"b":1}'),
        ({}, "{}"),
        ([], "[]"),
        ([{"name": "a", "value": 1.5}], '[{"name":"a","value":1.5}]'),
        # spans are code points: the emoji is one, the text is six long
        ([{"name": "a", "value": "x", "start": 1, "end": 6}] * 1,
         '[{"end":6,"name":"a","start":1,"value":"x"}]'),
        ([{"name": "b", "start": 3, "end": 6}, {"name": "a", "start": 0, "end": 3}],
         '[{"end":6,"name":"b","start":3},{"end":3,"name":"a","start":0}]'),
    ],
)  # fmt: skip
def test_slots_are_canonical(slots: object, expected: str) -> None:
    found = one({"id": "1", "text": "\U0001f600 on x", "slots": slots}, RecordMap(slots="slots"))
    assert isinstance(found, Utterance)
    assert found.slots == expected


def test_users_are_told_apart_only_with_the_key() -> None:
    hidden = pseudonym(KEY)
    assert hidden("jane") == hidden("jane") != hidden("john")
    assert hidden("jane") != pseudonym(KEY + b"2")("jane")
    assert len(hidden("jane")) == 32
    with pytest.raises(ValueError, match="key is empty"):
        Decoder(FULL, Limits(), b"", normalise)
    Decoder(RecordMap(), Limits(), b"", normalise)  # nothing to hide, no key needed


def test_fields_that_share_bytes_are_read_too() -> None:
    shared = {"n": "nlu.n", "m": "nlu.n"}
    mapping = RecordMap(intent="nlu.intent", label="nlu.intent", signals=shared)
    found = one({"id": "1", "text": "on", "nlu": {"intent": "light", "n": 2}}, mapping)
    assert isinstance(found, Utterance)
    assert (found.intent, found.label, found.signals) == ("light", "light", '{"m":2,"n":2}')


def test_consent_comes_before_every_other_reason() -> None:
    assert one({"id": [], "text": 5}) is Reason.NO_CONSENT
    assert one(RECORD | {"consent": "true", "text": 5}) is Reason.NO_CONSENT
    assert one(RECORD | {"consent": False, "text": ""}) is Reason.NO_CONSENT


def test_answers() -> None:
    answers = AnswerDecoder(LabelMap(label_source="by"), Limits()).decode(
        [
            dump({"id": 5, "label": "a", "by": "annotated", "shard": 12}),
            dump({"id": "x", "label": "a"}),
            dump({"id": "x", "label": None}),
            dump({"id": "x", "label": ""}),
            dump({"id": "x", "label": "a", "shard": "12"}),
            dump({"label": "a"}),
            dump({"id": True, "label": "a"}),
            dump({"id": 10**80, "label": "a"}),
            None,
        ]
    )
    assert answers.answers == [Answer("5", "a", "annotated", 12), Answer("x", "a", "weak", None)]
    assert answers.rows.tolist() == [0, 1]
    assert answers.refusals == [
        Refusal(2, Reason.NO_LABEL),
        Refusal(3, Reason.BAD_LABEL),
        Refusal(4, Reason.BAD_LABEL),
        Refusal(5, Reason.NO_ID),
        Refusal(6, Reason.BAD_ID),
        Refusal(7, Reason.BAD_ID),
        Refusal(8, Reason.EMPTY_VALUE),
    ]


SMALL = Limits(value_bytes=400, depth=4, id_chars=8, text_chars=12, label_chars=5, slots=2)
KEYS = [*RECORD, *RECORD["nlu"], "loud", "name", "value", "start", "end", "other"]
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=14)
    | st.sampled_from(["annotated", "weak", "en-US", 10**400, 2**63, 1.0, "\ud800", "\x00"])
)  # fmt: skip
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=20,
)
CHANGED = st.dictionaries(st.sampled_from(KEYS), JSON, max_size=3).map(lambda new: RECORD | new)
TWISTED = st.builds(
    lambda value, ascii_only: json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "replace"),
    CHANGED | JSON,
    st.booleans(),
)
TORN = st.builds(
    lambda value, at, junk: value[: at % (len(value) + 1)] + junk + value[at % (len(value) + 1) :],
    TWISTED,
    st.integers(0, 500),
    st.binary(max_size=3) | st.sampled_from([b",", b'"', b"\\ud800", b"}", b'"id":1,', b"NaN"]),
)
ENVELOPE = (Reason.EMPTY_VALUE, Reason.VALUE_TOO_LARGE, Reason.NOT_UTF8, Reason.TOO_DEEP)


@given(TWISTED | TORN, st.sampled_from([SMALL, Limits()]))
def test_the_two_readers_agree(value: bytes, limits: Limits) -> None:
    for fields in (record_fields(FULL, limits), answer_fields(LabelMap(), limits)):
        reader = Reader(fields, limits)
        assert reader._fast is not None, "the law would hold of one reader alone"
        found = reader.read(value)
        if found not in ENVELOPE:
            assert repr(found) == repr(reader.read_slowly(value))  # repr: tells 1, 1.0 and True


@given(st.binary(max_size=300) | TWISTED | TORN, st.sampled_from([SMALL, Limits()]))
def test_nothing_raises_and_neighbours_are_unharmed(value: bytes, limits: Limits) -> None:
    good = dump({"id": "g", "text": "on", "label": "x", "consent": True})
    for kind in (decoder(FULL, limits), AnswerDecoder(LabelMap(), limits)):
        decoded = kind.decode([good, value, good])
        assert {0, 2} <= set(decoded.rows.tolist())
        assert len(decoded.rows) + len(decoded.refusals) == 3


@given(CHANGED)
def test_what_is_accepted_is_within_limits_and_can_be_written(record: object) -> None:
    found = decoder(FULL, SMALL).decode([json.dumps(record).encode()])
    for utterance in found.utterances:
        assert 0 < len(utterance.id) <= SMALL.id_chars
        assert 0 < len(utterance.key_text) <= SMALL.text_chars
        assert utterance.key_text == normalise(utterance.text)
        assert utterance.confidence is None or 0 <= utterance.confidence <= 1
        msgspec.json.encode(utterance)  # no lone surrogate anywhere
