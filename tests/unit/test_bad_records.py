"""Bad inputs, by their number in the list of what records have been seen to do.

Each is refused with one reason, or accepted where it only looks bad; its neighbours are unharmed,
and nothing that may be printed repeats what it said.
"""

from __future__ import annotations

import json
import struct
import tracemalloc
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.decode.decoder import AnswerDecoder, Decoder
from daemon.decode.envelope import too_deep
from daemon.decode.normalise import NormaliserUnavailable, normaliser
from daemon.decode.utterance import Answer, Utterance
from daemon.policy import LabelMap, Limits, RecordMap
from scoring.types import Reason, Refusal

OK = Reason.ACCEPTED
R = Reason
MAPPING = RecordMap(
    locale="locale",
    intent="intent",
    confidence="confidence",
    slots="slots",
    label="label",
    user="user",
    event_time="time",
    signals={"n": "n"},
)
normalise = normaliser("nfkc-casefold-1", unicodedata.unidata_version)
DECODER = Decoder(MAPPING, Limits(), b"key", normalise)
CONSENT = Decoder(RecordMap(consent="ok"), Limits(), b"", normalise)
GOOD = b'{"id":"good","text":"turn on the lights","ok":true}'


def having(**fields: Any) -> bytes:
    return json.dumps({"id": "1", "text": "on off"} | fields).encode()


def spans(*ends: tuple[object, object]) -> bytes:
    return having(slots=[{"name": "a", "value": "x", "start": s, "end": e} for s, e in ends])


def text(escaped: str) -> bytes:
    return b'{"id":"1","text":"%s"}' % escaped.encode()


