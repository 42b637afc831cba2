"""The normaliser: a fixpoint, blind to what cannot be seen, the same for equivalent texts."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daemon.decode.normalise import NormaliserUnavailable, normaliser

TABLES = unicodedata.unidata_version
normalise = normaliser("nfkc-casefold-1", TABLES)
INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u180b\u200b\u200d\u200e\u202e\u2060\u3164\ufe0f\ufeff\U000e0041"
)
BLANK = " \t\n\r\x00\x1b\x85\xa0\u2003\u2028\u3000"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("turn on the lights", "turn on the lights"),
        ("  Turn  ON\tthe\n lights ", "turn on the lights"),
        ("a\x1b[31mb\x7fc", "a [31mb c"),
        ("", ""),
        ("Stra\u00dfe", "strasse"),
        ("\u0130stanbul", "i\u0307stanbul"),
        ("Ich\u3000schlafe\u00a0gut", "ich schlafe gut"),
        ("\ufb01lm \u2460 \uff76\uff9e", "film 1 \u30ac"),
        ("cafe\u0301", "caf\u00e9"),
        ("e\u200d\u0301", "\u00e9"),
        ("turn\u202e on\u202c the\u200blights", "turn on thelights"),
        ("I \u2764\ufe0f you", "i \u2764 you"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u062e"),
        ("\u03a3\u0345", "\u03c3\u03b9"),
    ],
)
def test_examples(text: str, expected: str) -> None:
    assert normalise(text) == expected


@given(st.text())
@example("\u1f80\u0345")
@example("\u01f0")  # folds to two that compose again
@example("a \u200b b")
@example("\u00a8 \u0345")
def test_twice_is_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert unicodedata.is_normalized("NFKC", once)


def test_every_assigned_character_is_a_fixpoint_and_leaves_nothing_unseen() -> None:
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code)) in ("Cn", "Co", "Cs"):
            continue
        once = normalise(chr(code))
        assert normalise(once) == once, hex(code)
        kinds = {unicodedata.category(char) for char in once} - {unicodedata.category(" ")}
        assert not kinds & {"Cc", "Cf", "Zl", "Zp"}, hex(code)


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_is_treated_as_any_other_text(text: str) -> None:
    # a letter outside ASCII sends the same text down the long way
    assert normalise(text + " ж") == f"{normalise(text)} ж".strip()


@given(st.text())
def test_equivalent_spellings_are_one_text(text: str) -> None:
    expected = normalise(text)
    for form in ("NFC", "NFD"):
        assert normalise(unicodedata.normalize(form, text)) == expected


@given(st.text(st.sampled_from("aß é")), st.data())
def test_what_is_not_seen_makes_no_difference(text: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(text)))
    unseen = data.draw(st.sampled_from(INVISIBLE))
    assert normalise(text[:place] + unseen + text[place:]) == normalise(text)


@given(st.lists(st.sampled_from("abß"), min_size=1), st.text(st.sampled_from(BLANK), min_size=1))
def test_any_blank_is_one_space(letters: list[str], blank: str) -> None:
    assert normalise(blank + blank.join(letters) + blank) == normalise(" ".join(letters))


@given(st.text(st.sampled_from(INVISIBLE + BLANK)))
def test_nothing_to_see_is_empty(text: str) -> None:
    assert normalise(text) == ""


@pytest.mark.parametrize(("name", "tables"), [("nfkc-casefold-1", "9.0.0"), ("other", TABLES)])
def test_another_rule_or_other_tables_are_refused_with_a_remedy(name: str, tables: str) -> None:
    with pytest.raises(NormaliserUnavailable, match=r"Run (an|the) image"):
        normaliser(name, tables)
