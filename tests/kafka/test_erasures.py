"""Erasures on a real broker: asked for by command, read by a live run, gone from its store."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from daemon.__main__ import main
from daemon.ports import EXIT_CONFIG, EXIT_OK, LaneId
from daemon.registry import versions
from tests.cases import Schedule
from tests.erasing import ASKED, ask, case_of, newest, readable, text_of
from tests.kafka.broker import Broker, unique
from tests.kafka.follower import Follower, options
from tests.kafka.live import configure, fill, kafka, renamed, running
from tests.worlds import play, shards


def test_a_live_run_erases_as_a_replay_does(broker: Broker, tmp_path: Path) -> None:
    case = case_of(ask(5, id="u501"), ask(7, id="u500"), ask(7, user="p3"), ask(8, id="u600"))
    live = renamed(case, fill(broker, case.records))
    with running(broker, live, tmp_path / "store") as registry:
        store = registry.store
    whole = play(live, Schedule())
    assert len(shards(store)) >= 2
    for window in shards(store):
        for number in versions.numbers(store, window):
            ours, theirs = (versions.manifest(s, window, number) for s in (store, whole))
            assert (ours.rows_digest, ours.revision) == (theirs.rows_digest, theirs.revision)
    assert versions.numbers(store, 5)[-1] > 1 and newest(store, 5) == newest(whole, 5)
    assert not any(text_of(n) in said for _, said in readable(store) for n in (500, 501, 503))


def test_who_is_to_be_forgotten_is_written_to_the_topic(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = broker.topic("asked")
    case = case_of()
    names = {"u": broker.topic("u", 2), ASKED.topic: topic}
    config = configure(
        tmp_path, case, kafka(broker, renamed(case, names)), name="live", store="store"
    )
    assert (
        main(["forget", "--id", "a-1", "--user", "7", "--user", "u", "-c", str(config)]) == EXIT_OK
    )
    assert capsys.readouterr().out == "asked 3 times\n"
    follower = Follower(options(broker, names["u"], erasure_topics=(topic,)))
    lane = LaneId(topic, 0)
    follower.read(lane, 3)
    assert [msgspec.json.decode(value or b"") for _, value in follower.rows[lane]] == [
        {"id": "a-1"}, {"user": "7"}, {"user": "u"},
    ]  # fmt: skip
    assert {i.kind for i in follower.source.lanes() if i.lane == lane} == {"erasures"}
    follower.source.close()


@pytest.mark.parametrize("fault", ["nobody", "no topic", "not there"])
def test_what_cannot_be_asked_says_why(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    case = case_of()
    if fault == "no topic":
        del case.kinds[ASKED], case.records[ASKED]
    names = {"u": unique("u"), ASKED.topic: unique("asked")}
    config = configure(
        tmp_path, case, kafka(broker, renamed(case, names)), name="live", store="store"
    )
    words = ["forget", "-c", str(config), *([] if fault == "nobody" else ["--id", "a-1"])]
    assert main(words) == EXIT_CONFIG
    said = capsys.readouterr().err
    hints = {"nobody": "give --id", "no topic": "erasure_topics is empty", "not there": "no topic"}
    assert hints[fault] in said and "a-1" not in said