WHOLE = having()
DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
TABLE: list[tuple[str, bytes | None, Reason]] = [
    ("01-empty", b"", R.EMPTY_VALUE),
    ("01-blank", b" \r\n\t", R.EMPTY_VALUE),
    ("02-tombstone", None, R.EMPTY_VALUE),
    ("04-not-utf8", b"\xff\xfe", R.NOT_UTF8),
    ("04-not-utf8-in-text", b'{"id":"1","text":"caf\xe9"}', R.NOT_UTF8),
    ("04-not-utf8-where-nobody-looks", b'{"id":"1","text":"on","x":"\xff"}', R.NOT_UTF8),
    ("05-byte-order-mark", b"\xef\xbb\xbf" + WHOLE, OK),
    ("05-nothing-but-a-mark", b"\xef\xbb\xbf", R.EMPTY_VALUE),
    ("05-two-marks", b"\xef\xbb\xbf" * 2 + WHOLE, R.NOT_JSON),
    ("06-utf16", WHOLE.decode().encode("utf-16"), R.NOT_UTF8),
    ("06-utf16-without-mark", WHOLE.decode().encode("utf-16-le"), R.NOT_JSON),
    ("06-utf32", WHOLE.decode().encode("utf-32-be"), R.NOT_JSON),
    ("07-lone-surrogate", text(r"on \ud800"), R.BAD_TEXT),
    ("07-lone-low-surrogate", text(r"\uDC00 on"), R.BAD_TEXT),
    ("07-surrogates-reversed", text(r"\ude00\ud83d"), R.BAD_TEXT),
    ("07-surrogate-as-bytes", b'{"id":"1","text":"\xed\xa0\x80"}', R.NOT_UTF8),
    ("07-a-pair-is-fine", text(r"on \uD83D\ude00"), OK),
    ("07-only-looks-like-one", text(r"on \\ud800"), OK),
    ("07-where-nobody-looks", b'{"id":"1","text":"on","x":"\\ud800","\\ud800":1}', OK),
    ("07-in-the-id", b'{"id":"\\ud800","text":"on"}', R.BAD_ID),
    ("07-in-the-label", b'{"id":"1","text":"on","label":"\\ud800"}', R.BAD_LABEL),
    ("07-in-a-slot", b'{"id":"1","text":"on","slots":{"\\ud800":1}}', R.BAD_SLOTS),
    ("08-nul-escape", text(r"on \u0000off"), R.BAD_TEXT),
    ("08-nul-byte", text("on \0off"), R.NOT_JSON),
    ("09-truncated", WHOLE[:-1], R.NOT_JSON),
    ("09-truncated-escape", b'{"id":"1","text":"\\u00', R.NOT_JSON),
    ("10-two-documents", WHOLE + WHOLE, R.NOT_JSON),
    ("10-two-lines", WHOLE + b"\n" + WHOLE, R.NOT_JSON),
    ("10-line-end-is-fine", WHOLE + b"\r\n", OK),
    ("11-scalar", b"5", R.NOT_AN_OBJECT),
    ("11-string", b'"on"', R.NOT_AN_OBJECT),
    ("11-null", b"null", R.NOT_AN_OBJECT),
    ("11-array", b"[" + WHOLE + b"]", R.NOT_AN_OBJECT),
    ("12-deep-and-long", DEEP, R.VALUE_TOO_LARGE),
    ("12-deep-objects", having(x=1)[:-2] + b'{"a":' * 32 + b"1" + b"}" * 33, R.TOO_DEEP),
    ("12-deep-arrays-torn", b"[" * 33, R.TOO_DEEP),
    ("12-just-not-too-deep", b'{"id":"1","text":"on","x":' + b"[" * 31 + b"]" * 31 + b"}", OK),
    ("12-wide-is-not-deep", having(x=[[], {}] * 100), OK),
    ("12-brackets-in-strings", having(x='[{"\\' * 100), OK),
    ("13-last-key-wins", b'{"id":"1","text":5,"text":"on"}', OK),
    ("13-last-key-loses", b'{"id":"1","text":"on","text":5}', R.BAD_TEXT),
    ("14-nan", b'{"id":"1","text":"on","confidence":NaN}', R.NOT_JSON),
    ("14-infinity", b'{"id":"1","text":"on","x":-Infinity}', R.NOT_JSON),
    ("14-beyond-doubles", b'{"id":"1","text":"on","confidence":1e999}', R.BAD_HYPOTHESIS),
    ("14-beyond-doubles-signal", b'{"id":"1","text":"on","n":1e999}', R.BAD_SIGNAL),
    ("14-beyond-doubles-unmapped", b'{"id":"1","text":"on","x":1e999}', OK),
    ("15-long-integer-signal", having(n=10**400), R.BAD_SIGNAL),
    ("15-long-integer-time", having(time=10**400), R.BAD_EVENT_TIME),
    ("15-long-integer-id", having(id=10**400), R.BAD_ID),
    ("15-longer-integer-id", b'{"text":"on","id":' + b"9" * 5000 + b"}", R.BAD_ID),
    ("15-long-integer-slot", having(slots={"a": 10**400}), R.BAD_SLOTS),
    ("15-long-integer-unmapped", having(x=10**400), OK),
    ("16-ten-megabytes", having(text="x" * 10_000_000), R.VALUE_TOO_LARGE),
    ("16-ten-megabytes-of-blanks", b" " * 10_000_000, R.VALUE_TOO_LARGE),
    ("18-avro-with-schema-id", b"\x00" + struct.pack(">I", 7) + b"\x02\x0aon", R.NOT_JSON),
    ("18-json-with-schema-id", b"\x00" + struct.pack(">I", 7) + WHOLE, R.NOT_JSON),
    ("19-protobuf", b"\x0a\x03abc\x12\x02on", R.NOT_JSON),
    ("25-no-text", b'{"id":"1"}', R.NO_TEXT),
    ("25-no-id", b'{"text":"on"}', R.NO_ID),
    ("25-null-id", having(id=None), R.NO_ID),
    ("26-text-null", having(text=None), R.NO_TEXT),
    ("26-text-integer", having(text=5), R.BAD_TEXT),
    ("26-text-list", having(text=["on"]), R.BAD_TEXT),
    ("26-id-boolean", having(id=True), R.BAD_ID),
    ("26-id-float", having(id=1.0), R.BAD_ID),
    ("26-id-object", having(id={}), R.BAD_ID),
    ("26-label-integer", having(label=3), R.BAD_LABEL),
    ("27-text-empty", having(text=""), R.EMPTY_TEXT),
    ("27-text-blank", having(text=" \t\u3000\u2028 "), R.EMPTY_TEXT),
    ("28-text-too-long", having(text="x" * 513), R.TEXT_TOO_LONG),
    ("28-text-just-fits", having(text="x" * 512), OK),
    ("28-long-once-unfolded", having(text="\ufdfa" * 40), R.TEXT_TOO_LONG),
    ("29-only-emoji", having(text="\U0001f600\ufe0f"), OK),
    ("29-only-joiners", having(text="\u200d\ufe0f\u2060"), R.EMPTY_TEXT),
    ("29-combining-flood", having(text="z" + "\u0301\u0327" * 255), OK),
    ("30-only-bidi-controls", having(text="\u202e\u2066\u2069"), R.EMPTY_TEXT),
    ("32-injection", having(text='${jndi:x} <b> " } 1\nfake 9', label='"} 1\nx 9'), OK),
    ("36-unknown-intent", having(intent="No_Such", label="no_such"), OK),
    ("36-intent-integer", having(intent=3), R.BAD_HYPOTHESIS),
    ("36-intent-empty", having(intent=""), R.BAD_HYPOTHESIS),
    ("36-label-too-long", having(label="x" * 129), R.BAD_LABEL),
    ("37-confidence-negative", having(confidence=-1), R.BAD_HYPOTHESIS),
    ("37-confidence-two", having(confidence=2), R.BAD_HYPOTHESIS),
    ("37-confidence-string", having(confidence="0.9"), R.BAD_HYPOTHESIS),
    ("37-confidence-null", having(confidence=None), OK),
    ("37-confidence-one", having(confidence=1), OK),
    ("38-span-outside", spans((0, 7)), R.BAD_SLOTS),
    ("38-span-in-utf8-bytes", having(text="größer", slots=[{"name": "a", "start": 0, "end": 8}]),
     R.BAD_SLOTS),
    ("38-spans-overlap", spans((2, 5), (0, 3)), R.BAD_SLOTS),
    ("38-span-reversed", spans((3, 2)), R.BAD_SLOTS),
    ("38-span-empty", spans((3, 3)), R.BAD_SLOTS),
    ("38-span-negative", spans((-1, 2)), R.BAD_SLOTS),
    ("38-span-half", spans((1, None)), R.BAD_SLOTS),
    ("38-span-float", spans((0, 1.0)), R.BAD_SLOTS),
    ("38-spans-touch", spans((3, 6), (0, 3)), OK),
    ("38-slot-nameless", having(slots=[{"value": "x"}]), R.BAD_SLOTS),
    ("38-slot-name-empty", having(slots={"": "x"}), R.BAD_SLOTS),
    ("38-slot-nested", having(slots={"a": {"b": 1}}), R.BAD_SLOTS),
    ("38-slots-string", having(slots="a"), R.BAD_SLOTS),
    ("39-65-slots", having(slots=[{"name": "a"}] * 65), R.BAD_SLOTS),
    ("39-65-slots-by-name", having(slots={str(n): n for n in range(65)}), R.BAD_SLOTS),
    ("39-64-slots", having(slots=[{"name": "a"}] * 64), OK),
    ("40-unknown-locale", having(locale="xx-YY"), OK),
    ("40-locale-not-a-tag", having(locale="en US\n"), R.BAD_LOCALE),
    ("40-locale-empty", having(locale=""), R.BAD_LOCALE),
    ("40-locale-long", having(locale="en" + "-abc" * 9), R.BAD_LOCALE),
    ("40-locale-integer", having(locale=49), R.BAD_LOCALE),
    ("42-id-is-a-path", having(id="../../x"), OK),
    ("42-id-long", having(id="x" * 257), R.BAD_ID),
    ("42-id-empty", having(id=""), R.BAD_ID),
    ("43-user-list", having(user=["x"]), R.BAD_ID),
    ("46-time-negative", having(time=-1), R.BAD_EVENT_TIME),
    ("46-time-string", having(time="2025-01-01"), R.BAD_EVENT_TIME),
    ("46-time-year-10000", having(time=253_402_300_800_000), R.BAD_EVENT_TIME),
    ("46-signal-string", having(n="3"), R.BAD_SIGNAL),
]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_input(value: bytes | None, expected: Reason) -> None:
    decoded = DECODER.decode([GOOD, value, GOOD])
    assert decoded.refusals == ([] if expected is OK else [Refusal(1, expected)])
    assert decoded.rows.tolist() == ([0, 1, 2] if expected is OK else [0, 2])
    assert decoded.utterances[0] == decoded.utterances[-1]


