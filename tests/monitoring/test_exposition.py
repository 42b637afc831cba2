"""The exposition as the tools of Prometheus see it, also after a hostile replay."""

from __future__ import annotations

import random
from math import prod

import msgspec
import pytest

from daemon.clock import ManualClock
from daemon.learning.rules import OTHER
from daemon.metrics.catalogue import BUCKETS, CATALOGUE, GROUPS, Series
from daemon.metrics.metrics import Metrics
from daemon.metrics.page import markdown
from daemon.policy import Groups
from daemon.ports import LaneId
from tests.monitoring.attached import Attached, by, scrape
from tests.monitoring.servers import PAGE, promtool
from tests.streams import CLASSES, PERIOD_MS, Record, World, say, small_policy, stream_of

CANARY = "mary"
HOSTILE = (
    '"} 1\nsluice_forged_total{x="{}', "(other)", "aunt mary's room {}", "\u202e{}", "\\n{}",
    "\U0001f600 {}", "${{jndi:ldap://{}}}", "x" * 120 + "{}", "le{}", "mary\x00{}",
)  # fmt: skip


def hostile(windows: int) -> tuple[dict[LaneId, list[Record]], dict[LaneId, str]]:
    """Most records bring a label that nobody has seen; the names of classes come in odd shapes."""
    rng = random.Random(5)
    rows: list[Record] = []
    for window in range(5, 5 + windows):
        for number in range(150):
            label = rng.choice(HOSTILE).replace("{}", str(rng.randrange(10**6)))
            if rng.random() < 0.3:
                label = rng.choice([*CLASSES, CLASSES[0].upper(), f"{CLASSES[1]} "])
            value = say(window * 1000 + number, f"say {CANARY} {rng.randrange(80)}", label)
            rows.append((window * PERIOD_MS + number * 6, value))
    return {LaneId("u", 0): rows}, {LaneId("u", 0): "utterances"}


def over(attached: Attached, more_classes: tuple[str, ...]) -> Metrics:
    """Metrics of a new process over the same store; the checkpoint may know more classes."""
    assert attached._loop is not None and attached._loop.registry.genesis is not None
    editions = {
        number: msgspec.structs.replace(edition, classes=(*edition.classes, *more_classes))
        for number, edition in attached._loop.registry.editions.items()
    }
    metrics = Metrics("0", ManualClock())
    metrics.founded(attached._loop.registry.genesis, editions)
    return metrics


@pytest.fixture(scope="module")
def attacked() -> Attached:
    groups = Groups(support=3, limit=400)
    return Attached(World(policy=small_policy(groups=groups))).run(*hostile(12))


def most(series: Series, groups: int) -> int:
    """How many samples a family can have, with so many groups."""
    sizes = {"group": groups, "score": 3, "lane": 1}
    labels = [len(label.values) or sizes.get(label.name, 1) for label in series.labels]
    return prod(labels) * (len(BUCKETS) + 3 if series.type == "histogram" else 1)


def test_a_hostile_replay_cannot_grow_the_series(attacked: Attached) -> None:
    """All samples that were ever seen, after every shard, against the bound of the catalogue."""
    assert max(len(m.traffic) for m in attacked.shards) > 5 * GROUPS, "or nothing was tried"
    allowed = {*CLASSES, OTHER}
    metrics, seen = over(attacked, ()), set(attacked.scrape())
    for manifest in attacked.shards:
        metrics.shard(manifest, made=False)
        seen |= set(scrape(metrics))
    assert len(seen) <= sum(most(series, len(allowed)) for series in CATALOGUE)
    names = {value for _, labels in seen for label, value in labels if label == "group"}
    assert names <= allowed and OTHER in names and len(names) > 2
    for secret in (CANARY, "forged", "jndi"):
        assert secret not in attacked.metrics.exposition().decode()


def test_many_classes_are_bounded_too(attacked: Attached) -> None:
    classes = tuple(f"class {number}" for number in range(9 * GROUPS))
    metrics, counts = over(attacked, classes), dict.fromkeys(classes, 100)
    manifest = msgspec.structs.replace(attacked.shards[-1], traffic=counts, kept=counts)
    metrics.shard(manifest, made=False)
    told = by(scrape(metrics), "sluice_group_records", "group")
    assert len(told) <= GROUPS + 1 and sum(told.values()) == 100 * len(classes)


def test_odd_class_names_are_escaped(attacked: Attached) -> None:
    """A publisher may call a class anything; it stays the value of one label."""
    odd = ('"} 1\nsluice_forged_total{x="', "back\\slash", "new\nline", "\u202ertl")
    metrics = over(attacked, odd)
    counts = dict.fromkeys(odd, 50)
    manifest = msgspec.structs.replace(attacked.shards[-1], traffic=counts, kept=counts)
    metrics.shard(manifest, made=False)
    assert set(by(scrape(metrics), "sluice_group_rows", "group")) == set(odd)
    assert promtool("check", "metrics", data=metrics.exposition()) == (0, "")
    assert not [key for key in scrape(metrics) if key[0] == "sluice_forged_total"]


@pytest.mark.parametrize("stream", ["plain", "hostile", "none"])
def test_promtool_finds_nothing_to_complain_about(attacked: Attached, stream: str) -> None:
    if stream == "plain":
        attached = Attached().run(*stream_of(1, windows=8, per_window=80))
    else:
        attached = attacked if stream == "hostile" else Attached()
    code, said = promtool("check", "metrics", data=attached.metrics.exposition())
    assert (code, said) == (0, "")


def test_promtool_would_complain() -> None:
    """The tool is there and has an opinion: a counter without `_total`."""
    code, said = promtool("check", "metrics", data=b"# TYPE sluice_bad counter\nsluice_bad 1\n")
    assert code == 3 and "_total" in said


def test_the_page_is_the_catalogue() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == markdown(), "docs/metrics.md is made from the catalogue: run `make docs`"
    for series in CATALOGUE:
        assert f"| `{series.name}` | {series.type} |" in page
