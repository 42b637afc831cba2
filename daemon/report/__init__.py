"""A shard as one page for people: self-contained HTML, no network, no script needed to read it.

Pure: equal manifests and rows give the same bytes, so the page says nothing of when it was made.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template
from typing import Any

from daemon.report import (
    examples,
    groups,
    headline,
    intake,
    labels,
    provenance,
    scores,
    svg,
    timeline,
)
from daemon.report.markup import Safe, el, escape
from daemon.shards.shard import ShardManifest

SECTIONS: Mapping[str, str] = {
    "intake": "In and out",
    "groups": "Groups",
    "labels": "Labels",
    "scores": "Scores",
    "time": "Over time",
    "rows": "Rows",
    "provenance": "Provenance",
}


def render(
    manifest: ShardManifest,
    rows: Mapping[str, Sequence[Any]] | None,
    earlier: Sequence[ShardManifest] = (),
    *,
    period_ms: int,
) -> str:
    """The page of a shard. `rows`: its columns, None to leave all texts out of the page.

    `earlier`: manifests of shards before it, in any order; what is not before it is passed over.
    """
    past = {m.window: m for m in earlier if m.window < manifest.window}
    windows = [past[window] for window in sorted(past)]
    made = (
        intake.draw(manifest),
        groups.draw(manifest),
        labels.draw(manifest),
        scores.draw(manifest),
        timeline.draw([*windows, manifest], period_ms),
        examples.draw(manifest, rows),
        provenance.draw(manifest),
    )
    shown = [(name, part) for name, part in zip(SECTIONS, made, strict=True) if part is not None]
    links = [el("li", el("a", SECTIONS[name], href=f"#{name}")) for name, _ in shown]
    return _page(
        title=f"Shard of window {manifest.window}",
        head=headline.draw(manifest, period_ms),
        navigation=el("ul", *links),
        sections="\n".join(part for _, part in shown),
    )


def _page(*, title: str, head: Safe, navigation: Safe, sections: str) -> str:
    style, script = _static("style.css"), _static("script.js")
    return Template(_static("page.html")).substitute(
        title=escape(title),
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        defs=svg.HATCH,
        head=head,
        navigation=navigation,
        sections=sections,
    )


def _static(name: str) -> str:
    return resources.files("daemon.report").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """How a content security policy names an inline block (CSP level 3, section 2.3.1)."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
