"""What label lanes say: late labels for a window, and audit answers to be folded (law 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from buffers import draw
from daemon.decode.decoder import AnswerDecoder
from daemon.decode.utterance import Answer
from daemon.lanes.part import Part
from daemon.ports import LaneId
from daemon.shards.shard import Labelled

Placed = tuple[tuple[int, LaneId, int], Answer]  # (time, lane, position), answer


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """The decoded records of some label parts."""

    labels: Mapping[tuple[int, int], tuple[str, str]]  # id identity -> (label, source)
    audits: Mapping[tuple[int, str], str]  # (window of the shard, id) -> true label
    refused: int


def read(
    parts: Sequence[Part], decoder: AnswerDecoder, key: bytes, *, audits_after: int, until: int
) -> Said:
    """Labels of all these parts; audit answers of windows in (audits_after, until] only.

    Parts of erasure lanes, which a shard names beside them, say nothing here.

    Of several labels of one id the one with the largest (time, lane, position) counts. An audit
    answer that a window before these has brought already was folded there: it may be delivered
    again (producers are at-least-once), and counts once.
    """
    labels: list[Placed] = []
    audits: list[Placed] = []
    folded: set[tuple[int, str]] = set()
    refused = 0
    for part in [part for part in parts if part.manifest.kind == "labels"]:
        rows, manifest = part.rows, part.manifest
        decoded = decoder.decode(rows["value"])
        fresh = audits_after < manifest.window <= until
        refused += len(decoded.refusals) if fresh else 0
        for at, answer in zip(decoded.rows.tolist(), decoded.answers, strict=True):
            place = (rows["time_ms"][at], manifest.lane, rows["position"][at])
            if answer.shard is None:
                labels.append((place, answer))
            elif fresh:
                audits.append((place, answer))
            elif manifest.window <= audits_after:
                folded.add((answer.shard, answer.id))
    labels.sort(key=lambda placed: placed[0])
    audits.sort(key=lambda placed: placed[0])
    ids = draw.identity(key, "id", [answer.id for _, answer in labels]).tolist()
    return Said(
        {
            (high, low): (answer.label, answer.label_source)
            for (high, low), (_, answer) in zip(ids, labels, strict=True)
        },
        {
            (a.shard, a.id): a.label
            for _, a in audits
            if a.shard is not None and (a.shard, a.id) not in folded
        },
        refused,
    )


def judge(
    said: Said,
    audited: Mapping[int, Mapping[str, str | None]],
    *,
    late: int = 0,
    outside: int = 0,
    lost: int = 0,
) -> Labelled:
    """Compare audit answers with the labels given. `audited`: window -> id -> label of its row.

    Only rows that carried a label can be wrong: the others say nothing about label noise.
    """
    answered = wrong = unmatched = 0
    for (window, name), truth in said.audits.items():
        given = audited.get(window, {}).get(name)
        if given is None:
            unmatched += 1
            continue
        answered += 1
        wrong += given != truth
    return Labelled(
        late=late,
        outside_pool=outside,
        lost=lost,
        refused=said.refused,
        answered=answered,
        wrong=wrong,
        unmatched=unmatched,
    )
