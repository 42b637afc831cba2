"""What the second stage does is counted."""

from __future__ import annotations

from daemon.clock import ManualClock
from daemon.commands.telling import measure
from daemon.metrics.metrics import Metrics
from daemon.shards import seconds
from tests.cascading import cascading, published
from tests.cases import Case, Edition
from tests.monitoring.attached import of, scrape
from tests.selection import WAITS, labelled, lane_split
from tests.streams import ListSource
from tests.worlds import world_of


def test_every_row_that_the_second_stage_scores_is_counted() -> None:
    log, store = lane_split(labelled(80, 60), 2), published(cascading())
    kinds = dict.fromkeys(log, "utterances")
    case = Case(log, kinds, WAITS, (Edition(cascading()),))
    metrics = Metrics("0.0.0", ManualClock())
    loop = world_of(case, store).loop(ListSource(log, kinds), listener=measure(metrics))
    assert loop.registry.genesis is not None
    metrics.founded(loop.registry.genesis, loop.registry.editions)
    assert loop.run()
    scored = [seconds.decode(store.get(name)) for name in store.list("seconds/")]
    rows = sum(len(held.columns["arm"]) for held in scored)
    assert rows > 24, "candidates, and the audit arm"
    assert of(scrape(metrics), "sluice_second_stage_rows_total") == rows
