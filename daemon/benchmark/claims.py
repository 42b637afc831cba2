"""The claims of the seven papers, a row each: what was published, what is found here, a verdict.

A verdict follows from an interval by a rule that stands beside the claim: nobody words it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from daemon.benchmark.goals import shown
from daemon.benchmark.statistics import Interval
from daemon.benchmark.tables import Results

Verdict = Literal["reproduced", "not reproduced", "beyond", "not measured", "not testable here"]


class Claim(NamedTuple):
    """A published difference and where its like is measured."""

    paper: str
    claim: str
    published: str
    scenario: str
    arm: str
    budget: float
    figure: str = "macro"
    to: Literal["random", "everything"] = "random"
    expects: Literal["above", "below", "equal", "not above"] = "above"
    within: float = 0.005  # what still counts as equal


class Found(NamedTuple):
    """A row of the page."""

    claim: Claim
    ours: str
    seconds: str  # to select and to train, means of one seed
    verdict: Verdict


ANAND, SABBINENI = "Anand et al. 2023", "Sabbineni et al. 2023"
ATTENDU, PAUL, KIRSCH = "Attendu and Corbeil 2023", "Paul et al. 2021", "Kirsch 2023"
FAYYAZ, LIN = "Fayyaz et al. 2022", "Lin et al. 2024"

CLAIMS = (
    Claim(ANAND, "EL2N top beats random where little is pruned", "0 to 25 % pruned: above random",
          "once", "el2n.top", 0.75),
    Claim(ANAND, "EL2N top falls below random where much is pruned", "beyond 25 %: below random",
          "once", "el2n.top", 0.2, expects="not above"),
    Claim(ANAND, "PVI gains nothing beyond 5 to 10 % pruned", "no gain", "once", "pvi.top", 0.5,
          expects="not above"),
    Claim(ANAND, "TracIn beats random up to 30 % pruned", "above random", "once", "tracin.top",
          0.75),
    Claim(ANAND, "a linear weight beats random on skewed traffic (VoG there, EL2N here)",
          "33 to 51 % of random's loss recovered at -52 %", "long-tail", "el2n.weighted", 0.5),
    Claim(ANAND, "stratified is about as good as random", "1 to 13 % recovered at -52 %",
          "long-tail", "stratified", 0.5, expects="equal"),
    Claim(ANAND, "least forgotten rows first out: near full accuracy at 45 % pruned",
          "84.58 against 85.52", "once", "forgetting.softmax", 0.5, to="everything",
          expects="equal", within=0.0094),
    Claim(ANAND, "plain scores do not beat random under label noise", "most do not",
          "flips-10", "el2n.top", 0.5, expects="not above"),
    Claim(SABBINENI, "score-based selection of weakly labelled rows beats random",
          "-4 to -7 % domain errors", "weak", "entropy.weighted", 0.5, figure="plain"),
    Claim(SABBINENI, "EL2N on weakly labelled rows beats random", "-2 % semantic errors", "weak",
          "el2n.weighted", 0.5, figure="plain"),
    Claim(PAUL, "EL2N: 50 % pruned without loss", "no loss, slight gain (CIFAR-10)", "once",
          "el2n.top", 0.5, to="everything", expects="equal"),
    Claim(PAUL, "EL2N: 25 % pruned without loss", "little or no loss (CIFAR-100)", "once",
          "el2n.top", 0.75, to="everything", expects="equal"),
    Claim(PAUL, "10 % random labels: keeping the hardest can fall below random", "below random",
          "once-flips-10", "el2n.top", 0.5, expects="below"),
    Claim(PAUL, "skipping the very hardest helps under label noise", "best after an offset",
          "once-flips-10", "el2n.band", 0.5),
    Claim(KIRSCH, "GraNd at initialisation does not beat random", "90.03 against 91.51 at 50 %",
          "untrained", "grand.top", 0.5, expects="not above"),
    Claim(KIRSCH, "the input norm does not beat random", "89.97 against 91.51 at 50 %",
          "untrained", "input_norm.top", 0.5, expects="not above"),
    Claim(KIRSCH, "EL2N after one epoch beats random", "92.52 against 91.51 at 50 %", "steps-50",
          "el2n.top", 0.5),
    Claim(FAYYAZ, "scores of the first steps select worse than random", "below random", "steps-5",
          "el2n.top", 0.5, expects="below"),
    Claim(FAYYAZ, "without the highest few %, 70 % of noisy rows beat all rows",
          "above the full set (MNLI)", "flips-5", "el2n.band", 0.75, to="everything"),
    Claim(LIN, "2 %: influence and effort with coverage beat random", "+11 % R@10 (Games)",
          "clean", "dealrec", 0.02),
    Claim(LIN, "2 %: without coverage (greedy top) they lose to random", "worse than with it",
          "clean", "dealrec-greedy", 0.02, expects="below"),
)  # fmt: skip

JOINT = "`sluice bench joint`: a linear head on frozen features has no slots, and one VoG a class"
ELSEWHERE = (
    (ANAND, "VoG, dataset-normalised, at -52 %", "2.94 against 6.04 relative DCER", JOINT),
    (ATTENDU, "dynamic pruning, joint intent and slots: 50 % kept", "full accuracy, -41 % time",
     JOINT),
    (ATTENDU, "dynamic pruning, joint intent and slots: 20 % kept", "-1 %, -66 % time", JOINT),
)  # fmt: skip
UNTESTABLE = (
    (ANAND, "slot-trail entropy, averaged with VoG", "-1.39 % SEMER", "CLINC150 has no slots"),
    (ANAND, "user study: UER, PDR", "-1.18 %, +0.45 %", "needs live traffic"),
    (LIN, "recommendation by fine-tuned language models", "-97 % time",
     "another task; selection and training seconds stand in the tables"),
)  # fmt: skip


def found(results: Results) -> Iterator[Found]:
    """Every claim that can be measured here."""
    for claim in CLAIMS:
        line = results.line(claim.scenario, claim.arm, claim.budget)
        differences = {} if line is None else getattr(line, f"to_{claim.to}")
        if claim.figure not in differences or line is None:
            yield Found(claim, "not measured", "", "not measured")
            continue
        value = differences[claim.figure]
        about = (
            f"{claim.figure}, {line.seeds} seeds, {100 * claim.budget:g} % kept, {claim.scenario}"
        )
        took = f"{line.select_s:.1f} + {line.train_s:.1f}"
        ours = f"{shown(value)} to {claim.to} ({about})"
        yield Found(claim, ours, took, verdict(claim, value))


def verdict(claim: Claim, value: Interval) -> Verdict:
    """above: the whole interval over 0. below: under it. not above: 0 or less is inside.

    equal: no loss beyond `within` is outside of the interval; beyond: a sure gain where equality
    or less was published.
    """
    if claim.expects == "above":
        return "reproduced" if value.low > 0 else "not reproduced"
    if claim.expects == "below":
        return "reproduced" if value.high < 0 else "not reproduced"
    if value.low > 0:
        return "beyond" if claim.expects == "equal" else "not reproduced"
    if claim.expects == "equal":
        return "reproduced" if value.high >= -claim.within else "not reproduced"
    return "reproduced"
