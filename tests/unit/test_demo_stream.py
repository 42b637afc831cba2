"""The made-up stream: its shape, its errors, its truth, and how the policy reads it."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter, defaultdict
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

from daemon.corpus import Corpus, Row
from daemon.decode.decoder import Decoded, Decoder
from daemon.decode.normalise import normaliser
from daemon.demo.house import home
from daemon.demo.mistakes import FAULTS, NEAREST, SURFACES, answer, confusable, spoil, surface
from daemon.demo.stream import Stream, make, record_map
from daemon.demo.traffic import Shape, plan
from daemon.policy import Policy
from daemon.ports import Fatal
from scoring.training.dice import Dice
from scoring.types import Reason

SHAPE = Shape(records=6_000, windows=12, malformed=0.02)


@cache
def small() -> Stream:
    return make(home(rows=1_500), SHAPE, seed=5)


def values(stream: Stream) -> dict[str, dict[str, Any]]:
    """The well-formed records by id."""
    known = {truth.id for truth in stream.truth}
    objects = [event.value for event in stream.events if isinstance(event.value, dict)]
    return {value["id"]: value for value in objects if value["id"] in known}


def window(time_ms: int) -> int:
    return time_ms // SHAPE.period_ms - SHAPE.first_window


def decoded(stream: Stream) -> Decoded:
    policy = Policy(record=record_map())
    normalise = normaliser(policy.normaliser, unicodedata.unidata_version)
    decoder = Decoder(policy.record, policy.limits, b"k" * 16, normalise)
    return decoder.decode(
        [e.value if isinstance(e.value, bytes) else json.dumps(e.value).encode()
         for e in stream.events]
    )  # fmt: skip


def test_a_stream_is_a_function_of_corpus_shape_and_seed() -> None:
    corpus = home(rows=800)
    few = Shape(records=500, windows=6)
    one = make(corpus, few, seed=1)
    # repr, as a NaN never equals itself
    assert repr(one) == repr(make(corpus, few, seed=1))
    assert one.events != make(corpus, few, seed=2).events
    assert len(one.events) == 500


def test_every_lane_and_window_has_records_but_the_silent_ones() -> None:
    heard = {(event.lane, window(event.time_ms)) for event in small().events}
    silent = {(2, 4), (2, 5)}
    assert heard == {(lane, w) for lane in range(3) for w in range(12)} - silent
    alone = make(home(rows=800), Shape(records=200, windows=4, lanes=1))
    assert {(event.lane, window(event.time_ms)) for event in alone.events} == {
        (0, w) for w in range(4)
    }


def test_append_times_ascend_but_for_a_few_small_steps_back() -> None:
    lanes: dict[int, list[int]] = defaultdict(list)
    for event in small().events:
        lanes[event.lane].append(event.time_ms)
    steps = [b - a for times in lanes.values() for a, b in pairwise(times)]
    back = [step for step in steps if step < 0]
    assert back
    assert len(back) < 0.02 * len(steps)
    assert min(back) >= -40
    always = make(home(rows=800), Shape(records=300, windows=1, period_ms=1_000, backward=1.0))
    assert min(event.time_ms for event in always.events) >= SHAPE.start_ms


def test_load_is_spread_over_all_windows() -> None:
    load = Counter(window(event.time_ms) for event in small().events)
    assert sum(load.values()) == SHAPE.records
    assert min(load.values()) > 300
    assert max(load.values()) < 700


def test_labels_are_missing_and_wrong_as_often_as_asked() -> None:
    stream = small()
    truth = stream.truth
    records = values(stream)
    assert len(records) == len(truth)
    missing = sum(not t.labelled for t in truth) / len(truth)
    flips = [t for t in truth if t.flipped]
    assert missing == pytest.approx(SHAPE.unlabelled, abs=0.02)
    share = len(flips) / sum(t.labelled for t in truth)
    assert share == pytest.approx(SHAPE.flipped, abs=0.015)
    for t in truth:
        given = records[t.id].get("label")
        assert (given is not None) == t.labelled
        assert given is None or (given["intent"] != t.intent) == t.flipped
    near = confusable(stream.plan.heard)
    close = sum(records[t.id]["label"]["intent"] in near[t.intent] for t in flips)
    assert 0.45 < close / len(flips) < 0.7  # half on purpose, a few by chance


def test_production_is_mostly_right_and_says_how_sure_it_is() -> None:
    records = values(small())
    right = [t for t in small().truth if records[t.id]["nlu"]["intent"] == t.intent]
    assert len(right) / len(records) == pytest.approx(SHAPE.production, abs=0.02)
    sure = {t.id: records[t.id]["nlu"]["confidence"] for t in small().truth}
    assert all(0 <= confidence <= 1 for confidence in sure.values())
    good = {t.id for t in right}
    mean = [sum(sure[i] for i in ids) / len(ids) for ids in (good, sure.keys() - good)]
    assert mean[0] > mean[1] + 0.1
    again = [sum(records[i]["signals"]["rephrased"] for i in ids) / len(ids)
             for ids in (good, sure.keys() - good)]  # fmt: skip
    assert again[1] > 4 * again[0]


def test_new_intents_come_with_the_second_half() -> None:
    records = values(small())
    first: dict[str, int] = {}
    for t in small().truth:
        place = window(records[t.id]["time"])
        first[t.intent] = min(first.get(t.intent, place), place)
    new = small().plan.new
    assert len(new) == 2
    assert all(first[name] >= 5 for name in new)  # event times run up to 3 s before
    assert sum(first[name] < 6 for name in first) > 0.8 * len(first)
    assert all(Counter(t.intent for t in small().truth)[name] > 50 for name in new)


def test_traffic_is_ranked_anew_half_way() -> None:
    halves: list[Counter[str]] = [Counter(), Counter()]
    records = values(small())
    for t in small().truth:
        halves[window(records[t.id]["time"]) >= 6][t.intent] += 1
    tops = [[name for name, _ in half.most_common(5)] for half in halves]
    assert tops[0] != tops[1]
    assert all(half.most_common(1)[0][1] > 0.15 * half.total() for half in halves)


def test_head_texts_repeat_and_differ_on_their_surface() -> None:
    found = decoded(small())
    raw = {u.text for u in found.utterances}
    keys = Counter(u.key_text for u in found.utterances)
    assert len(keys) < 0.75 * len(raw)
    assert keys.most_common(1)[0][1] > 60


def test_the_map_reads_every_well_formed_record_and_nothing_else() -> None:
    stream = small()
    found = decoded(stream)
    assert [u.id for u in found.utterances] == [t.id for t in stream.truth]
    assert len(found.refusals) == stream.malformed > 60
    reasons = {refusal.reason for refusal in found.refusals}
    assert reasons == {
        Reason.NOT_JSON, Reason.NO_TEXT, Reason.NO_CONSENT, Reason.BAD_TEXT, Reason.NOT_UTF8,
        Reason.NOT_AN_OBJECT, Reason.EMPTY_TEXT,
    }  # fmt: skip
    labelled = {t.id for t in stream.truth if t.labelled}
    for u in found.utterances:
        assert (u.label is not None) == (u.id in labelled)
        assert u.label_source in ("annotated", "weak") if u.label else u.label_source == "none"
        assert None not in (u.locale, u.intent, u.confidence, u.slots, u.user, u.event_time_ms)
        assert u.signals is not None
        assert u.signals.count(":") == 2
    assert len({u.user for u in found.utterances}) > 200
    assert Counter(u.label_source for u in found.utterances)["weak"] > 1_000


def test_checkpoints_are_trained_on_texts_that_the_stream_never_says() -> None:
    made = small().plan
    trained = {row.text.casefold() for row in made.later}
    heard = {row.text.casefold() for rows in made.heard.values() for row in rows}
    assert not trained & heard
    assert set(made.early) <= set(made.later)
    assert not {row.intent for row in made.early} & set(made.new)
    assert {row.intent for row in made.later} == set(made.heard)


def test_a_text_belongs_to_one_intent_and_a_single_text_to_both_parts() -> None:
    twice = [Row("Hi", "a"), Row("hi", "a"), Row("hi", "b"), Row("HI", "b"), Row("hI", "b")]
    rows = [*twice, Row("stop", "b"), Row("go", "c")]
    rows += [Row(f"play {i}", "d") for i in range(20)]
    made = plan(Corpus(tuple(rows), (), ()), Shape(new_intents=0), Dice("x"))
    assert {name: len(each) for name, each in made.heard.items()} == {
        "a": 1,
        "b": 1,
        "c": 1,
        "d": 13,
    }
    assert Row("stop", "b") in made.later  # as the only text that is b's own
    assert made.heard["b"] == (Row("stop", "b"),)
    assert len(made.early) == 3 + 3
    with pytest.raises(Fatal, match="too few intents"):
        plan(Corpus(tuple(rows), (), ()), Shape(new_intents=3), Dice("x"))


def test_intents_are_confusable_when_their_words_are_alike() -> None:
    rows = {
        "on": ["turn on the light", "light on"],
        "off": ["turn off the light", "light off"],
        "play": ["play some music"],
        "stop": ["stop the music"],
        "time": ["what time is it"],
    }
    near = confusable({name: [Row(t, name) for t in texts] for name, texts in rows.items()})
    assert near["on"][0] == "off"
    assert near["play"][0] == "stop"
    assert all(len(each) == NEAREST and name not in each for name, each in near.items())
    assert confusable({"a": [Row("x", "a")], "b": [Row("y", "b")]})["a"] == ("b",)


def test_answers_use_their_whole_range() -> None:
    every, near = ["a", "b", "c", "d", "e"], ["b", "c"]
    said = [answer("a", near, every, (0.9, 0.5, x / 1000), 0.88)[0] for x in range(1000)]
    assert set(said) == {"b", "c", "d", "e"}
    assert Counter(name in near for name in said)[True] > 700
    assert answer("a", near, every, (0.1, 1 - 1e-12, 0.0), 0.88) == ("a", 0.99)


def test_surfaces_say_the_same_text() -> None:
    normalise = normaliser("nfkc-casefold-1", unicodedata.unidata_version)
    edges = [edge for edge, _ in SURFACES]
    assert edges == sorted(edges)
    ways = {name: surface("turn it on", edge - 1e-9) for edge, name in SURFACES}
    assert len({*ways.values(), surface("turn it on", 0.99)}) == 6
    assert {normalise(text).rstrip(".") for text in ways.values()} == {"turn it on"}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_spoilt_record_says_less_than_it_should(fault: str) -> None:
    value = {"id": "u", "utterance": {"text": "hi", "locale": "en"}, "nlu": {"confidence": 0.5}}
    before = json.dumps(value)
    assert spoil(value, fault) != value
    assert json.dumps(value) == before
