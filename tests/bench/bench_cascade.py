"""What a configured number of candidates costs: the share of the second stage in a real run.

Candidates are configured as `sluice doctor` proposes them for a tenth; then a stream is run, and
CPU seconds of both stages are counted where they are spent. Goal: within 10 % of the share.

Engines fill calls up: where few records make few calls of candidates, no number costs the share.

Run: python -m tests.bench.bench_cascade [--records 100000] [--share 0.1]
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable
from typing import Any

import msgspec

from daemon.clock import ManualClock
from daemon.commands.doctor import ROWS
from daemon.doctor import costs, proposal
from daemon.doctor.costs import Rows
from daemon.doctor.proposal import Traffic
from daemon.learning.cascade import Cascade
from daemon.policy import Arms, Kind, Policy
from daemon.ports import LaneId, Store
from daemon.registry.halves import reading
from daemon.registry.registry import Registry
from daemon.running.engines import Engines
from daemon.stores.memory import MemoryStore
from tests import supplied, tiny_bert
from tests.streams import KEY, PERIOD_MS, ListSource, Record, World, say
from tests.supplied import put

BATCH, WINDOWS = 256, 2
CASES = (("onnx", ("tracin",)), ("onnx", ("el2n_mean", "forgetting")), ("torch", ("vog",)))


class Cpu(ManualClock):
    """Seconds of CPU of the calling thread: neighbours on the machine cost nothing."""

    def monotonic(self) -> float:
        return time.thread_time()


def policy(kind: str, names: tuple[str, ...], candidates: int) -> Policy:
    base = supplied.policy(kind, ("entropy", "el2n"))
    cascade = Cascade(candidates, tuple(map(Kind, names)), Kind("weighted", {"score": names[0]}))
    arms = Arms(audit_rows=4, random_rows=4, review_rows=4)
    return msgspec.structs.replace(base, capacity_rows=1, rolling=None, cascade=cascade, arms=arms)


def store_of(kind: str, names: tuple[str, ...], candidates: int) -> Store:
    store = MemoryStore()
    made = policy(kind, names, candidates)
    supplied.published(store, kind, made, history=put(store, kind, 1, 2, 3))
    return store


def text(number: int) -> str:
    """No two alike, of words that come again: a number is written in words of the vocabulary."""
    words = [supplied.SAID[number % len(supplied.SAID)][0]]
    while number:
        number, digit = divmod(number, len(tiny_bert.WORDS))
        words.append(tiny_bert.WORDS[digit])
    return " ".join(words)


def spent(store: Store, made: Policy, records: int) -> tuple[float, float]:
    """CPU seconds of both stages in a run over some windows of so many records."""
    took = {"first": 0.0, "second": 0.0}

    def timed(stage: str, plain: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(plain)
        def run(*given: Any, **named: Any) -> Any:
            begun = time.thread_time()
            try:
                return plain(*given, **named)
            finally:
                took[stage] += time.thread_time() - begun

        return run

    lanes: dict[LaneId, list[Record]] = {LaneId("u", n): [] for n in range(2)}
    for number in range(WINDOWS * records):
        window, label = 5 + number // records, tiny_bert.LABELS[number % 5]
        value = say(number, text(number), label)
        lane = LaneId("u", number // len(supplied.SAID) % 2)  # each says everything
        lanes[lane].append((window * PERIOD_MS, value))
    loop = World(store, made).loop(ListSource(lanes), batch_records=BATCH, poll_records=2_048)
    engine: Any = loop.engines.of(loop.registry.editions[0])
    for stage, scorer in (("first", engine.scorer), ("second", engine.second.scorer)):
        scorer.score([text(0)], [tiny_bert.LABELS[0]])  # a process that runs for days is warm
        scorer.score = timed(stage, scorer.score)
    assert loop.run()
    return took["first"], took["second"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000, help="of a window")
    parser.add_argument("--share", type=float, default=0.1, help="of the time of the first stage")
    arguments = parser.parse_args()
    traffic = Traffic(float(arguments.records), 1.0, "")
    for kind, names in CASES:
        store = store_of(kind, names, 2)
        registry = Registry(store)
        registry.read_editions()
        engine = Engines(store, KEY, threads=1).of(registry.editions[0])
        said = reading(supplied.sample(kind), engine.edition.policy)
        step = WINDOWS * arguments.records // ROWS | 1  # all of the stream, every sentence of it
        texts = tuple(text(n * step) for n in range(ROWS))
        rows = Rows(texts, tuple(said.labels[n % 100] or "" for n in range(ROWS)))
        assert engine.second is not None
        first, clock = costs.scoring(Cpu(), engine.scorer, rows, BATCH), Cpu()
        measure = functools.partial(costs.candidates, clock, engine.second.scorer, rows)
        audited = engine.edition.policy.arms.audit_rows
        most = max(2, proposal.settled(first, measure, traffic, arguments.share, audited))
        second = measure(most + audited)
        made = policy(kind, names, most)
        ours, theirs = spent(store_of(kind, names, most), made, arguments.records)
        whole, every = theirs / ours, WINDOWS * arguments.records
        took = ours / every * 1e6, theirs / (WINDOWS * (most + audited)) * 1e6
        print(
            f"{kind} {'+'.join(names):22s} candidates {most:5d} of {arguments.records}  costs "
            f"{whole:.3f} of the first stage, asked for {arguments.share:.3f}: ratio "
            f"{whole / arguments.share:.2f}  (us: first {first * 1e6:.0f}, {took[0]:.0f} in the "
            f"run; second {second * 1e6:.0f}, {took[1]:.0f} in the run)"
        )


if __name__ == "__main__":
    main()
