"""CPU time of a running loop by stage: each thread's own clock, children not counted twice."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from daemon.decode.decoder import Decoder
from daemon.lanes.lane import Lane
from daemon.running.engines import Engine
from daemon.running.performing import Performer
from daemon.running.pipeline import Pipeline
from daemon.sources.kafka import KafkaSource
from scoring.scorer import Scorer

STAGES = ("poll", "decode", "score", "weigh", "absorb", "perform")
PLACES: tuple[tuple[type, str, str], ...] = (
    (KafkaSource, "poll", "poll"),
    (Decoder, "decode", "decode"),
    (Scorer, "score", "score"),
    (Engine, "prepare", "weigh"),  # without the two above: weights, identities, draws
    (Pipeline, "_work", "rest"),
    (Lane, "absorb", "absorb"),
    (Lane, "turn", "absorb"),  # closes windows: the rows of their parts
    (Lane, "cover", "absorb"),
    (Performer, "put", "perform"),
    (Performer, "open", "perform"),
    (Performer, "settle", "perform"),
    (Performer, "refresh", "perform"),
)


class Stages:
    """Seconds of CPU by stage, of all threads. `rest`: of no stage; the loop itself."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys((*STAGES, "rest"), 0.0)
        self._known = 0.0  # CPU of threads that are measured from inside
        self._inside = threading.local()
        self._lock = threading.Lock()

    def _wrap(self, stage: str, plain: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(plain)
        def timed(*args: Any, **given: Any) -> Any:
            stack = self._inside.__dict__.setdefault("stack", [])
            stack.append(0.0)
            begun = time.thread_time()
            try:
                return plain(*args, **given)
            finally:
                spent = time.thread_time() - begun
                inner = stack.pop()
                if stack:
                    stack[-1] += spent
                with self._lock:
                    self.seconds[stage] += spent - inner
                    if not stack and threading.current_thread() is not threading.main_thread():
                        self._known += spent

        return timed

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Of what runs inside, in this process. The client's own thread counts as poll."""
        plain = [(owner, name, owner.__dict__[name]) for owner, name, _ in PLACES]
        for owner, name, stage in PLACES:
            setattr(owner, name, self._wrap(stage, owner.__dict__[name]))
        process, own = time.process_time(), time.thread_time()
        try:
            yield
        finally:
            process, own = time.process_time() - process, time.thread_time() - own
            for owner, name, before in plain:
                setattr(owner, name, before)
        inside = sum(self.seconds.values()) - self._known  # of this thread
        self.seconds["rest"] += own - inside
        self.seconds["poll"] += max(0.0, process - own - self._known)

    def lines(self, records: int) -> str:
        """Microseconds a record, by stage."""
        each = {name: 1e6 * seconds / records for name, seconds in self.seconds.items()}
        return "  ".join(f"{name} {took:.2f}" for name, took in each.items())
