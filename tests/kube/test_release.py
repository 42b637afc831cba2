"""One release through all that operators and clusters do to it; no record is lost or told twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.shards.shard import ShardManifest
from tests import s3
from tests.kube import world
from tests.kube.cluster import HOST, Namespace
from tests.kube.release import (
    NAME,
    PARTITIONS,
    TOPIC,
    ReachableBroker,
    Release,
    StaticRelease,
)
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
    release.comes(lambda: not set(before) & set(release.pods()))
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
    assert counted == every_record_once(again) <= talk.said


def every_record_once(shards: dict[int, ShardManifest]) -> int:
    """Each lane's parts follow one another without hole or overlap; the records in them."""
    ends = dict.fromkeys(range(PARTITIONS), 0)
    for window in sorted(shards):
        for part in shards[window].parts:
            assert part.start == ends[part.partition], (window, part.partition)
            ends[part.partition] = part.end
    return sum(ends.values())


def test_static_members_keep_their_names_over_a_bucket(
    namespace: Namespace, broker: ReachableBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_KEY", "identity")
    monkeypatch.setenv("S3_SECRET", "canary-5d1c")
    broker.create(TOPIC, PARTITIONS)
    with s3.serving(HOST) as bucket, Talk(broker, TOPIC, PARTITIONS):
        release = StaticRelease(namespace, broker, bucket)
        release.install()
        release.goes_on()
        assert members(broker) == {f"{NAME}-0", f"{NAME}-1"} == set(release.pods())
        release.kill()
        release.goes_on()
        assert members(broker) == {f"{NAME}-0", f"{NAME}-1"}
        every_record_once(release.shards())
    logs = namespace.kubectl("logs", "--selector=app.kubernetes.io/name=sluice", "--tail=-1")
    config = namespace.kubectl("get", "configmap", NAME, "-o", "yaml")
    assert "canary-5d1c" not in logs + config


def members(broker: ReachableBroker) -> set[str]:
    """Names of the group's members that outlive restarts."""
    (group,) = broker.admin.describe_groups([NAME]).values()
    return {member["group_instance_id"] for member in group["members"]}
