"""The catalogue as a page for people: docs/metrics.md is this, and `make docs` writes it."""

from __future__ import annotations

from daemon.metrics.catalogue import (
    BUCKETS,
    GROUPS,
    LANES,
    LEAST_MEMBERS,
    SECTIONS,
    Label,
    Series,
)

HEAD = f"""# Metrics

<!-- Made from daemon/metrics/catalogue.py by `make docs`. -->

`/metrics` speaks the text format of Prometheus, beside the `process_*` series of its Python client.
The port is `http.port` of the configuration; without one nothing is served.

- **Counters** are of this process since it started: add them up over processes, after `rate`.
- **Gauges of a window** are of the newest shard that a process knows. A shard is the same whoever
  looks at it, so take `max by (namespace, job)` over processes, never a sum. They change all at
  once, when a shard is made, and stand still in between.
- **Absent** means not known, and is never 0.
- **Labels** come from closed or bounded lists. No text, id or label of a record is among them: the
  name of a group is a class of the checkpoint, and all others are `(other)`, as are classes with
  fewer than {LEAST_MEMBERS} records in the window. At most {GROUPS} groups and {LANES} lanes have
  series of their own.

Each panel of the dashboard and each [alert](runbooks) reads these series and no others.
"""

TAIL = f"""
## What the claims claim

**Suspected** is not wrong. The model doubts labels below a threshold that aims at a fixed multiple
(`policy.quarantine.margin`) of the audited rate, at most `policy.quarantine.cap`, so the suspect
share is near that by design. It is worth a look when it moves, not for its level.

**Audited** is measured: annotators answer for a small sample that is uniform by utterance id and
that no score has touched. Its interval is that of one look. Older answers fade, so neighbouring
windows share most of theirs: they are not independent looks.

**Drift** compares shares of groups with the first warm windows of the same edition, up to a day of
them: another edition selects otherwise and begins a new reference. Traffic is what was accepted: a
quarantine that changes its threshold moves it too. The critical value is for independent rows.
Repeated utterances make traffic scatter more than that, hours of the day move it for good reasons,
and quotas hold kept rows stiller, so alerts also ask for an effect that matters. A drift says that
shares moved, not that anything got worse.

**Lift** is how much higher the selected rows score than those of the random arm. In a cold window
it is near 0 by design.

Buckets of `sluice_batch_duration_seconds` end at {", ".join(f"{b:g}" for b in BUCKETS)} seconds.
"""


def markdown() -> str:
    """The whole page."""
    sections = "".join(
        f"\n## {title}\n\n| series | type | what it says | absent when |\n|---|---|---|---|\n"
        + "".join(map(_row, section))
        for title, section in SECTIONS.items()
    )
    return HEAD + sections + TAIL


def _row(series: Series) -> str:
    labels = "".join(f"<br>`{label.name}`: {_values(label)}" for label in series.labels)
    return f"| `{series.name}` | {series.type} | {series.help}{labels} | {series.absent} |\n"


def _values(label: Label) -> str:
    return ", ".join(f"`{value}`" for value in label.values) or label.bound
