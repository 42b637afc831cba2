"""Effects of lanes made real: windows opened, parts and shards made durable, in order (law 6)."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from daemon.lanes import part as parts
from daemon.lanes.erasures import Erasures
from daemon.lanes.gather import Gathering
from daemon.lanes.labels import Labels
from daemon.lanes.lane import Lane, Open, PutPart
from daemon.lanes.part import PartManifest
from daemon.lanes.window import Segment
from daemon.ports import Batch, LaneId, Missing, Source
from daemon.registry.registry import Registry
from daemon.running import facts
from daemon.running.engines import Engines
from daemon.running.erasing import Eraser
from daemon.running.intake import Intake
from daemon.running.outgoing import Letters
from daemon.running.pinning import Pinning
from daemon.running.settle import Settler
from daemon.running.standing import Standing
from daemon.running.start import stand
from daemon.running.validating import Validator


@dataclass(slots=True, eq=False)
class Performer:
    """Letters before parts, parts before shards; each is told once it is durable."""

    source: Source
    registry: Registry
    engines: Engines
    pinning: Pinning
    settler: Settler
    eraser: Eraser
    intake: Intake
    standing: Standing
    tell: facts.Listener
    letters: Letters | None
    lanes: dict[LaneId, Lane]
    validator: Validator = field(init=False)
    _newest: int | None = None  # the last shard that was told
    _doubtful: PartManifest | None = None  # the store may have it, or not

    def __post_init__(self) -> None:
        self.validator = Validator(self.registry, self.engines)

    def open(self, lane: Lane, effect: Open) -> bool:
        """Begin the window that a lane wants. False: it waits, or covers windows empty first."""
        passed = self.pinning.passed(effect.window)
        opened = self.pinning.open(effect.window) if passed is None else None
        if opened is not None and lane.lane not in opened[0].lanes:
            passed = effect.window
        if passed is not None:
            # a new partition: it covers such windows empty, and wants the next (law 4)
            self.perform(lane.cover(passed, "record"))
        if passed is not None or opened is None:
            return False
        rules = opened[1]
        engine = self.engines.of(rules.edition)
        lane.engine = engine.model.engine
        lane.begin(effect.window, Gathering(rules, engine.grading.names))
        return True

    def begin(self, lane: Lane, window: int) -> None:
        """Begin a window of a label or erasure lane: no pin is waited for."""
        erasing = lane.kind == "erasures"
        lane.begin(window, Erasures(self.engines.erasures) if erasing else Labels())

    def hear(self, lane: Lane, batch: Batch, segment: Segment) -> None:
        """Absorb records of such a lane; what nobody can use is counted and told. Raises Retry."""
        lane.absorb_labels(batch, segment)
        by = self.validator.decides(segment.window)
        refusals = self.validator.refusals(lane.kind, by, batch, segment)
        if not refusals:
            return
        reasons = Counter(str(refusal.reason) for refusal in refusals)
        self.tell("label_refusals", {"kind": lane.kind, "reasons": reasons})
        if self.letters is not None:
            self.letters.heard(batch, lane.kind, refusals, by)

    def perform(self, effects: tuple[PutPart, ...]) -> bool:
        """Make parts durable in order; True if there was anything to do."""
        all(self.put(effect) for effect in effects)  # up to the first that lost its race
        return bool(effects)

    def put(self, effect: PutPart) -> bool:
        """Make a part durable. Who comes second resumes at the lane's newest part."""
        if self.letters is not None:
            self.letters.flush()
        self._tell_late()
        self._doubtful = effect.part.manifest  # until the store has answered
        won = self.registry.put_part(effect.part)
        self._doubtful = None
        self.standing.worked()
        if not won:
            self.intake.drop(effect.lane)
            self.registry.refresh()
            stand(self.source, self.registry, again=self.lanes[effect.lane])
        manifest = effect.part.manifest
        told = {**facts.of_part(manifest), "manifest": manifest}
        self.tell("part" if won else "lost_race", told)
        if won:
            self.settle()
        return won

    def _tell_late(self) -> None:
        """A create whose answer was lost has made its part, or has not."""
        if (manifest := self._doubtful) is None:
            return
        name, theirs = parts.name(manifest.lane, manifest.window), None
        with suppress(Missing):  # a Retry leaves the doubt for the next time
            theirs = parts.read_manifest(self.registry.store.get(name), name)
        self._doubtful = None
        if theirs == manifest:
            self.tell("part", {**facts.of_part(manifest), "manifest": manifest})

    def settle(self) -> bool:
        """Every shard that can be made now, and something of an erasure; True if anything was."""
        moved, scored = False, self.settler.scored
        while (made := self.settler.settle()) is not None:
            self.standing.worked()
            rules = self.pinning.open(made.window)
            told = {"manifest": made, "rules": rules[1] if rules else None}
            self.tell("shard", {**facts.of_shard(made), **told})
            self._newest, moved = made.window, True
        if rows := self.settler.scored - scored:
            self.tell("second_stage", {"rows": rows})
        return self.eraser.due() or moved or self.settler.scoring

    def refresh(self) -> bool:
        """See what others did; True if anything was new. Their shards are told too."""
        new = self.registry.refresh()
        self._tell_late()
        progress = self.registry.progress
        assert progress is not None
        if self._newest is None:  # what was there before is no news
            self._newest = max(progress.shards, default=-1)
        for window in [w for w in progress.shards if w > self._newest]:
            self.tell("shard_seen", {"manifest": self.registry.manifest(window)})
            self._newest = window
        return new