@pytest.mark.parametrize("ok", [False, None, "true", 1, [], "absent"], ids="44-{}".format)
def test_input_44_nothing_but_true_is_consent(ok: object) -> None:
    value = having() if ok == "absent" else having(ok=ok)
    assert CONSENT.decode([GOOD, value, GOOD]).refusals == [Refusal(1, R.NO_CONSENT)]


def test_inputs_31_41_49_repeats_are_as_good_as_the_first() -> None:
    twice = [having(text="caf\u00e9"), having(text="cafe\u0301"), having(text="CAF\u00c9")] * 2
    decoded = DECODER.decode(twice)
    assert {utterance.key_text for utterance in decoded.utterances} == {"caf\u00e9"}
    assert decoded.utterances[1].text == "cafe\u0301"  # as received


def test_inputs_33_to_35_stay_data() -> None:
    said = '\x1b[31m=cmd|\' /C calc\'!A0\n{"level":"error"}'
    [utterance] = DECODER.decode([having(text=said)]).utterances
    assert utterance.text == said
    assert "\x1b" not in utterance.key_text
    assert "\n" not in utterance.key_text


def test_input_16_a_large_value_is_never_copied() -> None:
    large = having(text="\u00e9" * 10_000_000)
    tracemalloc.start()
    refusals = DECODER.decode([large]).refusals
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refusals == [Refusal(0, R.VALUE_TOO_LARGE)]
    assert peak < 100_000


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"x":"]}",'])
def test_input_12_depth_is_found_without_the_stack(opening: bytes) -> None:
    roomy = Decoder(MAPPING, Limits(value_bytes=2_000_000, depth=100_000), b"key", normalise)
    refusals = roomy.decode([opening * 100_000]).refusals
    assert refusals == [Refusal(0, R.TOO_DEEP)]


