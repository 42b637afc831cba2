"""One release through all that operators and clusters do to it; no record is lost or told twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kube import world
from tests.kube.cluster import Namespace
from tests.kube.release import NAME, PARTITIONS, TOPIC, ReachableBroker, Release
from tests.kube.world import Talk

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[ReachableBroker]:
    made = ReachableBroker(tmp_path / "broker").start()
    yield made
    made.close()


def test_a_release_lives_through_what_is_done_to_it(
    namespace: Namespace, broker: ReachableBroker
) -> None:
    broker.create(TOPIC, PARTITIONS)
    release = Release(namespace, broker)
    with Talk(broker, TOPIC, PARTITIONS) as talk:
        release.install()
        is_published_and_measured(release)
        release.goes_on()
        another_policy_and_back(release)
        more_and_fewer_pods(release)
        release.kill()
        release.rolled()
        release.goes_on()
        another_checkpoint(release)
    is_what_its_recording_gives(release, talk)


def is_published_and_measured(release: Release) -> None:
    assert list(release.editions()) == [0]
    assert "Phase:          Succeeded" in release.namespace.helm("test", NAME)
    lines = release.metrics().splitlines()
    assert [line for line in lines if line.startswith("sluice_build_info{")]


def another_policy_and_back(release: Release) -> None:
    """An upgrade publishes and rolls the pods; so does a rollback, which is a new edition."""
    before = release.pods()
    release.install()
    assert (release.pods(), list(release.editions())) == (before, [0]), "nothing had changed"
    release.install(policy={"capacity_rows": 40})
    assert not set(before) & set(release.pods())
    release.goes_on()
    release.rollback(1)
    release.goes_on()
    editions = release.editions()
    assert [editions[n].policy.capacity_rows for n in sorted(editions)] == [30, 40, 30]


def more_and_fewer_pods(release: Release) -> None:
    release.scale(3)
    assert len(release.pods()) == 3
    release.goes_on()
    release.scale(1)
    release.comes(lambda: len(release.pods()) == 1)
    release.goes_on()


def another_checkpoint(release: Release) -> None:
    """While it runs: windows from then on are scored by the second one."""
    release.install(publish={"checkpoint": world.SECOND})
    editions = release.editions()
    newest = editions[max(editions)].checkpoint
    assert newest not in {e.checkpoint for n, e in editions.items() if n < max(editions)}
    release.comes(lambda: newest in {shard.checkpoint for shard in release.shards().values()})


def is_what_its_recording_gives(release: Release, talk: Talk) -> None:
    """The law of the house: shards are a function of log and registry, whatever was done."""
    release.recording()
    release.replay()
    live, again = release.shards(), release.shards("replayed")
    assert len(again) >= 10
    assert {w: (m.selection_digest, m.rows_digest) for w, m in again.items()} == {
        w: (m.selection_digest, m.rows_digest) for w, m in live.items() if w in again
    }
    counted = sum(shard.counts["records"] for shard in again.values())
    assert 0 < counted <= talk.said
