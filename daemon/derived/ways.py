"""With which chance a rolling shard shows a key, which may come in through any of its windows.

Epochs are constant, so a key has one draw in all windows, and each asks for a draw below a bound of
its own: that of its first stage or that of the rolling tau less its decay, whichever is narrower.
The key is shown where its draw is below the widest of these bounds. Windows that turned it away
have narrower ones than those that kept it, so they need not be known.

A group that moves into or out of `(other)` changes its keys, so its texts have a draw on either
side and come in by either. There a window that turned a key away is not counted: its draw is not
that of the windows that kept it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from buffers.base import NEVER
from daemon.shards.cascade import shown_tau
from daemon.shards.chances import chances_of
from daemon.shards.pool import First


class Way(NamedTuple):
    """How a key came through one window."""

    drawn: int  # low word of the key that its rank was drawn from
    first: First
    weight: int
    decay: int  # steps that were added to its log-rank


def chance(ways: Sequence[Way], tau: int) -> float:
    """That a key comes in by any of its ways, under its group's rolling log-rank tau."""
    weights = [w for way in ways for w in (way.first.weight, way.weight)]
    taus = [t for way in ways for t in (way.first.log_tau, _plain(tau, way))]
    stages = chances_of(weights, taus).reshape(len(ways), 2)
    best: dict[int, float] = {}
    for way, own in zip(ways, stages, strict=True):
        one = float(own.min() if way.first.key_low == way.drawn else own.prod())
        best[way.drawn] = max(one, best.get(way.drawn, 0.0))
    met = 0.0
    for one in best.values():
        met += one - met * one
    return met


def widest(ways: Sequence[Way], tau: int, shown: Way) -> int:
    """The log-rank tau of the widest way of one draw, as ranks of the shown way's weight say it."""
    taus = []
    for way in ways:
        if way.drawn == shown.drawn:
            bounds = [(way.weight, _plain(tau, way))]
            if way.first.key_low == way.drawn:
                bounds.append((way.first.weight, way.first.log_tau))
            taus.append(shown_tau(shown.weight, NEVER, bounds))
    return max(taus)


def _plain(tau: int, way: Way) -> int:
    """Ranks were raised by the decay, so the tau of the plain rank is lower by it."""
    return tau if tau == NEVER else tau - way.decay
