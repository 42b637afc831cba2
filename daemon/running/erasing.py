"""Erasures made real: after each shard, in order, a little at a time (law 8).

A step is what became known with one shard: the erasures that it waited for, and that the shard
before it had not. So which versions there are, and what is in them, follows from log and registry
alone. A step visits the shards up to its own, then what was rolled, and ends with a receipt:

    rows of W.v2 -> its manifest -> its name in the manifest of W -> parts bare -> rows of W a stub

Each write is one that may be done again, by anybody: whoever dies is followed by one who begins the
step anew, and finds what is there.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from msgspec import Struct

from daemon import tables
from daemon.registry import effacing, versions
from daemon.registry.registry import Registry
from daemon.running.facts import Listener
from daemon.shards import erasures, shard
from daemon.shards.erasures import Erasures, named_rows
from daemon.shards.shard import ShardManifest

PREFIX = "erased/"  # a receipt for each shard whose erasures are done


def receipt_name(step: int) -> str:
    """Of the step of one shard."""
    return f"{PREFIX}{step:012d}.json"


class Receipt(Struct, frozen=True):
    """What the erasures of one shard did: created last, so whoever sees it need not look."""

    shard: int
    records: int  # of erasure lanes that no shard before it had waited for
    refused: int
    versions: tuple[tuple[int, int, int], ...]  # window, version, rows that it lacks


@dataclass(slots=True, eq=False)
class Step:
    """What one shard brought: `window` is its own."""

    window: int
    own: Erasures  # for the parts of the shard itself, whose rows lack them already
    fresh: Erasures  # for all shards before it
    named: tuple[str, ...]  # parts that hold `fresh`
    todo: deque[int | str] = field(default_factory=deque)  # windows, then rolled objects
    made: list[tuple[int, int, int]] = field(default_factory=list)  # window, version, rows taken


class Eraser:
    """One per process, in the loop's thread."""

    def __init__(self, registry: Registry, key: bytes, tell: Listener) -> None:
        self._registry, self._store, self._key = registry, registry.store, key
        self._tell = tell
        self._after: int | None = None  # the last step that is known to be done
        self._step: Step | None = None

    def due(self) -> bool:
        """Do one thing; False: nothing was left. Raises Retry: then it is due again."""
        progress = self._registry.progress
        assert progress is not None
        if not progress.erasure_topics or not progress.shards:
            return False
        if self._after is None:
            self._after = max(map(_step_of, self._store.list(PREFIX)), default=-1)
        if progress.shards[-1] <= self._after:
            return False
        step, self._step = self._step, None  # where this fails, the step is begun anew
        self._step = self._moved(step, self._after)
        return True

    def _moved(self, step: Step | None, after: int) -> Step | None:
        """The step after one thing more of it was done; None once it is over."""
        done = [_step_of(name) for name in self._store.list(PREFIX, receipt_name(after))]
        if done:
            self._after = max(done)
            return None
        if step is None:
            return self._begin(after)
        if step.todo:
            self._visit(step, step.todo.popleft())
            return step
        self._end(step)
        return None

    def _begin(self, after: int) -> Step | None:
        """Of the first shard without a receipt; None where there is none."""
        begin = f"{shard.prefix(after)}~" if after >= 0 else ""
        window = next(shard.windows(self._store.list(shard.PREFIX, begin)), None)
        if window is None:
            return None
        manifest = self._registry.manifest(window)
        names = self._erasure_parts(manifest) if manifest.revision.records else ()
        if not all(map(self._is_there, names)):
            names = ()  # a shard from before a recorded stretch: its parts stayed behind
        if not names:
            return Step(window, erasures.NOBODY, erasures.NOBODY, ())
        before = [w for w in shard.windows(self._store.list(shard.PREFIX)) if w < window]
        heard = self._erasure_parts(self._registry.manifest(before[-1])) if before else ()
        held = {name: self._registry.part(name) for name in names}
        # parts without a record are cut as lanes happen to close: a version names none of them
        named = {n: p for n, p in held.items() if n not in heard and p.rows["position"]}
        own, fresh = erasures.read(tuple(held.values())), erasures.read(tuple(named.values()))
        step = Step(window, own, fresh, tuple(named))
        step.todo.append(window)
        if step.fresh.ids or step.fresh.users:
            step.todo.extend(before)
            step.todo.append(shard.ROLLING_PREFIX)
        return step

    def _erasure_parts(self, manifest: ShardManifest) -> tuple[str, ...]:
        progress = self._registry.progress
        assert progress is not None
        return tuple(r.object for r in manifest.labels if r.topic in progress.erasure_topics)

    def _is_there(self, name: str) -> bool:
        return next(self._store.list(name), None) == name

    def _visit(self, step: Step, target: int | str) -> None:
        store, key = self._store, self._key
        if target == shard.ROLLING_PREFIX:  # looked for when no part has the rows any more
            step.todo.extend(store.list(shard.ROLLING_PREFIX))
            return
        if isinstance(target, str):
            effacing.empty_rows(store, target, "", lambda rows: named_rows(rows, step.fresh, key))
            return
        if target != step.window:
            self._succeed(step, target)
        known = versions.numbers(store, target)
        for number in known[:-1]:
            effacing.name_successor(store, target, number)
        whom = step.own if target == step.window else step.fresh
        for reference in self._registry.manifest(target).parts:
            if reference.window == target:
                effacing.bare(store, reference.object, whom, step.window)
        # also rows that nobody names: of who lost the race for a manifest
        newest = versions.newest(self._registry, target)
        for number in known:
            # others may have made a version since that no manifest names as a successor yet
            last = number == newest.revision.number
            successor = "" if last else shard.manifest_name(target, number + 1)
            for name in list(store.list(shard.prefix(target, number))):
                if name.endswith(".parquet") and name != newest.rows_object:
                    effacing.empty_rows(store, name, successor)

    def _succeed(self, step: Step, window: int) -> None:
        """Make the next version of a shard, unless none of its rows is erased."""
        if versions.newest(self._registry, window).revision.step < step.window:
            newest, rows = versions.newest_rows(self._registry, window)
            gone = named_rows(rows, step.fresh, self._key)
            if gone:
                made = erasures.succeed(
                    newest, rows, gone, step.fresh,
                    step=step.window, parts=step.named, key=self._key,
                )  # fmt: skip
                manifest, data = made.manifest, shard.encode_rows(made, shard.scores_of(rows))
                self._store.create(manifest.rows_object, data)
                name = shard.manifest_name(window, manifest.revision.number)
                self._store.create(name, tables.canonical(manifest))
        for number in versions.numbers(self._store, window):
            revision = versions.manifest(self._store, window, number).revision
            if revision.step == step.window:
                step.made.append((window, number, revision.removed))

    def _end(self, step: Step) -> None:
        fresh = step.fresh
        receipt = Receipt(step.window, fresh.records, fresh.refused, tuple(step.made))
        created = self._store.create(receipt_name(step.window), tables.canonical(receipt))
        self._after = step.window
        rows = sum(taken for _, _, taken in step.made)
        if created and fresh.records:
            facts = {"window": step.window, "versions": len(step.made), "rows": rows}
            self._tell("erased", {**facts, "refused": fresh.refused})


def _step_of(name: str) -> int:
    return int(name.removeprefix(PREFIX).removesuffix(".json"))
