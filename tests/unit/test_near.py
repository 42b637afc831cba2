"""Near repeats become one text: a function of one text alone, and never of what it says."""

from __future__ import annotations

import unicodedata
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daemon.decode import near
from daemon.decode.decoder import Decoder
from daemon.decode.near import Identity, by_text, folding
from daemon.decode.normalise import normaliser
from daemon.offline.terms import text_keys
from daemon.policy import Policy, RecordMap
from daemon.registry.halves import Sample, reading
from tests.streams import KEY, say

NORMALISE = normaliser("nfkc-casefold-1", unicodedata.unidata_version)
IDENTITIES: tuple[Identity, ...] = get_args(get_args(Identity)[0])
FOLDS = [one for one in IDENTITIES if folding(one)]
every_fold = pytest.mark.parametrize("identity", FOLDS)
# the words and marks that folding cares about, glued together in every way
PIECES = st.lists(
    st.sampled_from([*near._FILLERS, *near._FIRST, "can", "you", "i", "id", "i'd", "want", "to"])
    | st.sampled_from(["light", "5", "\u00e9", "e\u0301", "\u1112", "\u1161", "\u0131", "\u05d0"])
    | st.sampled_from(" '.,!?-\u2013\u2019\u201d\"()\u00bf:;%\u3002_"),
    max_size=14,
).map("".join)
TEXTS = (st.text(max_size=40) | PIECES).map(NORMALISE).filter(bool)


def fold(identity: Identity, text: str, locale: str | None = None) -> str:
    folded = folding(identity)
    assert folded is not None
    return folded(NORMALISE(text), locale)


@pytest.mark.parametrize(
    ("near_text", "english", "text"),
    [
        ("turn on the light", "turn on the light", "Turn on the light."),
        ("um turn on the light", "turn on the light", "Um, turn on the light"),
        ("can you turn on light please", "turn on light", "can you turn on light, please?"),
        ("i'd like to book a table", "book a table", "I\u2019d like to book a table!"),
        ("what's the weather", "whats the weather", "what's the weather"),
        ("wake up call 5:30 a.m", "wake up call 5:30 a.m", "\u201cwake-up call\u201d 5:30 a.m."),
        ("hey so can you play jazz", "play jazz", "hey -- so, can you play jazz"),
        ("play jazz", "play jazz", "play -, jazz"),
        ("hey jude", "jude", "'Hey Jude'"),
        ("can you", "can you", "can you?"),  # nothing would be left
        ("um please", "um please", "um, please"),
        ("hello", "hello", "Hello!"),
        ("?!", "?!", "?!"),
        ("- -", "- -", "- -"),
        ("qu\u00e9 hora es", "qu\u00e9 hora es", "\u00bfQu\u00e9 hora es?"),
    ],
)  # fmt: skip
def test_golden_texts(near_text: str, english: str, text: str) -> None:
    """Keys are made of them: where one of these changes, shards change."""
    assert fold("near", text) == near_text
    assert fold("near-en", text) == fold("near-en", text, "en-GB") == english


def test_golden_keys() -> None:
    """The same in every process, whatever the hash seed."""
    said = ["Um, turn on the light", "turn on the light please!", "Turn on the  light"]
    keys = {one: text_keys(said, Policy(identity=one), KEY).tolist() for one in ("text", *FOLDS)}
    assert len(set(map(tuple, keys["text"]))) == len(set(map(tuple, keys["near"]))) == 3
    assert keys["near-en"] == [[13623236014082288747, 17092748210078119940]] * 3
    assert keys["near-en"][0] == text_keys(["turn on the light"], Policy(), KEY).tolist()[0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("flights from boston to denver", "flights from denver to boston"),
        ("set an alarm for 5", "set an alarm for 7"),
        ("set it to -5 degrees", "set it to 5 degrees"),
        ("half is .5", "half is 5"),
        ('nails of 6"', "nails of 6"),
        ("50% volume", "50 volume"),
        ("turn on the light", "turn on the lights"),  # one lamp, or all of them
        ("play the who", "play who"),
        ("turn on the light", "turn off the light"),
        ("play it", "don't play it"),
        ("call one oh five", "call one five"),
        ("play it now", "play it"),
        ("play duran duran", "play duran"),
        ("can i pay", "can you pay"),
        ("find the nearest er", "find the nearest"),
    ],
)
def test_what_asks_for_another_thing_stays_apart(one: str, other: str) -> None:
    for identity in FOLDS:
        assert fold(identity, one) != fold(identity, other)


