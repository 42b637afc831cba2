"""Answers that are none, on a real broker: read, told to a topic, and never passed untold."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from daemon.ports import EXIT_OK, LaneId
from daemon.stores import local
from tests.cases import LABELS, Case, Edition
from tests.kafka.broker import Broker
from tests.kafka.live import configure, fill, kafka, renamed
from tests.kafka.test_process import named, said_in, sluice, until
from tests.selection import WAITS
from tests.streams import PERIOD_MS, Record, say, small_policy
from tests.unit.test_label_letters import CANARY, TOLD
from tests.worlds import publish_all


def case() -> Case:
    """The answers are of one window, which nothing closes until more of them come."""
    spoken: list[Record] = [
        (w * PERIOD_MS + at, say(w * 10 + at, f"say {w} {at}", "music"))
        for w in range(5, 12)
        for at in range(4)
    ]
    answers: list[Record] = [(11 * PERIOD_MS + at, value) for at, (_, value) in enumerate(TOLD)]
    lanes = {LaneId("u", 0): spoken, LABELS: answers}
    kinds = {lane: "labels" if lane == LABELS else "utterances" for lane in lanes}
    return Case(lanes, kinds, WAITS, (Edition(small_policy()),))


def test_a_kill_between_the_letters_of_answers_and_their_part_loses_none(
    broker: Broker, tmp_path: Path
) -> None:
    plain = case()
    names = fill(broker, plain.records)
    live, topic = renamed(plain, names), broker.topic("letters")
    config = named(configure(tmp_path, live, kafka(broker, live), name="live", store="store"))
    outlet = f"{{kind: kafka, options: {{bootstrap: ['{broker.bootstrap}'], topic: {topic}}}}}"
    config.write_text(config.read_text() + f"dead_letters: {{outlet: {outlet}}}\n")
    store = local.build(local.Options(str(tmp_path / "store")))
    publish_all(live, store)
    lane = names[LABELS.topic]
    expected = {f"{lane}/0@{at}".encode(): why.value for at, (why, _) in enumerate(TOLD)}

    def told() -> list[tuple[bytes, str]]:
        letters = said_in(broker, topic)
        reasons = [dict(letter.headers)["sluice.reason"].decode() for letter in letters]
        assert CANARY.encode() not in b"".join(letter.value or b"" for letter in letters)
        return [(letter.key, why) for letter, why in zip(letters, reasons, strict=True)]

    def passed() -> list[str]:
        """Parts of the label lane behind the answers: the window that holds them is closed."""
        return [n for n in store.list(f"parts/{lane}/") if "000000000011" in n]

    with sluice(config, tmp_path / "first") as process:
        until(lambda: dict(told()) == expected or process.poll() is not None)
        assert process.poll() is None, (tmp_path / "first").read_text()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    before = told()
    assert not passed(), "they were told, and their part was not made"
    broker.produce(lane, [(b'{"id": "u50", "label": "music"}', 14 * PERIOD_MS)], 0)
    with sluice(config, tmp_path / "second") as process:
        until(lambda: passed() or process.poll() is not None)
        assert process.poll() is None, (tmp_path / "second").read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == EXIT_OK
    again = told()[len(before) :]
    assert dict(again) == expected, "what no part had passed is told again, under the same key"
    assert CANARY not in (tmp_path / "first").read_text() + (tmp_path / "second").read_text()