def test_input_12_the_parsers_own_stack_never_decides() -> None:
    roomy = Decoder(MAPPING, Limits(depth=10_000), b"key", normalise)
    value = having()[:-1] + b',"x":' + b"[" * 300 + b"]" * 300 + b"}"
    assert roomy.decode([value]).refusals == [Refusal(0, R.TOO_DEEP)]


def test_input_07_a_lone_surrogate_elsewhere_leaves_the_text_alone() -> None:
    value = text(r"on \\ud800 \ud83d\ude00\n\u00e9")[:-1]
    [utterance] = DECODER.decode([value + rb',"x":"\udbff"}']).utterances
    assert utterance.text == "on \\ud800 \U0001f600\n\u00e9"


@given(st.recursive(st.text('[]{}"\\a'), lambda inner: st.lists(inner) | st.dictionaries(
    st.text('[{"\\'), inner)), st.integers(0, 6))  # fmt: skip
def test_depth_is_counted_as_a_parser_does(value: Any, limit: int) -> None:
    def depth(inner: Any) -> int:
        if isinstance(inner, str):
            return 0
        return 1 + max(map(depth, inner.values() if isinstance(inner, dict) else inner), default=0)

    assert too_deep(json.dumps(value).encode(), limit) == (depth(value) > limit)


def test_input_43_a_canary_is_never_printed() -> None:
    bird = "canary7731"
    answers = AnswerDecoder(LabelMap(), Limits())
    fields = ("id", "text", "label", "user", "locale", "intent", "slots", "time", "n", bird)
    bad: list[Any] = [bird, [bird], {bird: bird}, bird * 99, f"{bird}\ud800", f"{bird}\0"]
    values = [having(**{field: value}) for field in fields for value in bad]
    values += [value[: value.rfind(b"7731") + 2] for value in values]
    values += [having(id=bird, text=bird, label=bird, user=bird, slots={"a": bird})]
    for kind in (DECODER, answers):
        decoded = kind.decode(values)
        assert decoded.refusals
        seen = f"{decoded!r} {decoded} {decoded.refusals!r} {kind!r} {vars(kind)!r}"
        assert bird not in seen
    found: list[Utterance | Answer] = [*DECODER.decode(values).utterances]
    found += answers.decode(values).answers
    for item in found:
        assert bird not in f"{item!r} {item} {item.__rich_repr__()}"
    assert isinstance(found[0], Utterance)
    users = [item.user for item in found if isinstance(item, Utterance) and item.user]
    assert users
    assert not any(bird in user for user in users)


def test_errors_say_nothing_of_records() -> None:
    with pytest.raises(NormaliserUnavailable) as raised:
        normaliser("nfkc-casefold-1", "1.0")
    assert raised.value.__cause__ is None
