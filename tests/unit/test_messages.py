"""What others are told: where and why, by keys that name it; and nothing of what was said."""

from __future__ import annotations

import json

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from daemon import messages, tables
from daemon.decode.decoder import Decoder
from daemon.decode.normalise import normaliser
from daemon.learning.edition import Edition
from daemon.messages import Refuser
from daemon.policy import Policy
from daemon.ports import LaneId, Message
from daemon.stores.memory import MemoryStore
from scoring.types import REASONS, Reason, Refusal
from tests.cases import Schedule, random_case
from tests.worlds import play, shards

LANE = LaneId("said", 3)
BY = Refuser(7, "c" * 64, "p" * 64, "1.2.3")
CANARY = "xyzzy-canary-plugh"


def letters(
    values: list[bytes | None], refusals: list[Refusal], payload_bytes: int = 0
) -> list[Message]:
    count = len(values)
    positions, times = np.arange(100, 100 + 2 * count, 2), np.arange(5_000, 5_000 + count)
    return list(
        messages.dead_letters(
            LANE, positions, times, values, refusals, BY, payload_bytes=payload_bytes
        )
    )


def test_a_letter_says_where_why_and_by_whom() -> None:
    (letter,) = letters([b"{}", b"{", None], [Refusal(1, Reason.NOT_JSON)])
    assert letter == Message(
        b"said/3@102",
        (
            ("sluice.topic", b"said"),
            ("sluice.partition", b"3"),
            ("sluice.position", b"102"),
            ("sluice.append_time_ms", b"5001"),
            ("sluice.reason", b"not_json"),
            ("sluice.edition", b"7"),
            ("sluice.checkpoint", b"c" * 64),
            ("sluice.policy", b"p" * 64),
            ("sluice.version", b"1.2.3"),
            ("sluice.payload", b"left_out"),
        ),
        b"",
    )


def test_the_refuser_is_the_edition_and_its_policys_digest() -> None:
    edition = Edition(4, "digest", ("a",), Policy(), None, 9)
    refuser = messages.refuser(edition, "0.1.0")
    assert refuser == Refuser(4, "digest", tables.digest(Policy()), "0.1.0")


@given(
    st.lists(st.one_of(st.none(), st.binary(max_size=12)), min_size=1, max_size=6),
    st.sampled_from([0, 1, 6, 12]),
    st.data(),
)
def test_bytes_are_carried_only_where_asked_for_and_whole(
    values: list[bytes | None], payload_bytes: int, more: st.DataObject
) -> None:
    rows = more.draw(st.lists(st.integers(0, len(values) - 1), unique=True).map(sorted))
    refused = [Refusal(row, more.draw(st.sampled_from(REASONS))) for row in rows]
    found = letters(values, refused, payload_bytes)
    assert [m.key for m in found] == [b"said/3@%d" % (100 + 2 * row) for row in rows]
    for row, letter in zip(rows, found, strict=True):
        value, headers = values[row], dict(letter.headers)
        if value and len(value) <= payload_bytes:
            assert (letter.value, headers["sluice.payload"]) == (value, b"kept")
        else:
            # never null: a compacted topic would take that as a deletion
            assert letter.value == b""
            assert headers["sluice.payload"] == (b"left_out" if value else b"none")


def test_nothing_that_was_said_is_in_a_key_or_header() -> None:
    """Whatever is wrong with a record that holds the canary in every field."""
    policy = Policy()
    record = msgspec.structs.replace(policy.record, label="label", intent="intent", locale="locale")
    tables_of = policy.unicode
    decoder = Decoder(record, policy.limits, b"k" * 16, normaliser(policy.normaliser, tables_of))
    bad = {"id": CANARY, "text": CANARY, "label": CANARY, "intent": CANARY, "locale": CANARY}
    values: list[bytes | None] = [
        CANARY.encode(),
        msgspec.json.encode({**bad, "locale": f"{CANARY} {CANARY}"}),
        msgspec.json.encode({**bad, "label": {CANARY: 1}}),
        msgspec.json.encode({**bad, "id": None}),
        msgspec.json.encode([bad]),
    ]
    refusals = decoder.decode(values).refusals
    assert len(refusals) == len(values)
    for payload_bytes in (0, 1 << 20):
        for letter in letters(values, refusals, payload_bytes):
            assert CANARY.encode() not in letter.key
            assert not any(CANARY.encode() in value for _, value in letter.headers)
            assert (CANARY.encode() in (letter.value or b"")) == bool(payload_bytes)


def test_an_announcement_names_the_objects_and_is_the_same_each_time() -> None:
    store = play(random_case(3), Schedule(), store=None)
    assert isinstance(store, MemoryStore)
    for window, manifest in shards(store).items():
        told = messages.announcement(manifest, "s3://bucket/prefix")
        assert told == messages.announcement(manifest, "s3://bucket/prefix")
        name = f"shards/{window:012d}/manifest.json"
        assert told.key == name.encode()
        assert told.headers == (("sluice.announces", b"shard"),)
        value = json.loads(told.value or b"")
        assert value.pop("uri") == f"s3://bucket/prefix/{name}"
        assert store.get(value["manifest"]) == tables.canonical(manifest)
        assert store.get(value["rows_object"])
        own = msgspec.to_builtins(manifest)
        assert {key: own[key] for key in value if key not in ("manifest", "version")} == {
            key: value[key] for key in value if key not in ("manifest", "version")
        }
        assert {"window", "rows", "rows_digest", "selection_digest", "edition", "checkpoint"} <= {
            *value
        }
