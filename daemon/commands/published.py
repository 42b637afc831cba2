"""What a publish says: gates with remedies, what scores will cost, how honest probabilities are."""

from __future__ import annotations

from msgspec import UnsetType

from daemon.console import Console
from daemon.learning.edition import Edition
from daemon.learning.supplied import MILLION
from daemon.registry.publish import Published, Refused
from daemon.running import supplying
from scoring.remedies import REMEDIES
from scoring.types import GRID


def tell(console: Console, outcome: Published | Refused) -> None:
    """Each gate with its remedy, then the outcome."""
    for finding in outcome.verdict.findings:
        mark = "ok  " if finding.passed else ("warn" if finding.warning else "FAIL")
        console.say(f"  {mark} {finding.gate}: {finding.detail}", event="gate", gate=finding.gate)
        if not finding.passed:
            console.say(f"       {REMEDIES[finding.gate]}", event="remedy", gate=finding.gate)
    if isinstance(outcome, Refused):
        console.say("refused: the edition before goes on", event="refused", level="warning")
        return
    e = outcome.edition
    if line := honesty(e):
        console.say(f"  {line}", event="calibrated")
    back = _backward(e, outcome.needs)
    if outcome.passes > 1 or back:
        console.say(
            f"note: policy.scores run {outcome.passes} checkpoints forward{back} for each text",
            event="cost",
        )
    if not isinstance(e.policy.cascade, UnsetType):
        passes = supplying.passes(e.supplies, outcome.second)
        back = _backward(e, outcome.second)
        console.say(
            f"note: policy.cascade runs {passes} checkpoints forward{back} for each of "
            f"{e.policy.cascade.candidates} candidates and {e.policy.arms.audit_rows} audit rows "
            "of a window; `sluice doctor` says what share of the time that is",
            event="cascade_cost",
        )
    asked = e.policy.history
    if not isinstance(asked, UnsetType) and len(e.supplies.history) + 1 < asked:
        console.say(
            f"note: policy.history asks for {asked} checkpoints, the edition has "
            f"{len(e.supplies.history) + 1}: give others with --history",
            event="short_history",
        )
    # whatever its first window is, edition 0 decides until another one's has come
    since = f"from window {e.first_window}" if e.number else "from the genesis on"
    half = f"half from {outcome.sample_rows} rows" if e.half else "no half: cold at first"
    console.say(f"published edition {e.number}, {since}, {half}", event="published")


def _backward(edition: Edition, needs: frozenset[str]) -> str:
    passes = supplying.backward(edition.supplies, needs)
    return f" and {passes} backward" if passes else ""


def honesty(edition: Edition) -> str:
    """The temperature of an edition and what it did; "" where it has none."""
    fit, temperatures = edition.supplies.fit, edition.supplies.temperatures
    if fit is None:
        return ""
    return (
        f"temperature {temperatures[edition.checkpoint] / GRID:.3f}: expected calibration error "
        f"{fit.before / MILLION:.4f} before, {fit.after / MILLION:.4f} after, of {fit.rows} rows"
    )


def show(console: Console, outcome: Published | Refused, *, as_json: bool) -> None:
    """The edition, if there is one, as a result."""
    if isinstance(outcome, Published):
        e = outcome.edition
        console.table(
            ("edition", "checkpoint", "classes", "from_window", "half_rows"),
            [(e.number, e.checkpoint, len(e.classes), e.first_window, outcome.sample_rows)],
            as_json=as_json,
        )
