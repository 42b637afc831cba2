"""What came in and where it went: accepted, suspect, refused, kept."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UnsetType

from daemon.report import figures, svg
from daemon.report.figures import count, several
from daemon.report.frame import details, figure, section, table
from daemon.report.markup import Safe, el, fact, join
from daemon.shards.shard import ShardManifest
from scoring.types import Reason

REFUSED: Mapping[str, str] = {  # reasons in plain words
    Reason.EMPTY_VALUE: "the record has no value",
    Reason.VALUE_TOO_LARGE: "the record is larger than the policy allows",
    Reason.NOT_UTF8: "the bytes are no UTF-8",
    Reason.NOT_JSON: "the value is no JSON",
    Reason.NOT_AN_OBJECT: "the value is JSON, but no object",
    Reason.TOO_DEEP: "the JSON is nested too deeply",
    Reason.NO_ID: "there is no id",
    Reason.BAD_ID: "the id is no usable text",
    Reason.NO_TEXT: "there is no text",
    Reason.BAD_TEXT: "the text is no usable text",
    Reason.EMPTY_TEXT: "the text is empty",
    Reason.TEXT_TOO_LONG: "the text is longer than the policy allows",
    Reason.BAD_LOCALE: "the locale is no usable text",
    Reason.NO_MODEL: "no checkpoint is meant for this locale",
    Reason.BAD_HYPOTHESIS: "intent or confidence cannot be read",
    Reason.BAD_SLOTS: "the slots cannot be read",
    Reason.BAD_LABEL: "the label cannot be read",
    Reason.BAD_SIGNAL: "a signal is neither number nor truth value",
    Reason.BAD_EVENT_TIME: "the event time cannot be read",
    Reason.NO_CONSENT: "the speaker did not consent",
    Reason.NO_LABEL: "the policy weighs labelled rows only",
    Reason.SUSPECT: "the label is suspect: set aside for review",
    Reason.OUTSIDE_BAND: "the score lies outside the band that the policy keeps",
    Reason.ALREADY_EMITTED: "an earlier shard holds it already (policy.epoch: window)",
}
ARMS: Mapping[str, str] = {
    "selected": "the shard proper: most valuable, balanced over groups",
    "random": "a uniform draw of the same window, the control that lift is measured against",
    "audit": "a small uniform draw for people to answer: the honest noise rate",
    "review": "suspect or contradicting labels, for people to decide",
}
NOT_REASONS = frozenset({"records", "late", Reason.ACCEPTED, Reason.SUSPECT})
SLIVER = 0.006  # what is not nothing can be seen


def draw(m: ShardManifest) -> Safe:
    """The section."""
    late = m.counts.get("late", 0)
    lead = join(
        fact("late", late, count(late) if late else "No"),
        f" {several(late, 'record')} came late, with the time of a window already closed. Beside "
        "the selection, small arms of fixed size were drawn; a row may be in several.",
    )  # fmt: skip
    return section(
        "intake", "What came in, what was kept", lead,
        figure("From stream to shard", _flow(m)),
        el("div", _arms(m), _reasons(m), class_="columns"),
        _novelty(m),
        _labels(m),
    )  # fmt: skip


def refused(m: ShardManifest) -> dict[str, int]:
    """Records turned away, by reason, most first; suspects are no refusals of records."""
    found = {name: n for name, n in m.counts.items() if name not in NOT_REASONS}
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def _flow(m: ShardManifest) -> Safe:
    """Three bars under each other, on one scale, narrowing like water in a sluice."""
    records = m.counts.get("records", 0)
    accepted, suspect = m.counts.get(Reason.ACCEPTED, 0), m.counts.get(Reason.SUSPECT, 0)
    turned, kept = sum(refused(m).values()), m.arms.get("selected", 0)
    a, s, k = (_seen(figures.ratio(n, records)) for n in (accepted, suspect, kept))
    r = _seen(figures.ratio(turned, records))
    a = max(0.0, min(a, 1.0 - s - r))
    aside = f"{count(suspect)} suspect, {count(turned)} refused"
    label = (
        f"Of {count(records)} records {count(accepted)} were accepted, {count(suspect)} had a "
        f"suspect label, {count(turned)} were refused; {count(kept)} rows were selected."
    )
    return svg.chart(
        label, 186,
        svg.stretched(
            186,
            svg.funnel((1.0, 38), (a + s + r, 82), "flow water"),
            svg.funnel((a, 100), (k, 154), "flow gold"),
        ) if records else None,
        svg.text((0, 12), f"{count(records)} {several(records, 'record')} came in", "strong"),
        svg.rect(0, 20, 1.0 if records else 0, 18, "water"),
        svg.rect(0, 82, a, 18, "water"),
        svg.rect(a, 82, s, 18, "doubt"),
        svg.rect(a, 82, s, 18, "hatched"),
        svg.rect(a + s, 82, r, 18, "turned"),
        svg.text((0, 74), f"{count(accepted)} accepted", "strong"),
        svg.text((1, 74), aside, "doubtful", "end"),
        svg.rect(0, 154, k, 18, "gold"),
        svg.text((min(k + 0.015, 0.6), 168), f"{count(kept)} selected", "strong"),
    )  # fmt: skip


def _seen(share: float) -> float:
    return max(share, SLIVER) if share else 0.0


def _arms(m: ShardManifest) -> Safe:
    rows = [
        (name, what, fact("arm", m.arms.get(name, 0), count(m.arms.get(name, 0)), name))
        for name, what in ARMS.items()
    ]
    rows.append(("", "rows in the shard, each once", fact("rows", m.rows, count(m.rows))))
    return table("Rows by arm", ("Arm", "What it is for", "Rows"), rows, numbers=(2,))


def _reasons(m: ShardManifest) -> Safe:
    found = refused(m)
    if not found:
        return el("p", "No record was refused.", class_="quiet")
    rows = [
        (name.replace("_", " "), REFUSED.get(name, ""), fact("refused", n, count(n), name))
        for name, n in found.items()
    ]
    return table("Refusals by reason", ("Refused", "Why", "Records"), rows, numbers=(2,))


def _novelty(m: ShardManifest) -> Safe:
    """What was emitted before: nothing where every window draws alike."""
    said = m.novelty
    if isinstance(said, UnsetType):
        return Safe("")
    return el(
        "p",
        fact("known", said.known, count(said.known)),
        f" {several(said.known, 'text')} of earlier shards known. Of the candidates that lanes "
        "had kept, ",
        fact("repeats", said.repeats, count(said.repeats)),
        " were among them, of shards too young for the lanes to know. New in this shard: ",
        fact("emitted", said.emitted, count(said.emitted)), ".",
        class_="quiet",
    )  # fmt: skip


def _labels(m: ShardManifest) -> Safe:
    said = m.labelled
    rows = [
        ("labels that came after their utterance, applied", "late", said.late),
        ("labels of utterances that are no candidates: nothing to change", "outside_pool",
         said.outside_pool),
        ("labels that contradict a more plausible one of the same text", "lost", said.lost),
        ("records of label topics that are no answers", "refused", said.refused),
        ("audit answers folded here", "answered", said.answered),
        ("of these, the label given was wrong", "wrong", said.wrong),
        ("audit answers whose row was not found, or had no label", "unmatched", said.unmatched),
    ]  # fmt: skip
    made = [(words, fact("labelled", n, count(n), name)) for words, name, n in rows]
    return details(
        "Late labels and audit answers",
        table("Late labels and audit answers", ("What", "Count"), made, numbers=(1,)),
    )