@given(TEXTS, st.sampled_from([None, "en", "de-DE"]))
@example("a'b", None)
@example("' .'", None)
@example("play -, jazz", None)
def test_folding_is_a_fixpoint_of_itself_and_of_the_normaliser(
    text: str, locale: str | None
) -> None:
    for identity in FOLDS:
        folded = fold(identity, text, locale)
        assert fold(identity, folded, locale) == folded == NORMALISE(folded)
        assert 0 < len(folded) <= len(text)


@given(TEXTS)
def test_english_words_are_only_left_out_of_english(text: str) -> None:
    for locale in ("de", "de-DE", "enm", "fr_CA"):
        assert fold("near-en", text, locale) == fold("near", text)
    for locale in ("en", "EN", "en-GB", "en_us"):
        assert fold("near-en", text, locale) == fold("near-en", text, None)
    assert fold("near-en", text, "en") == fold("near-en", fold("near", text), "en")


def test_german_keeps_its_small_words() -> None:
    for text in ("licht an", "weck mich um acht", "er will so was h\u00f6ren"):
        assert fold("near-en", text, "de-AT") == text


@given(st.lists(st.sampled_from(["um", "please", "kindly", "hmm", "uh"]), min_size=1), st.data())
def test_fillers_may_stand_anywhere(added: list[str], data: st.DataObject) -> None:
    words = ["turn", "on", "light", "in", "kitchen"]
    for word in added:
        words.insert(data.draw(st.integers(0, len(words))), word)
    said = " ".join(words) + data.draw(st.sampled_from(["", ".", "?!", '"']))
    assert fold("near-en", said) == "turn on light in kitchen"


@pytest.mark.parametrize("opening", [" ".join(one) for one in near._OPENINGS])
def test_every_opening_opens_a_request(opening: str) -> None:
    assert fold("near-en", f"hey, {opening} please play the song") == "play the song"
    assert fold("near-en", opening) == opening, "alone it is what was said"
    assert NORMALISE(opening) == opening


@pytest.mark.parametrize("identity", IDENTITIES)
def test_decoder_sample_and_keys_read_one_text(identity: Identity) -> None:
    """The stream, what a publish learns from, and files: the model reads the same everywhere."""
    said = [("Um, the L\u00cdGHT!", "en"), ("um die uhrzeit?", "de"), ("can you stop", None)]
    values: list[bytes | None] = [
        say(at, text, locale=locale) for at, (text, locale) in enumerate(said)
    ]
    policy = Policy(identity=identity)
    mapping = RecordMap(locale="locale")
    decoder = Decoder(mapping, policy.limits, b"", NORMALISE, fold=folding(identity))
    read = [one.key_text for one in decoder.decode(values).utterances]
    texts, locales = [text for text, _ in said], [locale for _, locale in said]
    if by_text(identity):
        for come in (texts, read):  # `sluice select` hands on what it has read already
            assert reading(Sample(come, [None] * 3, [], locales), policy).texts == read
    keys = text_keys(texts, policy, KEY, locales).tolist()
    assert keys == text_keys(read, Policy(), KEY, locales).tolist()
    expected = {
        "near": ["um the l\u00edght", "um die uhrzeit", "can you stop"],
        "near-en": ["the l\u00edght", "um die uhrzeit", "stop"],
    }
    assert read == expected.get(identity, [NORMALISE(text) for text in texts])
