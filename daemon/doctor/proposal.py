"""From costs and traffic to a number of candidates: it decides, the share only proposes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from daemon.commands.session import Session
from daemon.learning.cascade import candidates as configured
from daemon.policy import Policy
from daemon.registry import versions
from daemon.shards import shard

LOOKS = 4  # at numbers of candidates, until one costs what it was proposed for


@dataclass(frozen=True, slots=True)
class Traffic:
    """How much is said."""

    per_second: float  # utterances, of all lanes together
    period: float  # seconds of a window
    told_by: str  # for people

    @property
    def records(self) -> float:
        """Of a window."""
        return self.per_second * self.period


def measured(session: Session) -> Traffic | None:
    """Of the newest window that has a shard; None where nothing was recorded."""
    genesis = session.registry.genesis
    windows = list(shard.windows(session.registry.store.list(shard.PREFIX)))
    if genesis is None or not windows:
        return None
    period = genesis.period_ms / 1000
    records = versions.newest(session.registry, windows[-1]).counts.get("records", 0)
    return Traffic(records / period, period, f"{records} records of window {windows[-1]}")


def proposed(first: float, second: float, traffic: Traffic, share: float, audited: int) -> int:
    """The most candidates of a window whose second stage costs `share` of the time of the first.

    `first` and `second`: seconds an utterance and a candidate. `audited`: rows of the audit arm,
    which are scored as candidates are. 0: the share is too small.
    """
    if second <= 0:
        return int(traffic.records)
    rows = int(share * first * traffic.records / second + 1e-6)  # 1500, and not 1499.9999
    return max(0, min(int(traffic.records), rows - audited))


def settled(
    first: float,
    second: Callable[[int | None], float],
    traffic: Traffic,
    share: float,
    audited: int,
) -> int:
    """The same where few candidates cost more each than many: `second` measures so many of them.

    Engines fill calls up, so costs go up in steps and no number may cost the share: of those that
    were looked at it is the one that costs nearest to it.
    """
    aim = share * first * traffic.records
    most, off = proposed(first, second(None), traffic, share, audited), dict[int, float]()
    for _ in range(LOOKS):
        if most in off:
            break
        cost = second(most + audited)
        off[most] = abs(cost * (most + audited) - aim)
        most = proposed(first, cost, traffic, share, audited)
    return min(off, key=off.__getitem__)


def spent(first: float, second: float, traffic: Traffic, policy: Policy) -> float:
    """Share of the time of the first stage that the second costs under a policy with a cascade.

    Of a window with fewer utterances all are candidates, and all are audited.
    """
    most = traffic.records
    rows = min(configured(policy.cascade), most) + min(policy.arms.audit_rows, most)
    return second * rows / (first * most) if most else 0.0
