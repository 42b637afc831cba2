"""The demo again, through a real Kafka: several processes of one group, a reload, a kill.

    python -m tests.kafka.demo [FOLDER OF THE DEMO] [--variant create-time] [--seed N]

Two processes read; one is killed (SIGKILL) at a moment that the seed chooses, and another comes. A
flush record per lane closes the last windows. Then the run is recorded and replayed, and every
digest must be the same.

append-time: the broker stamps the records, as in production. They are spoken at the pace of windows
of a few seconds, an annotator answers the audit arm of each shard as it comes, and the second
checkpoint is published meanwhile. create-time: the recording's own times and answers; its digests
are those of the demo, too.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from daemon.commands.demo import lineage
from daemon.demo.stream import LABEL_TOPIC
from daemon.demo.world import Place
from daemon.derived import rolling
from tests.kafka.broker import Broker
from tests.kafka.spoken import LaneTopic, Patience, Speaker, annotator, fill, flush, values
from tests.kafka.staged import Group, Stage, digests, history, sluice, until

PERIOD_MS = 3_000  # of windows on the wall clock
RELOAD = 0.3  # of the records are spoken before the second checkpoint is published
WINDOWS_BEFORE_KILL = range(2, 16)


def append_time(stage: Stage, seed: int) -> str:
    """Live as in production: what it says in the last line is true of this run alone."""
    rng = random.Random(seed)
    stage.topics()
    config = stage.configured("live", stage.kafka(), PERIOD_MS)
    sample = ("--sample", stage.place.sample, "-c", config)
    sluice("publish", stage.place.checkpoint(1), *sample)
    live, kill = stage.work / "live", rng.uniform(0.15, 0.85)
    speaker, patience = Speaker(stage.broker, values(stage.recording), PERIOD_MS), Patience()
    lane = LaneTopic(stage.broker, LABEL_TOPIC)
    with ThreadPoolExecutor(3) as pool, Group(config, stage.work / "logs") as group:
        try:
            group.begin(2)
            spoken = pool.submit(speaker.speak, lambda: len(digests(live)), patience)
            genesis = until(lambda: stage.genesis("live"), group.check)
            assert genesis is not None
            store, truth = stage.store("live"), stage.place.truth
            answered = pool.submit(annotator, store, truth, lane, genesis, patience)
            checkpoint = stage.place.checkpoint(2)
            for share in sorted((RELOAD, kill)):
                until(lambda share=share: speaker.share >= share, group.check)  # type: ignore[misc]
                if share == kill:
                    group.kill(rng.randrange(2))
                else:
                    published = pool.submit(sluice, "publish", checkpoint, *sample)
            until(spoken.done, group.check)
            last = speaker.window(spoken.result())
            until(lambda: speaker.now_window() > last, group.check)
            flush(stage.broker, stage.recording)
            until(lambda: last in digests(live), group.check)
            group.end()
            published.result()
        finally:
            patience.ended.set()
        answered.result()
    tell(config, live, kill, lane.answers)
    return ""


def tell(config: Path, live: Path, kill: float, answers: int) -> None:
    """What the run was, beyond its digests. Raises AssertionError where it was not live."""
    made = [history(config).registry.manifest(window) for window in digests(live)]
    editions = sorted({manifest.edition for manifest in made})
    assert editions == [0, 1], f"editions {editions}: the second checkpoint came too late"
    taught = sum(1 for manifest in made if not manifest.cold)
    assert taught, "nothing was learnt from the answers"
    since = min(manifest.window for manifest in made if manifest.edition) - made[0].window
    print(
        f"{len(made)} shards, {taught} of them with what {answers} answers taught; checkpoint 2 "
        f"after {since} windows, kill -9 after {kill:.0%} of the records",
        flush=True,
    )


def create_time(stage: Stage, seed: int) -> str:
    """The records' own times: the digests are those of the demo."""
    rng, expected = random.Random(seed), digests(stage.place.store)
    fill(stage.broker, stage.recording, (max(expected) + 4) * stage.demo_period_ms)
    config = stage.configured("live", stage.kafka(allow_create_time=True), stage.demo_period_ms)
    stage.copy_decisions("live")
    enough = rng.choice(WINDOWS_BEFORE_KILL)
    with Group(config, stage.work / "logs") as group:
        group.begin(2)
        until(lambda: len(digests(stage.work / "live")) >= enough, group.check)
        time.sleep(rng.random())
        assert len(digests(stage.work / "live")) < len(expected), "it was over before the kill"
        group.kill(rng.randrange(2))
        until(lambda: max(expected) in digests(stage.work / "live"), group.check)
        group.end()
    made = digests(stage.work / "live")
    assert made == expected, sorted(w for w in expected if made.get(w) != expected[w])
    return " as-the-demo=identical"


def replayed(stage: Stage, period_ms: int) -> tuple[str, int, int, str]:
    """(path, rows, groups, digest) of the run, which its recording gives again."""
    found = []
    sluice("record", stage.work / "recording", "-c", stage.work / "live.yaml")
    options = {"path": str(stage.work / "recording")}
    again = stage.configured("again", {"kind": "replay", "options": options}, period_ms)
    sluice("run", "-c", again)
    for name in ("live", "again"):
        past = history(stage.work / f"{name}.yaml")
        rolled = rolling.roll(past, past.windows()[-1])
        rolling.write(past, rolled)
        path = stage.work / name / rolled.name
        digest = lineage(past, rolled.rows_digest)
        found.append((str(path), len(rolled.rows["id"]), len(rolled.kept), digest))
    assert digests(stage.work / "live") == digests(stage.work / "again"), "it replays otherwise"
    assert found[0][1:] == found[1][1:], "its rolling reservoir replays otherwise"
    return found[0]


def main() -> None:
    parser = argparse.ArgumentParser(prog="demo-kafka")
    parser.add_argument("folder", nargs="?", default="demo", type=Path, help="of `sluice demo`")
    parser.add_argument("--variant", choices=("append-time", "create-time"), default="append-time")
    parser.add_argument("--seed", type=int, default=0, help="of the moment of the kill")
    given = parser.parse_args()
    place, began = Place(given.folder.resolve()), time.monotonic()
    work = place.folder / given.variant
    shutil.rmtree(work, ignore_errors=True)
    (work / "logs").mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="demo-kafka-") as scratch:
        broker = Broker(Path(scratch) / "broker").start()
        assert broker.producer is not None  # made here: threads share it
        try:
            stage = Stage(place, work, broker)
            live = {"append-time": append_time, "create-time": create_time}[given.variant]
            same = live(stage, given.seed)
            period_ms = stage.demo_period_ms if same else PERIOD_MS
            path, rows, groups, digest = replayed(stage, period_ms)
            if same:
                past = history(place.config)
                rolled = rolling.roll(past, past.windows()[-1])
                assert digest == lineage(past, rolled.rows_digest), "the digest is not the demo's"
        finally:
            broker.close()
    print(f"took {time.monotonic() - began:.0f} s")
    print(f"demo: ok shard={path} rows={rows} groups={groups} digest={digest}{same} "
          "replay=identical")  # fmt: skip


if __name__ == "__main__":
    main()
