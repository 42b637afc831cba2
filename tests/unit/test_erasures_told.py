"""What others hear of erasures: letters for bad ones, announcements of versions, figures."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from daemon.clock import ManualClock
from daemon.commands.telling import measure
from daemon.decode.erasure import ErasureDecoder
from daemon.lanes.erasures import Erasures
from daemon.lanes.window import Segment
from daemon.loop import Loop
from daemon.messages import announcement
from daemon.metrics.metrics import Metrics
from daemon.ports import Batch, LaneId, Store
from daemon.recording.keeping import Keeping, topics_of
from daemon.registry import bundle, excerpt, publish, versions
from daemon.registry.registry import Registry
from daemon.report import render
from daemon.running.erasing import Eraser
from daemon.running.outgoing import REVISED, Announcer, Letters
from daemon.shards import shard
from daemon.sources import replay
from daemon.stores.memory import MemoryStore
from tests.cases import Schedule, schedules
from tests.erasing import ASKED, ask, case_of, newest, text_of, versions_of
from tests.streams import KEY, ListSource
from tests.unit.test_outgoing import Box
from tests.worlds import play, publish_all, shards, source_of, world_of

CASE = case_of(
    ask(5, id="u500"), ask(7, user="p3"), ask(7, foo=1), ask(8, id="u501"), ask(8, id=[]),
)  # fmt: skip


def loop_of(store: Store, letters: Box, news: Box, metrics: Metrics) -> Loop:
    publish_all(CASE, store)
    loop = world_of(CASE, store).loop(source_of(CASE, Schedule(), ListSource))
    loop.letters = loop.performer.letters = loop.upkeep.letters = Letters(
        letters, loop.tell, version="1", payload_bytes=1_000
    )
    loop.upkeep.announcer = Announcer(news, loop.registry, loop.tell, base="s3://bucket")
    loop.performer.eraser = Eraser(loop.registry, KEY, measure(metrics))
    return loop


def test_letters_news_and_figures() -> None:
    store, letters, news = MemoryStore(), Box(failures=2), Box(failures=1)
    metrics = Metrics("1", ManualClock())
    loop = loop_of(store, letters, news, metrics)
    assert loop.run()
    bad = {m.key: dict(m.headers) for m in letters.acknowledged}
    assert sorted(bad) == [b"asked/0@2", b"asked/0@4"]
    assert {h["sluice.reason"] for h in bad.values()} == {b"no_id", b"bad_id"}
    assert all(not m.value for m in letters.acknowledged), "what they held names somebody"
    assert {h["sluice.payload"] for h in bad.values()} == {b"left_out"}

    told = [json.loads(m.value or b"") for m in news.acknowledged]
    later = [value for value in told if "revision" in value]
    assert {(v["window"], v["revision"]) for v in later} == {
        (w, n) for w, n in versions_of(store) if n > 1
    }
    assert len(told) == len(versions_of(store)) and len(later) >= 2
    for value in later:
        assert store.get(value["manifest"]) and store.get(value["supersedes"])
        assert value["manifest"] == shard.manifest_name(value["window"], value["revision"])
    marks = list(store.list(REVISED))
    again = Box()
    Announcer(again, loop.registry, lambda *_: None, base="").due()
    assert not again.acknowledged
    del store._objects[marks[-1]]  # the process died before its last mark
    store._names.remove(marks[-1])
    Announcer(again, loop.registry, lambda *_: None, base="").due()
    assert again.acknowledged and {m.key for m in again.acknowledged} <= {
        m.key for m in news.acknowledged
    }

    gone = sum(versions.manifest(store, *key).revision.removed for key in versions_of(store)
               if key[1] > 1)  # fmt: skip
    assert f"sluice_erased_rows_total {gone}.0".encode() in metrics.exposition() and gone


def test_the_first_announcement_of_a_shard_is_always_the_same() -> None:
    store = play(CASE, Schedule())
    first = shards(store)[5]
    assert first.successor
    before = msgspec.structs.replace(first, successor="")
    assert announcement(first, "base") == announcement(before, "base")


def test_audit_answers_teach_the_same_before_and_after_an_erasure() -> None:
    """A tombstone keeps the label that was given, under the keyed hash of the id."""
    store = play(CASE, Schedule())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Eraser, "due", lambda self: False)
        bare = play(CASE, Schedule())
    checked = 0
    for window in shards(store):
        ours, theirs = (versions.audit_rows(Registry(s), window) for s in (store, bare))
        names = list(theirs.shown)
        assert ours.labels(names, KEY) == theirs.labels(names, KEY) == dict(theirs.shown)
        checked += len(ours.gone)
    assert checked, "so this can fail"


def test_a_new_checkpoint_is_not_judged_by_what_was_erased() -> None:
    store = play(CASE, Schedule())
    texts = publish.recent_sample(Registry(store)).texts
    assert texts and not {text_of(n) for n in (500, 501, 503, 508, 513)} & set(texts)


def test_the_report_shows_the_newest_version() -> None:
    store = play(CASE, Schedule())
    manifest, rows = versions.newest_rows(Registry(store), 5)
    page = render(manifest, rows, period_ms=1_000)
    assert "Rows erased" in page and ".v3/manifest.json" in page
    assert "secret-of-501" not in page


def test_a_stretch_is_recorded_with_every_version_of_what_it_was_taught() -> None:
    origin = play(CASE, schedules(2, 3)[2])
    registry = Registry(origin)
    taken = excerpt.excerpt(registry, 7, 8)
    assert shard.manifest_name(6) in taken.taught
    target = MemoryStore()
    bundle.copy_decisions(origin, target)
    for name in taken.taught:
        target.create(name, origin.get(name))
    for window in {int(name.split("/")[1][:12]) for name in taken.taught if "shards" in name}:
        assert newest(target, window) == newest(origin, window)
    play(CASE, Schedule(), store=target, recorded=taken.closings)
    for window in (7, 8):
        ours, theirs = (versions.newest(Registry(s), window) for s in (target, origin))
        assert (ours.rows_digest, ours.calibration) == (theirs.rows_digest, theirs.calibration)


def test_a_recording_keeps_erasure_lanes_and_a_replay_reads_them(tmp_path: Path) -> None:
    source = source_of(CASE, Schedule(), ListSource)
    keeping = Keeping(tmp_path / "kept", topics_of(source.lanes(), {}), "jsonl")
    for lane, rows in CASE.records.items():
        values = [value for _, value in rows]
        source.seek(lane, 0)
        batch = Batch(lane, np.arange(len(rows)), np.array([t for t, _ in rows]), values)
        keeping.keep(lane, [batch], lambda _: None)
    keeping.complete(None)
    played = replay.build(replay.Options(path=str(tmp_path / "kept")))
    assert {i.lane: i.kind for i in played.lanes()} == CASE.kinds
    store = MemoryStore()
    publish_all(CASE, store)
    assert world_of(CASE, store).loop(played).run()  # type: ignore[arg-type]
    assert versions_of(store) == versions_of(play(CASE, Schedule()))


def test_a_lane_keeps_hashes_alone_and_is_as_any_batches_cut_it() -> None:
    values = [b'{"id": "a-1"}', None, b"{", b'{"user": "somebody"}', b"x" * 70_000]

    def gathered(cuts: list[tuple[int, int]]) -> dict[str, list[object]]:
        lane = Erasures(ErasureDecoder(KEY))
        for first, end in cuts:
            batch = Batch(LaneId("asked", 0), np.arange(5), np.arange(5), list(values))
            lane.absorb(batch, Segment(5, first, end, 0, 0, 0))
        return lane.rows

    whole = gathered([(0, 5)])
    assert whole == gathered([(0, 1), (1, 4), (4, 5)])
    assert whole["position"] == [0, 2, 3, 4]
    assert whole["reason"] == ["", "not_json", "", "empty_value"]
    assert "somebody" not in repr(whole) and "a-1" not in repr(whole)
    assert ASKED.topic == "asked"
