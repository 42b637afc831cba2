"""The lesson: what a selection from a file knows before its first window.

A window without a record, whose shard carries the calibration that rows of the file taught. It
decides the first window, as any calibration decides the window that lies `lag` later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np

from daemon.commands.session import Session
from daemon.config.settings import Stream
from daemon.lanes import genesis as geneses
from daemon.lanes import part as parts
from daemon.lanes import pin as pins
from daemon.lanes.gather import Gathering
from daemon.lanes.lane import Lane, PutPart
from daemon.lanes.pin import FIRST, NOBODY, Pin
from daemon.lanes.window import NO_TIME
from daemon.learning.calibration import Calibration, half_of
from daemon.offline import scored
from daemon.offline.dataset import Row
from daemon.offline.scored import CHUNK
from daemon.offline.terms import Candidates, names_of, taught
from daemon.ports import LaneInfo, Source
from daemon.registry.registry import Registry
from daemon.running.cascading import Work
from daemon.running.engines import Engine, Engines
from daemon.shards import assemble, seconds, shard
from daemon.shards.answers import Said
from daemon.shards.assemble import Inputs
from daemon.shards.late import Late
from scoring.types import Scored


def teach(
    session: Session,
    source: Source,
    stream: Stream,
    first: int,
    rows: Sequence[Row],
    answers: tuple[int, int],
    key: bytes,
) -> None:
    """Found the store and put the lesson of `rows` before window `first`. Twice is once."""
    registry, window = session.registry, first - stream.lag
    infos = source.lanes()
    registry.found(
        geneses.make(
            infos,
            period_ms=stream.period_ms,
            grace=stream.grace,
            label_wait=stream.label_wait,
            lag=stream.lag,
            first_window=window,
        )
    )
    registry.start()
    if shard.manifest_name(window) in registry.store.list(shard.prefix(window)):
        return
    edition = registry.editions[0]
    engines = Engines(registry.store, key, threads=session.threads)
    engine = engines.of(edition)
    learnt = _learnt(engines, engine, rows, answers, key, window)
    own = [info.lane for info in infos]
    roster = pins.roster(own, ())
    pin = registry.create_pin(Pin(window, edition.number, FIRST, roster))
    if stream.lag > 1:
        registry.create_pin(Pin(window + 1, NOBODY, FIRST, roster, (), gap_through=first - 1))
    rules = engines.rules(window, edition, Calibration(FIRST))
    placed = []
    for info in infos:
        part = _empty(info, engine, Gathering(rules, engine.grading.names), window, stream)
        registry.put_part(part.part)
        placed.append((parts.name(info.lane, window), part.part))
    said, before = Said({}, {}, 0), Calibration(FIRST)
    inputs = Inputs(pin, rules, engine.grading, placed, [], said, Late.none(), {}, before)
    if engine.grading.second is not None:  # without a record there is no candidate
        held = Work.of(inputs).made()
        registry.store.create(seconds.name(window), seconds.encode(held))
        inputs = replace(inputs, held=held)
    _put(registry, assemble.assemble(inputs), learnt)
    engines.close()


def _learnt(
    engines: Engines,
    engine: Engine,
    rows: Sequence[Row],
    answers: tuple[int, int],
    key: bytes,
    window: int,
) -> Calibration:
    edition = engine.edition
    cold = engines.rules(window, edition, Calibration(FIRST))
    chunks = [
        scored.prepared(engine, cold, rows[at : at + CHUNK]) for at in range(0, len(rows), CHUNK)
    ]
    whole = joined([p.scored for p in chunks])
    said = [u for p in chunks for u in p.utterances]
    names = names_of(
        whole, [u.label for u in said], edition.policy, edition.classes, [u.intent for u in said]
    )
    sample = Candidates(whole, np.concatenate([p.keys for p in chunks]), names)
    half, published = half_of(whole, edition.half_name), edition.half
    if published is not None and engine.grading.second is not None:
        # rows of the lesson get the first stage only; the sample of the publish got both
        both = {**published.histograms, **half.histograms}
        half = msgspec.structs.replace(half, histograms=dict(sorted(both.items())))
    learnt = taught(
        sample, msgspec.structs.replace(edition, half=half), key, answers, window=window
    )
    return msgspec.structs.replace(learnt, halves=(half,))


def joined(some: Sequence[Scored]) -> Scored:
    """One after the other, without probabilities: policies read none."""
    return Scored(
        np.concatenate([s.argmax for s in some]),
        np.concatenate([s.labels for s in some]),
        {name: np.concatenate([s.scores[name] for s in some]) for name in some[0].scores},
        np.concatenate([s.plausibility for s in some]),
        some[0].probs[:0],
    )


def _empty(
    info: LaneInfo, engine: Engine, gathering: Gathering, window: int, stream: Stream
) -> PutPart:
    """A lane's part of a window without a record, with all that one with records has."""
    lane = Lane(info.lane, info.kind, info.topic_id, period_ms=stream.period_ms)
    lane.engine = engine.model.engine
    lane.resume(info.start, window, NO_TIME)
    lane.begin(window, gathering)
    return lane.cover(window, "operator")[0]


def _put(registry: Registry, made: shard.Shard, learnt: Calibration) -> None:
    """The shard of the lesson, which carries what was learnt. The manifest last."""
    manifest = msgspec.structs.replace(made.manifest, calibration=learnt)
    scores = shard.scores_of(made.rows)
    registry.store.create(manifest.rows_object, shard.encode_rows(made, scores))
    registry.store.create(shard.manifest_name(manifest.window), msgspec.json.encode(manifest))
    registry.refresh()
