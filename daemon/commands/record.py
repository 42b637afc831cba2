"""sluice record: what the topics of the source hold, as a recording; with what a run made of it.

    sluice record july
    sluice record noon --from 2024-06-01T12:00Z --until 2024-06-01T13:00Z
    sluice record raw --records-only --from utterances/0=1200 --from utterances/1=900

Where the store has a run, the recording carries its decisions (genesis, editions, checkpoints,
pins, and how lanes were cut), and what it had learnt before the first recorded window. Replayed
into an empty store it gives the shards of that run, digest for digest. It begins with the genesis,
or with the window of --from, and ends where each lane's newest part ends, or before the window of
--until. Otherwise, or with --records-only, it holds records alone, from what is left in the topics
to their ends. The run goes on meanwhile; nobody's lanes are taken. A recording holds what people
said: it is for its owner alone.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from daemon.commands import bounds
from daemon.commands.bounds import Bound
from daemon.commands.session import Session, config_argument, open_session
from daemon.console import Console
from daemon.kafka.configured import options_of
from daemon.kafka.extract import Extract
from daemon.lanes import genesis as geneses
from daemon.ports import EXIT_CONFIG, EXIT_OK, EXIT_STATE, EXIT_WRITE, Fatal, LaneId, LaneInfo
from daemon.recording.keeping import Keeping, topics_of
from daemon.recording.writer import FORMATS, REGISTRY
from daemon.registry import bundle
from daemon.registry import excerpt as excerpts
from daemon.registry.excerpt import Excerpt
from daemon.stores import local


def add(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument("folder", metavar="FOLDER", help="is made; must not exist")
    word = "TIME, WINDOW, or TOPIC/PARTITION=POSITION for each lane"
    parser.add_argument("--from", dest="first", action="append", metavar="BOUND", help=word)
    parser.add_argument("--until", action="append", metavar="BOUND", help="the same, exclusive")
    parser.add_argument(
        "--records-only", action="store_true", help="nothing of the run that the store has"
    )
    parser.add_argument("--format", choices=FORMATS, default="parquet", help="of lane files")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Raises Fatal."""
    session, folder = open_session(arguments, console), Path(arguments.folder)
    options = options_of(session.config.source)
    if os.path.lexists(folder):
        raise Fatal(f"{folder} exists already", code=EXIT_CONFIG, hint="name a new folder")
    genesis = None if arguments.records_only else session.registry.genesis
    period_ms = genesis.period_ms if genesis else session.config.stream.period_ms
    first = bounds.read(arguments.first, "--from", period_ms)
    until = bounds.read(arguments.until, "--until", period_ms)
    with Extract(options, session.clock) as log:
        if genesis is None:
            taken, ranges = None, _ranges(log, first, until)
        else:
            geneses.check_source(genesis, log.lanes)
            taken = _excerpt(session, first, until, period_ms)
            ranges = taken.ranges()
            _check_kept(log.lanes, taken)
        infos = [info for info in log.lanes if info.lane in ranges]
        starts = {lane: start for lane, (start, _) in ranges.items()}
        total = sum(end - start for start, end in ranges.values())
        try:
            with (
                closing(Keeping(folder, topics_of(infos, starts), arguments.format)) as keeping,
                console.progress("recording", total) as bar,
            ):
                for lane, (start, end) in ranges.items():
                    keeping.keep(lane, log.read(lane, start, end), bar.advance)
                if taken is not None:
                    _decisions(session, folder, taken)
                keeping.complete(taken.closings if taken else None)
        except OSError as error:
            raise Fatal(
                f"cannot write {folder}: {os.strerror(error.errno or 0)}",
                code=EXIT_WRITE,
                hint="what was written so far is no recording: remove it",
            ) from None
    console.write(f"{folder}\n")
    said = f", windows {taken.first} to {taken.last}" if taken else ", without a run's decisions"
    console.say(f"recorded {keeping.records} records of {len(ranges)} lanes{said}")
    return EXIT_OK


def _ranges(log: Extract, first: Bound, until: Bound) -> dict[LaneId, tuple[int, int]]:
    """Of records alone: within what the log has now."""
    ends = log.ends()
    begins = _positions(log, first) or {}
    stops = _positions(log, until) or {}
    return {
        info.lane: (
            start := min(max(info.start, begins.get(info.lane, info.start)), ends[info.lane]),
            max(start, min(ends[info.lane], stops.get(info.lane, ends[info.lane]))),
        )
        for info in log.lanes
    }


def _positions(log: Extract, bound: Bound) -> dict[LaneId, int]:
    """Where a bound lies in lanes; left out where it says nothing of a lane."""
    if bound.time_ms is None:
        known = {info.lane for info in log.lanes}
        if unknown := sorted(bound.positions.keys() - known):
            raise Fatal(
                f"{unknown[0]} is no lane of the source",
                code=EXIT_CONFIG,
                hint="source.options names the topics",
            )
        return bound.positions
    ends = log.ends()
    return {lane: ends[lane] if at is None else at for lane, at in log.at(bound.time_ms).items()}


def _excerpt(session: Session, first: Bound, until: Bound, period_ms: int) -> Excerpt:
    if first.positions or until.positions:
        raise Fatal(
            "a run is recorded in whole windows, and positions were given",
            code=EXIT_CONFIG,
            hint="give times, or --records-only",
        )
    begin = None if first.time_ms is None else first.time_ms // period_ms
    last = None if until.time_ms is None else -(-until.time_ms // period_ms) - 1
    taken = excerpts.excerpt(session.registry, begin, last)
    if not any(taken.closings.values()):
        raise Fatal(
            f"the run has no part of windows {taken.first} to {taken.last}",
            code=EXIT_STATE,
            hint="`sluice registry` shows how far its lanes are",
        )
    return taken


def _check_kept(infos: Sequence[LaneInfo], taken: Excerpt) -> None:
    """The log still has what is to be recorded. Raises Fatal, saying from when on it has."""
    starts = {info.lane: info.start for info in infos}
    if absent := sorted(taken.closings.keys() - starts.keys()):
        raise Fatal(
            f"{absent[0]} is a lane of the run, and of no topic of this configuration",
            code=EXIT_STATE,
            hint="name its topic under source.options again, as the run did",
        )
    whole, lacking = taken.first, []
    for lane, cuts in taken.closings.items():
        kept = [cut.window for cut in cuts if cut.start >= starts[lane] or cut.start == cut.end]
        if len(kept) < len(cuts):
            lacking.append(lane)
            gone = [cut.through for cut in cuts if cut.window not in kept]
            whole = max(whole, gone[-1] + 1)
    if lacking:
        raise Fatal(
            f"the log has lost records of {lacking[0]} that the run has read",
            code=EXIT_STATE,
            hint=f"--from {whole} is the first window that it has whole, labels aside",
        )


def _decisions(session: Session, folder: Path, taken: Excerpt) -> None:
    """Pins are read after the parts: those of every recorded part are there."""
    target = local.build(local.Options(str(folder / REGISTRY)))
    bundle.copy_decisions(session.registry.store, target)
    excerpts.carry(taken, session.registry.store, target)
