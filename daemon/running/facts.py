"""What the loop tells of its effects: numbers and closed words, never text."""

from __future__ import annotations

from collections.abc import Callable

from daemon.lanes.part import PartManifest
from daemon.shards.shard import ShardManifest

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
    """A new shard."""
    return {
        "window": made.window,
        "rows": made.rows,
        "selected": made.arms.get("selected", 0),
        "records": made.counts["records"],
        "edition": made.edition,
        "cold": made.cold,
        "digest": made.rows_digest[:16],
    }
