"""The edition that scores a file: published as ever, with rows of the file as its sample."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence

from daemon.commands import others
from daemon.commands.published import tell
from daemon.commands.sample import with_trusted
from daemon.commands.session import Session
from daemon.decode.decoder import Decoder
from daemon.decode.near import by_text, folding
from daemon.decode.normalise import normaliser
from daemon.decode.utterance import Utterance
from daemon.learning.edition import Edition
from daemon.offline.asking import Asked
from daemon.offline.dataset import BATCH, DataSet, Row
from daemon.offline.scored import Seen
from daemon.offline.terms import weigher
from daemon.policy import Policy
from daemon.ports import EXIT_STATE, Fatal
from daemon.registry.halves import SAMPLE_ROWS, Sample
from daemon.registry.publish import Refused, publish

LESSON_ROWS = 20_000  # that teach, at most
GATES = "the checkpoint did not pass its gates"


def evenly(rows: Sequence[Row], most: int) -> Sequence[Row]:
    """At most so many of them, evenly spread: a file may be sorted."""
    return rows[:: -(-len(rows) // most)] if rows else rows


def first_rows(rows: DataSet, count: int) -> list[Row]:
    """Of the first `count` rows at most LESSON_ROWS, evenly spread."""
    step = -(-count // LESSON_ROWS)
    return [row for at, row in zip(range(count), rows.rows(), strict=False) if at % step == 0]


def decoder_of(policy: Policy, key: bytes) -> Decoder:
    """As the daemon's."""
    normalise = normaliser(policy.normaliser, policy.unicode)
    fold = folding(policy.identity)
    return Decoder(policy.record, policy.limits, key, normalise, policy.weak, fold)


def publish_for(
    session: Session, asked: Asked, arguments: argparse.Namespace, key: bytes, rows: Sequence[Row]
) -> Edition:
    """Edition 0 in the session's store. Raises Fatal where no row can be read, or a gate fails."""
    registry = session.registry
    registry.read_editions()
    if registry.editions:  # an earlier run of the same
        return registry.editions[0]
    decoded = decoder_of(asked.policy, key).decode([r.value for r in evenly(rows, SAMPLE_ROWS)])
    seen = Seen(asked.checkpoint.labels)
    said = decoded.utterances
    refused = [str(refusal.reason) for refusal in decoded.refusals]
    seen.add(len(said) + len(refused), refused, [u.label for u in said])
    seen.check()
    for line in seen.notes():
        session.console.say(f"note, of a sample of {seen.rows} rows: {line}", event="note")
    if weigher(asked.policy.select).needs_label and not seen.labels:
        raise Fatal(
            f"policy.select: {asked.policy.select.kind} weighs labels, and no row has one",
            code=EXIT_STATE,
            hint="--map label=FIELD names them, or take a policy that reads none",
        )
    once = by_text(asked.policy.identity)
    texts = [u.key_text if once else u.text for u in said]  # as the model will read them
    tags, locales = [u.tags for u in said], [u.locale for u in said]
    sample = with_trusted(Sample(texts, [u.label for u in said], tags, locales), arguments)
    outcome = publish(
        registry, asked.checkpoint, asked.blobs, asked.policy, first_window=0, sample=sample,
        threads=asked.threads, others=others.named(session, arguments, asked.policy),
    )  # fmt: skip
    if isinstance(outcome, Refused):
        tell(session.console, outcome)
        raise Fatal(GATES, code=EXIT_STATE, hint="what each gate asks for stands above")
    return outcome.edition


def answers_of(
    rows: DataSet, policy: Policy, key: bytes, truths: Mapping[str, str]
) -> tuple[int, int]:
    """(answered, wrong): rows with a label whose truth is known, each id once."""
    decoder, judged = decoder_of(policy, key), dict[str, bool]()
    for said in _decoded(rows, decoder):
        if said.label is not None and said.id in truths:
            judged.setdefault(said.id, said.label != truths[said.id])
    return len(judged), sum(judged.values())


def _decoded(rows: DataSet, decoder: Decoder) -> Iterator[Utterance]:
    values: list[bytes | None] = []
    for row in rows.rows():
        values.append(row.value)
        if len(values) == BATCH:
            yield from decoder.decode(values).utterances
            values = []
    yield from decoder.decode(values).utterances
