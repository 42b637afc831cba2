"""Each group's share of what came in beside its share of what was kept."""

from __future__ import annotations

from daemon.learning.rules import OTHER
from daemon.report import figures, svg
from daemon.report.figures import count, several
from daemon.report.frame import details, legend, section
from daemon.report.markup import Safe, el, fact, join, name
from daemon.shards.shard import ShardManifest

SHOWN = 20  # groups before the fold


def draw(m: ShardManifest) -> Safe:
    """The section."""
    names = sorted({*m.traffic, *m.kept}, key=lambda n: (-m.traffic.get(n, 0), n == OTHER, n))
    before, after = figures.effective(m.traffic.values()), figures.effective(m.kept.values())
    lead = join(
        "Traffic is as diverse as ", fact("effective_traffic", before, figures.real(before, 1)),
        " groups of equal size; what was kept, as ",
        fact("effective_kept", after, figures.real(after, 1)),
        f". {_meaning(m, before, after)}",
    )  # fmt: skip
    rest = names[SHOWN:]
    scale = max([*_shares(m.traffic).values(), *_shares(m.kept).values()], default=1.0)
    return section(
        "groups", "Groups, before and after", lead,
        legend(("water", "share of accepted records"), ("gold", "share of selected rows")),
        _table(m, names[:SHOWN], scale, "The largest groups"),
        details(
            f"{len(rest)} more {several(len(rest), 'group')}",
            _table(m, rest, scale, "Further groups"),
        ) if rest else None,
        el(
            "p", "(other) holds the names that are too rare for a group of their own: they came in "
            "under their own names, and are kept as one group.", class_="quiet",
        ) if OTHER in m.kept else None,
    )  # fmt: skip


def _meaning(m: ShardManifest, before: float, after: float) -> str:
    if m.cold:
        return "The window is cold: nothing was balanced, but what repeats is kept once."
    if after > before:
        return "Rare groups gained what the largest gave up."
    return "Balancing found little to even out here."


def _shares(sizes: dict[str, int]) -> dict[str, float]:
    total = sum(sizes.values())
    return {group: figures.ratio(size, total) for group, size in sizes.items()}


def _table(m: ShardManifest, names: list[str], scale: float, label: str) -> Safe:
    columns = (("Group", None), ("Shares", None), ("Came in", "number"), ("Kept", "number"))
    head = el("tr", *(el("th", title, scope="col", class_=side) for title, side in columns))
    before, after = _shares(m.traffic), _shares(m.kept)
    rows = [_row(m, group, before.get(group, 0.0), after.get(group, 0.0), scale) for group in names]
    return el(
        "table", el("caption", label, class_="unseen"), el("thead", head), el("tbody", *rows),
        class_="bars",
    )  # fmt: skip


def _row(m: ShardManifest, group: str, before: float, after: float, scale: float) -> Safe:
    came, kept = m.traffic.get(group, 0), m.kept.get(group, 0)
    words = f"{figures.percent(before)} of traffic, {figures.percent(after)} of the selection"
    bars = svg.chart(
        words, 20,
        el("title", words),
        svg.rect(0, 2, before / scale, 7, "water"),
        svg.rect(0, 11, after / scale, 7, "gold"),
    )  # fmt: skip
    shared = group == OTHER and not came
    return el(
        "tr",
        el("th", name(group), scope="row"),
        el("td", bars),
        el("td", "\u2013" if shared else fact("traffic", came, count(came), group),
           class_="number"),
        el("td", fact("kept", kept, count(kept), group), class_="number"),
    )  # fmt: skip
