"""From parts to a shard: pure, flat, and the teacher of the next calibration (laws 5 to 8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from msgspec import UNSET

from daemon import tables
from daemon.lanes.part import Part
from daemon.lanes.pin import Pin
from daemon.lanes.tally import NAMES_PER_GROUP
from daemon.learning import calibration, emitted
from daemon.learning.calibration import Calibration, Counts, Half
from daemon.learning.emitted import Known
from daemon.learning.grading import Grading
from daemon.learning.rules import Rules
from daemon.shards import answers, figures, novelty, shard
from daemon.shards import rows as row_tables
from daemon.shards.answers import Said
from daemon.shards.columns import plain_name
from daemon.shards.erasures import NOBODY, Erasures, erased
from daemon.shards.late import Late
from daemon.shards.merge import Merged, merge
from daemon.shards.partref import PartRef, reference
from daemon.shards.rivals import Rivals
from daemon.shards.seconds import Seconds
from daemon.shards.shard import Revision, Shard, ShardManifest


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Everything that a shard is a function of."""

    pin: Pin
    rules: Rules
    grading: Grading
    parts: Sequence[tuple[str, Part]]  # of rostered lanes that cover the window, by lane
    labels: Sequence[tuple[str, Part]]  # label parts read for it
    said: Said
    late: Late  # which of the window's records the labels speak of
    audited: Mapping[int, Mapping[str, str | None]]  # window -> id -> label of its audit row
    before: Calibration
    known: Known = emitted.NOTHING  # what shards emitted up to the one before
    erasures: Erasures = NOBODY  # those that came in time, and of later versions
    held: Seconds | None = None  # of a cascade's second stage; None: not made yet, or one stage
    rivals: Rivals = field(default_factory=dict)  # what ledgers say of the candidates' texts

    def placed(self) -> list[tuple[str, Part]]:
        """Names and parts, by lane."""
        return sorted(self.parts, key=lambda pair: pair[1].manifest.lane)

    def own(self) -> list[Part]:
        """Parts with records of the window, by lane."""
        parts, window = [part for _, part in self.placed()], self.rules.window
        return [part for part in parts if part.manifest.window == window and part.manifest.ledger]


def assemble(inputs: Inputs) -> Shard:
    """The shard of a window. Equal inputs give equal digests, in any order of the parts."""
    rules, graded, window = inputs.rules, inputs.grading, inputs.rules.window
    own = inputs.own()
    merged = merge(own, graded, rules, inputs.late, inputs.known, inputs.held, inputs.rivals)
    labelled = answers.judge(inputs.said, inputs.audited, **merged.labels._asdict())
    shown, removed = _shown(merged, inputs.erasures)
    rows = row_tables.table(shown, rules, graded.shown)
    selection, content = shard.digests(rows, window)
    counts = _counts(own, merged)
    taught = _taught(inputs, counts, (labelled.answered, labelled.wrong))
    hashes = [merged.columns["key_hi"][t.row] for t in merged.taken if "selected" in t.arms]
    grown = novelty.grow(inputs.before, taught, rules, inputs.known, hashes, merged.repeats)
    manifest = ShardManifest(
        window=window,
        edition=rules.edition.number,
        checkpoint=rules.edition.checkpoint,
        policy=tables.digest(rules.policy),
        calibration_used=inputs.pin.calibration,
        roster=inputs.pin.roster,
        parts=_references(inputs.placed()),
        labels=_references(inputs.labels),
        rows=len(rows["id"]),
        rows_object=f"{shard.prefix(window)}rows-{content[:32]}.parquet",
        rows_digest=content,
        selection_digest=selection,
        cold=rules.cold,
        suspect_below=rules.terms.suspect_below,
        counts={
            "records": sum(c.records for c in counts),
            "late": sum(c.late for c in counts),
            **_added(c.reasons for c in counts),
        },
        traffic=_added(c.groups for c in counts),
        kept=_counted(_kept(shown, rules)),
        arms=_counted(arm for t in shown.taken for arm in t.arms),
        taus={**merged.taus, **{f"arm:{arm}": tau for arm, tau in merged.rates.items()}},
        contradictions=merged.contradictions, agreed=merged.agreed,
        labelled=labelled,
        noise=calibration.noise_rate(taught.traffic, rules.policy.quarantine),
        histograms=figures.histograms(shown, counts, graded.shown),
        lift=figures.lift(shown, graded.shown),
        calibration=grown.calibration if grown else taught,
        novelty=grown.novelty if grown else UNSET,
        cascade=merged.stage.told if merged.stage else UNSET,
        revision=Revision(
            records=inputs.erasures.records, refused=inputs.erasures.refused, removed=removed
        ),
    )
    return Shard(manifest, rows, grown.run if grown else b"")


def _shown(merged: Merged, erasures: Erasures) -> tuple[Merged, int]:
    """The selection without erased rows, and how many those were; nothing takes their place.

    What the shard teaches is of the whole selection: later versions must not teach otherwise.
    """
    left = [t for t in merged.taken if not erased(merged.columns, t.row, erasures)]
    return replace(merged, taken=left), len(merged.taken) - len(left)


def _counts(own: Sequence[Part], merged: Merged) -> list[Counts]:
    """What lanes counted, and how the scores of a second stage are spread in the audit arm."""
    counts = [part.manifest.counts for part in own]
    if merged.stage is not None:
        counts.append(Counts(histograms=dict(merged.stage.spreads)))
    return counts


def _taught(inputs: Inputs, counts: Sequence[Counts], answers: tuple[int, int]) -> Calibration:
    rules = inputs.rules
    return calibration.fold(
        inputs.before,
        rules.window,
        rules.edition.half or Half(rules.edition.half_name, {}, {}),
        counts,
        answers,
        rules.policy.learning,
        NAMES_PER_GROUP * rules.policy.groups.limit,
    )


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total = Counter[str]()
    for count in counts:
        total.update(count)
    return dict(sorted(total.items()))


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _references(parts: Sequence[tuple[str, Part]]) -> tuple[PartRef, ...]:
    return tuple(reference(name, part.manifest) for name, part in parts)


def _kept(merged: Merged, rules: Rules) -> list[str]:
    """The group of each selected row; in cold windows the plain name, nothing was grouped."""
    by = rules.policy.groups.by
    return [
        plain_name(merged.columns, t.row, by) if rules.cold else merged.columns["group"][t.row]
        for t in merged.taken
        if "selected" in t.arms
    ]
