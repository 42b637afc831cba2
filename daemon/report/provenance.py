"""What decided the shard, what it was made of, and how to prove it."""

from __future__ import annotations

from collections.abc import Sequence

from daemon.lanes.pin import FIRST
from daemon.report.figures import count, several
from daemon.report.frame import code, details, pairs, section, table
from daemon.report.markup import Safe, el, fact, join, said
from daemon.shards import shard
from daemon.shards.partref import PartRef
from daemon.shards.shard import ShardManifest


def draw(m: ShardManifest) -> Safe:
    """The section."""
    lead = (
        "A shard is a pure function of the log and the registry. These are its arguments; the "
        "command makes it again and compares."
    )
    return section(
        "provenance", "Where it comes from", lead,
        el("pre", code(f"sluice verify {m.window}"), aria_label="Command that verifies the shard",
           tabindex=0),
        pairs(_short(m)),
        details("Digests and objects", pairs(_long(m))),
        details(f"{len(m.parts)} {several(len(m.parts), 'part')}", _parts("Parts", m.parts)),
        details(
            f"{len(m.labels)} {several(len(m.labels), 'label part')}",
            _parts("Label parts", m.labels),
        ) if m.labels else None,
    )  # fmt: skip


def _short(m: ShardManifest) -> list[tuple[str, Safe]]:
    used = m.calibration_used
    learnt = "nothing learnt yet" if used == FIRST else f"learnt up to window {used}"
    lanes = join(*_commas([said(f"{topic}/{partition}") for topic, partition in m.roster]))
    merged = f"{m.windows[0]} to {m.windows[-1]}" if m.windows else str(m.window)
    return [
        ("Window", Safe(merged)),
        ("Edition", fact("edition", m.edition, str(m.edition))),
        ("Checkpoint", code(fact("checkpoint", m.checkpoint, m.checkpoint[:16]))),
        ("Policy", code(fact("policy", m.policy, m.policy[:16]))),
        ("Calibration", fact("calibration_used", used, learnt)),
        ("Lanes", lanes),
        ("Contradictions", join(
            fact("contradictions", m.contradictions, count(m.contradictions)),
            f" {several(m.contradictions, 'row')} gave way to a better label of the same text",
        )),
        ("Repeats", _repeats(m)),
    ]  # fmt: skip


def _repeats(m: ShardManifest) -> Safe:
    """What labels of one text said about each other."""
    agreed = m.agreed
    back = fact("back", agreed.back, count(agreed.back))
    if not agreed.texts:
        return join(back, " doubted labels came back: no text was labelled twice")
    of = f"of {count(agreed.texts)} {several(agreed.texts, 'text')} with several labels "
    differ = fact("differing", agreed.differing, f"{agreed.differing:.1%}")
    why = "as of mistakes that were made apart" if agreed.independent else (
        "too few for mistakes that were made apart, or nobody knows the rate of mistakes"
    )  # fmt: skip
    return join(back, f" doubted labels came back: {of}", differ, f" of all pairs differ, {why}")


def _commas(pieces: Sequence[Safe]) -> list[str]:
    return [piece for each in pieces for piece in (", ", each)][1:]


def _long(m: ShardManifest) -> list[tuple[str, Safe]]:
    return [
        ("Selection digest", _exact("selection_digest", m.selection_digest)),
        ("Rows digest", _exact("rows_digest", m.rows_digest)),
        ("Checkpoint", code(m.checkpoint)),
        ("Policy digest", code(m.policy)),
        ("Rows", _exact("rows_object", m.rows_object)),
        ("Manifest", code(shard.manifest_name(m.window, m.revision.number))),
        *_erased(m),
    ]


def _erased(m: ShardManifest) -> list[tuple[str, Safe]]:
    """What erasures took, where anybody asked."""
    r = m.revision
    if not r.records:
        return []
    return [
        ("Version", Safe(str(r.number))),
        ("Rows erased", Safe(f"{count(r.removed)}, {count(r.records)} records of erasure lanes")),
    ]


def _exact(name: str, value: str) -> Safe:
    return code(fact(name, value, value))


def _parts(label: str, parts: Sequence[PartRef]) -> Safe:
    columns = ("Lane", "First", "End", "Positions", "Windows", "Closed by", "Engine", "Digest")
    rows = [
        (
            said(f"{p.topic}/{p.partition}"),
            fact("part_start", p.start, count(p.start), p.object),
            fact("part_end", p.end, count(p.end), p.object),
            count(p.end - p.start),
            str(p.window) if p.through == p.window else f"{p.window} to {p.through}",
            fact("part_closed_by", p.closed_by, p.closed_by, p.object),
            p.engine or "none: no record",
            code(fact("part_digest", p.digest, p.digest[:16], p.object)),
        )
        for p in parts
    ]
    return table(label, columns, rows, numbers=(1, 2, 3))
