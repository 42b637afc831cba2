"""What the loop tells of its effects: numbers and closed words, never text."""

from __future__ import annotations

from collections.abc import Callable

from daemon.lanes.part import PartManifest
from daemon.shards.shard import ShardManifest
from scoring.types import REASONS, Reason

Facts = dict[str, object]
Listener = Callable[[str, Facts], None]  # event, facts


def of_part(manifest: PartManifest) -> Facts:
    """A part that was put, or that lost its race."""
    return {
        "lane": str(manifest.lane),
        "window": manifest.window,
        "through": manifest.through,
        "records": manifest.counts.records,
        "end": manifest.end,
        "closed_by": manifest.closed_by,
    }


def of_shard(made: ShardManifest) -> Facts:
    """A new shard. `worst_reason`: of the refusals, the most frequent; "" without any."""
    reasons = {str(r): made.counts.get(str(r), 0) for r in REASONS if r is not Reason.ACCEPTED}
    refused = sum(reasons.values())
    worst = max(reasons, key=reasons.__getitem__)  # of equals the first in the order of reasons
    return {
        "window": made.window,
        "rows": made.rows,
        "selected": made.arms.get("selected", 0),
        "records": made.counts["records"],
        "refused": refused,
        "worst_reason": worst if refused else "",
        "worst_count": reasons[worst],
        "edition": made.edition,
        "cold": made.cold,
        "digest": made.rows_digest[:16],
    }
