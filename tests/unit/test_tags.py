"""Annotated slot tags of a record: one for each word, or the record is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from daemon.config.explain import schema, show
from daemon.config.reader import ConfigError, parse
from daemon.decode.decoder import Decoder
from daemon.decode.normalise import normaliser
from daemon.decode.utterance import Utterance
from daemon.policy import Limits, Policy, RecordMap
from scoring.types import Reason, Refusal

POLICY = Policy()
NORMALISE = normaliser(POLICY.normaliser, POLICY.unicode)


def decoded(record: dict[str, Any], **mapping: Any) -> Utterance | Reason:
    """One record, by both readers."""
    found = []
    for tags in ("nlu.tags", "nlu.tags.list"):
        inner = {"list": record["tags"]} if tags.endswith("list") else record["tags"]
        value = msgspec.json.encode({**record, "nlu": {"tags": inner}})
        decoder = Decoder(RecordMap(tags=tags, **mapping), Limits(), b"k", NORMALISE)
        out = decoder.decode([value])
        found.append(out.utterances[0] if out.utterances else out.refusals[0])
    one, other = found
    assert one == other
    return one.reason if isinstance(one, Refusal) else one


def test_one_tag_for_each_word() -> None:
    record = {"id": "1", "text": " turn\ton  it ", "tags": ["O", "B-x", "I-x"]}
    found = decoded(record)
    assert isinstance(found, Utterance)
    assert found.tags == ("O", "B-x", "I-x")
    assert "B-x" not in repr(found)
    with_signals = decoded({**record, "loud": 3}, signals={"loud": "loud"})
    assert isinstance(with_signals, Utterance)
    assert (with_signals.tags, with_signals.signals) == (found.tags, '{"loud":3}')
    bare = decoded({**record, "tags": None})
    assert isinstance(bare, Utterance) and bare.tags is None


@pytest.mark.parametrize(
    "tags", [["O"], ["O"] * 4, [], "O O O", ["O", None, "O"], ["O", "", "O"], ["x" * 129] * 3, 7]
)
def test_tags_that_do_not_fit_are_bad_slots(tags: object) -> None:
    assert decoded({"id": "1", "text": "turn on it", "tags": tags}) is Reason.BAD_SLOTS


def test_other_faults_come_first() -> None:
    assert decoded({"id": "1", "text": "", "tags": ["O"]}) is Reason.EMPTY_TEXT


def test_settings_that_are_left_out_leave_no_byte() -> None:
    encoded = msgspec.json.encode(POLICY)
    for name in (b"tags", b"history", b"calibrate"):
        assert b'"%b"' % name not in encoded
    shown = show()
    for line in ("# tags: annotated slot tags", "# history: checkpoints", "# calibrate: of prob"):
        assert line in shown
    assert set(schema()["$defs"]["RecordMap"]["properties"]["tags"]) >= {"description", "pattern"}


BASE = """
store: {kind: local, options: {path: /data/store}}
source: {kind: replay, options: {path: /data/recording}}
policy: {%s}
"""


def test_settings_are_read_and_checked() -> None:
    policy = parse(BASE % "history: 4, calibrate: temperature, record: {tags: nlu.tags}").policy
    assert (policy.history, policy.calibrate, policy.record.tags) == (4, "temperature", "nlu.tags")
    assert msgspec.json.decode(msgspec.json.encode(policy), type=Policy) == policy
    for wrong, line in (
        ("history: 1", "policy.history: must be at least 2"),
        ("calibrate: platt", "policy.calibrate: "),
        ("record: {tags: a b}", "policy.record.tags: must match the pattern"),
    ):
        with pytest.raises(ConfigError, match=line):
            parse(BASE % wrong)
