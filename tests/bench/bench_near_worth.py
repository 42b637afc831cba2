"""What folding near repeats is worth: text against near-en, at one share of a noisy stream.

Run: python -m tests.bench.bench_near_worth shared/data/clinc150 --seeds 5

First, what a model that learnt texts as they are written answers of folded ones. Then events of
`sluice bench` (Zipf's law over intents and texts), every second one said in another way:
eight ways that `near-en` folds and four that it does not. Both arms have the recommended policy,
the audit's noise rate and as much room; each trains the same head, asked the clean test split. The
ways are ours, so the size of the difference is that of this stream, not of yours.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import cast

import msgspec
import numpy as np

from daemon import corpus as corpora
from daemon.benchmark import features, pupils, statistics, worlds
from daemon.benchmark.scenarios import Scenario
from daemon.benchmark.stages import AUDITED, CHECKPOINT_PENALTY
from daemon.benchmark.worlds import World
from daemon.decode.near import Identity
from daemon.demo.encoder import Encoder
from daemon.offline import selection, terms
from daemon.policy import Groups, Kind, Policy
from scoring import kinds
from scoring.grade import grade
from scoring.models.base import softmax
from scoring.training.descent import Head
from scoring.training.dice import Ints64
from scoring.types import Outputs, Score
from tests.bench.bench_near import NORMALISE, english

FOLDED = ("um {}", "{} please", "please {}", "can you {}", "could you {}", "hey {}", "ok {}", "{}.")
APART = ("{} now", "just {}", "{} for me", "well {} then")
WAYS = (*FOLDED, *APART)
ARMS: tuple[Identity, ...] = ("text", "near-en")
EVENTS, FIRST = 12_000, 2_000
POLICY = Policy(
    scores=(Kind("entropy"),),
    select=Kind("default", {"score": "entropy", "eps": 0.3}),
    groups=Groups(by=("label",), traffic_exponent=0.25),
)
SCENARIOS = {
    "clean": Scenario("", events=EVENTS, first=FIRST, text_exponent=1.2),
    "flips-10": Scenario("", events=EVENTS, first=FIRST, text_exponent=1.2, flips=0.1),
}


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """A world whose texts were said in different ways: the n events after the first."""

    world: World
    said: list[str]
    given: Ints64
    truth: Ints64
    known: tuple[list[str], Ints64]  # what the checkpoint learns from


def stream(world: World) -> Stream:
    dice = world.dice("ways")
    n = len(world.rows)
    way = np.where(dice.uniforms("another", n) < 0.5, -1, dice.below("way", n, len(WAYS)))
    texts = [world.texts.said[row] for row in world.rows.tolist()]
    said = [t if w < 0 else WAYS[w].format(t) for t, w in zip(texts, way.tolist(), strict=True)]
    first = world.first
    known = said[:first], world.given[:first]
    return Stream(world, said[first:], world.given[first:], world.truth[first:], known)


def chosen(
    heard: Stream, identity: Identity, head: Head, encoder: Encoder, room: int
) -> selection.Kept:
    """As the daemon would choose: the model reads what is kept once."""
    policy = msgspec.structs.replace(POLICY, identity=identity)
    key = f"benchmark {heard.world.seed}".encode()
    read = [NORMALISE(text) for text in heard.said]
    read = [english(text) for text in read] if identity == "near-en" else read
    logits = head.logits(encoder.features(read))
    outputs = Outputs(logits, softmax(logits), labels=heard.given.astype(np.int32))
    score = cast(Score, kinds.load("scoring.scores", policy.scores[0].kind, {}))
    classes = heard.world.texts.classes
    names = [classes[place] for place in heard.given.tolist()]
    keys = terms.text_keys(heard.said, policy, key)
    offered = terms.Candidates(grade(outputs, (score,)), keys, names)
    audit = heard.world.dice("audit").permutation("rows", len(names))[:AUDITED]
    wrong = int((heard.given != heard.truth)[audit].sum())
    rules = terms.rules_for(offered, policy, classes, key, (AUDITED, wrong))
    return selection.select(offered, rules, room)


def right(heard: Stream, rows: Ints64, counts: Ints64, encoder: Encoder) -> Ints64:
    """(m,) 1 where a head of these rows answers the test split as it should."""
    texts = heard.world.texts
    head = pupils.fit(
        encoder.features([heard.said[row] for row in rows.tolist()]),
        heard.given[rows],
        len(texts.classes),
        seed=heard.world.seed,
        weights=counts.astype(np.float32),
    )
    return pupils.hits(head, texts.asked, texts.asked_classes).astype(np.int64)


def reading(rows: corpora.Corpus, texts: features.Texts, encoder: Encoder) -> None:
    """What a head that learnt the train split as written answers of the test split as folded."""
    head = pupils.fit(texts.train, texts.train_classes, len(texts.classes), seed=0)
    heard = [row.text for row in rows.test if row.intent in texts.classes]
    read = encoder.features([english(NORMALISE(text)) for text in heard])
    answers = [head.logits(each).argmax(axis=1) for each in (texts.asked, read)]
    accuracies = [(each == texts.asked_classes).mean() for each in answers]
    same = (answers[0] == answers[1]).mean()
    print(f"test split: {accuracies[0]:.1%} right as written, {accuracies[1]:.1%} as folded, "
          f"{same:.1%} of the answers the same", flush=True)  # fmt: skip


def main(arguments: argparse.Namespace) -> None:
    encoder = Encoder()
    rows = corpora.read(arguments.data)
    texts = features.texts(rows, "corpus", encoder.features, split="test")
    reading(rows, texts, encoder)
    room = round(arguments.keep * (EVENTS - FIRST))
    if arguments.seeds:
        print(f"{EVENTS - FIRST} events, {arguments.keep:.0%} kept, {arguments.seeds} seeds")
    for name, scenario in SCENARIOS.items() if arguments.seeds else ():
        hits: dict[str, list[Ints64]] = {arm: [] for arm in ARMS}
        buckets: dict[str, list[float]] = {arm: [] for arm in ARMS}
        counted = []
        for seed in range(arguments.seeds):
            heard = stream(worlds.make(texts, scenario, seed))
            known, labels = heard.known
            head = pupils.fit(
                encoder.features(known), labels, len(texts.classes), seed=seed,
                penalty=CHECKPOINT_PENALTY,
            )  # fmt: skip
            for identity in ARMS:
                kept = chosen(heard, identity, head, encoder, room)
                distinct = {english(NORMALISE(heard.said[row])) for row in kept.rows.tolist()}
                buckets[identity].append(len(distinct))
                hits[identity].append(right(heard, kept.rows, kept.multiplicity, encoder))
            counted.append(statistics.weights(texts.asked_classes, heard.world.traffic))
        for figure in ("macro", "traffic"):
            weights = np.stack([one[figure] for one in counted])
            gains = np.stack(hits["near-en"]) - np.stack(hits["text"])
            by = statistics.interval(gains, weights, texts.asked_classes)
            means = {arm: statistics.mean(np.stack(hit), weights) for arm, hit in hits.items()}
            points = [f"{100 * bound:+.2f}" for bound in by]
            print(f"{name}, {figure}: text {means['text']:.2%}, near-en {means['near-en']:.2%}, "
                  f"gain {points[0]} [{points[1]}, {points[2]}]", flush=True)  # fmt: skip
        print(f"{name}: different requests among the rows kept: "
              f"{ {arm: round(float(np.mean(n))) for arm, n in buckets.items()} }")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", help="a folder of rows; nothing is measured without")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--keep", type=float, default=0.2)
    given = parser.parse_args()
    if given.data:
        main(given)
