"""What a person should know at first sight: a sentence, and six figures."""

from __future__ import annotations

from daemon.learning.calibration import SCALE
from daemon.learning.rules import COLD
from daemon.report import figures
from daemon.report.figures import count, several
from daemon.report.markup import Safe, el, fact, join
from daemon.shards.shard import ShardManifest
from scoring.types import Reason


def draw(m: ShardManifest, period_ms: int) -> Safe:
    """The head of the page."""
    kept, records = m.arms.get("selected", 0), m.counts.get("records", 0)
    sentence = join(
        "Window ", fact("window", m.window, str(m.window)), " kept ",
        el("em", fact("selected", kept, count(kept))), " of ",
        fact("records", records, count(records)), f" {several(records, 'record')} in ",
        fact("groups", len(m.kept), count(len(m.kept))), f" {several(len(m.kept), 'group')}.",
    )  # fmt: skip
    eyebrow = " \u00b7 ".join(
        ["Sluice shard report", *filter(None, [figures.when(m.window, period_ms)])]
    )
    return el(
        "header",
        el("p", el("span", class_="logo", aria_hidden="true"), eyebrow, class_="eyebrow"),
        el("h1", sentence),
        el("p", noise_words(m), " ", _suspect_words(m), " ", lift_words(m), class_="summary"),
        _cold(m),
        _tiles(m),
    )


def noise_words(m: ShardManifest) -> Safe:
    """The audited noise rate as a sentence, or that it is unknown and why."""
    if m.noise is not None:
        return join(
            "About ", el("strong", fact("noise", m.noise.estimate, figures.percent(m.noise[0]))),
            " (", fact("noise_low", m.noise.low, figures.bare(m.noise.low)), " to ",
            fact("noise_high", m.noise.high, figures.percent(m.noise.high)),
            ") of the labels that came in are wrong.",
        )  # fmt: skip
    return join(
        "How many labels are wrong is ", el("strong", fact("noise", None, "unknown")),
        f": {_unaudited(m)}.",
    )  # fmt: skip


def _unaudited(m: ShardManifest) -> str:
    remembered = m.calibration.traffic.answered // SCALE
    return f"only {count(remembered)} audit answers so far" if remembered else "no audit answers"


def _suspect_words(m: ShardManifest) -> Safe:
    suspects = m.counts.get(Reason.SUSPECT, 0)
    if m.suspect_below is None:
        return Safe("No label was quarantined.")
    return join(
        fact("suspect", suspects, count(suspects)),
        f" suspect {several(suspects, 'label')} {'was' if suspects == 1 else 'were'} set aside "
        "for review.",
    )


def lift_words(m: ShardManifest) -> Safe:
    """Which scores set the kept rows apart from a random draw of the same window."""
    higher = [name for name, (_, low, _) in m.lift.items() if low > 0]
    lower = [name for name, (_, _, high) in m.lift.items() if high < 0]
    parts = [f"higher in {figures.listed(higher)}"] if higher else []
    parts += [f"lower in {figures.listed(lower)}"] if lower else []
    if parts:
        return join(f"Next to random rows, the kept ones score {' and '.join(parts)}.")
    if m.lift:
        return Safe("The kept rows cannot be told from random ones by any score.")
    return Safe("Too few rows to compare with a random draw.")


def _cold(m: ShardManifest) -> Safe | None:
    if not m.cold:
        return None
    why = COLD.get(m.cold, "nothing is learnt yet")
    return el(
        "p", el("strong", "A cold window: rows were drawn uniformly, nothing was weighed. "),
        "As it stood when the window was pinned: ", fact("cold", m.cold, why), ".",
        class_="notice", role="note",
    )  # fmt: skip


def _tiles(m: ShardManifest) -> Safe:
    """Figures that need no sentence."""
    records, accepted = m.counts.get("records", 0), m.counts.get(Reason.ACCEPTED, 0)
    kept = m.arms.get("selected", 0)
    spread = figures.effective(m.kept.values()), figures.effective(m.traffic.values())
    noise = figures.percent(m.noise.estimate) if m.noise else "?"
    between = figures.interval(*m.noise[1:]) if m.noise else _unaudited(m)
    suspects = m.counts.get(Reason.SUSPECT, 0)
    return el(
        "ul",
        _tile("Came in", count(records), f"{count(accepted)} accepted", "water"),
        _tile("Kept", count(kept), f"{figures.percent(figures.ratio(kept, records))} of it",
              "gold"),
        _tile("Diversity", real1(spread[0]), f"equal groups ({real1(spread[1])} before)", "gold"),
        _tile("Wrong labels", noise, between, "doubt"),
        _tile("Suspect", count(suspects),
              f"{figures.percent(figures.ratio(suspects, records))} of records", "doubt"),
        _tile("State", "cold" if m.cold else "warm", f"edition {m.edition}", "plain"),
        class_="tiles", aria_label="Key figures",
    )  # fmt: skip


def real1(value: float) -> str:
    return figures.real(value, 1)


def _tile(name: str, number: str, note: str, class_: str) -> Safe:
    return el(
        "li",
        el("span", name, class_="name"), el("strong", number), el("span", note, class_="note"),
        class_=class_,
    )  # fmt: skip
