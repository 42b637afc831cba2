"""What label lanes say: late labels and audit answers (law 8)."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from buffers import draw
from daemon.decode.decoder import AnswerDecoder
from daemon.lanes.part import Part, PartManifest
from daemon.policy import LabelMap, Limits
from daemon.shards import answers
from tests.streams import KEY

DECODER = AnswerDecoder(LabelMap(), Limits())
Said = tuple[int, bytes | str]  # time, label of u1 (or a value)


def part(window: int, *said: Said, partition: int = 0, shard: int | None = None) -> Part:
    manifest = PartManifest(
        "labels", partition, "id", "labels", window, window, 0, len(said), 0, "record"
    )
    values = []
    for _, label in said:
        body: dict[str, object] = {"id": "u1", "label": label}
        if shard is not None:
            body["shard"] = shard
        values.append(label if isinstance(label, bytes) else msgspec.json.encode(body))
    times, positions = [time for time, _ in said], list(range(len(said)))
    return Part(manifest, {"position": positions, "time_ms": times, "value": values})


def read(*parts: Part, after: int = -1, until: int = 99) -> answers.Said:
    return answers.read(parts, DECODER, KEY, audits_after=after, until=until)


def of_u1(said: answers.Said) -> str:
    ((high, low),) = draw.identity(KEY, "id", ["u1"]).tolist()
    return said.labels[high, low][0]


@pytest.mark.parametrize(
    ("parts", "last"),
    [
        ([part(5, (51, "old"), (59, "new"))], "new"),
        ([part(5, (59, "new"), (51, "old"))], "new"),
        ([part(5, (51, "first"), (51, "second"))], "second"),
        ([part(5, (51, "low")), part(5, (51, "high"), partition=1)], "high"),
        ([part(6, (69, "later")), part(5, (59, "sooner"), partition=1)], "later"),
    ],
)
def test_of_several_answers_the_largest_time_lane_and_position_counts(
    parts: list[Part], last: str
) -> None:
    """In any order of the parts: shards are functions of sets of parts."""
    for order in itertools.permutations(parts):
        assert of_u1(read(*order)) == last
        about = [Part(p.manifest, part_of_audit(p)) for p in order]
        assert read(*about).audits == {(4, "u1"): last}


def part_of_audit(labels: Part) -> dict[str, list[object]]:
    values = [
        msgspec.json.encode({**msgspec.json.decode(v), "shard": 4}) for v in labels.rows["value"]
    ]
    return {**labels.rows, "value": values}


def test_labels_count_for_every_window_that_waits_and_audits_once() -> None:
    parts = [part(w, (w * 10, f"label {w}"), partition=0) for w in (5, 6, 7)]
    audits = [part(w, (w * 10, f"truth {w}"), partition=1, shard=w - 1) for w in (5, 6, 7)]
    said = read(*parts, *audits, after=5, until=6)
    assert of_u1(said) == "label 7", "label_wait: also of windows after the shard's"
    assert said.audits == {(5, "u1"): "truth 6"}, "of the windows since the shard before it"


def test_refusals_are_counted_where_their_window_is_folded() -> None:
    parts = [part(w, (w * 10, b"{"), (w * 10, b'{"id": "u1"}')) for w in (5, 6, 7)]
    assert read(*parts, after=5, until=6).refused == 2
    assert read(*parts, after=5, until=6).labels == {}


def test_only_rows_that_carried_a_label_can_be_wrong() -> None:
    said = answers.Said({}, {(5, "a"): "x", (5, "b"): "x", (5, "c"): "x", (6, "a"): "x"}, 3)
    judged = answers.judge(said, {5: {"a": "x", "b": "y", "c": None}})
    assert (judged.answered, judged.wrong, judged.unmatched, judged.refused) == (2, 1, 2, 3)


def test_an_answer_that_is_delivered_again_counts_once() -> None:
    """Producers are at-least-once: the window of the first delivery has folded it."""
    first, again = (part(w, (w * 10, "truth"), shard=4) for w in (5, 7))
    assert read(first, again, after=4, until=5).audits == {(4, "u1"): "truth"}
    assert read(first, again, after=6, until=7).audits == {}
    assert read(again, after=6, until=7).audits == {(4, "u1"): "truth"}, "so this can fail"
