"""Candidates in memory: those that are left, and under which bounds they came so far."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from buffers import draw
from buffers.base import NEVER, Ids, Int64s, Reservoir
from daemon.lanes.arms import build_pool
from daemon.learning.rules import Rules
from scoring.types import Grid, Weighed


@dataclass(frozen=True, slots=True, eq=False)
class Left:
    """k candidates, each known by the first of its rows. Columns of length k."""

    rows: Int64s
    counts: Int64s  # rows with its key
    weights: Grid  # 1 to GRID
    chances: npt.NDArray[np.float64]  # of having come so far
    limits: Int64s  # what its last weight times a tau may not pass, as a logarithm in steps of
    # 1 / draw.RANK_UNIT; NEVER: nothing of its group was turned away

    @staticmethod
    def of_box(box: Reservoir, weights: Grid) -> Left:
        """What a first box kept. `weights`: of all rows."""
        kept = box.items()
        own, taus = weights[kept.orders], box.thresholds()[kept.groups]
        limits = _limits(own, taus)
        return Left(kept.orders, kept.multiplicity, own, draw.inclusion(own, taus), limits)

    def with_doubted(self, waited: Left, weights: Grid) -> Left:
        """And those that waited, which were ranked without a weight: their tau limits no rank."""
        rows = np.concatenate([self.rows, waited.rows])
        return Left(
            rows,
            np.concatenate([self.counts, waited.counts]),
            weights[rows],
            np.concatenate([self.chances, waited.chances]),
            np.concatenate([self.limits, np.full(len(waited.rows), NEVER)]),
        )

    def at(self, places: npt.NDArray[np.bool_ | np.intp]) -> Left:
        """Some of them."""
        return Left(
            self.rows[places],
            self.counts[places],
            self.weights[places],
            self.chances[places],
            self.limits[places],
        )

    def box(
        self, keys: Ids, groups: npt.NDArray[np.int32], rules: Rules, capacity: int
    ) -> Reservoir:
        """The best of them. Its items are places among them."""
        made = build_pool(rules, capacity)
        if len(self.rows):
            drawn = draw.draw(keys[self.rows], "select", rules.epoch, rules.key)
            ranks, places = draw.log_rank(drawn, self.weights), range(len(self.rows))
            own = keys[self.rows]
            made.offer_many(groups[self.rows], ranks, own, self.rows, places, self.counts)
        return made

    def through(self, box: Reservoir) -> Left:
        """Those that a box of them kept, in its order."""
        kept = box.items()
        passed = self.at(np.array(kept.items, np.intp))
        taus = box.thresholds()[kept.groups]
        return replace(
            passed,
            counts=kept.multiplicity,
            chances=np.minimum(passed.chances, draw.inclusion(passed.weights, taus)),
            limits=np.minimum(passed.limits, _limits(passed.weights, taus)),
        )

    def weighed(self, again: Weighed) -> Left:
        """With other weights, and without what those refuse. `again`: of all rows."""
        left = self.at(again.reasons[self.rows] == 0)
        return replace(left, weights=again.weights[left.rows])

    @property
    def log_taus(self) -> Int64s:
        """(k,) the smallest tau, in log-ranks of the last weight: `daemon.shards.cascade` has it
        row by row."""
        return np.where(
            self.limits == NEVER, NEVER, self.limits - draw.LN_WEIGHTS[self.weights]
        )


def _limits(weights: Grid, taus: Int64s) -> Int64s:
    return np.where(taus == NEVER, NEVER, taus + draw.LN_WEIGHTS[weights])
