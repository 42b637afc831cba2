"""The dashboard: whole, and each of its queries answered by a real Prometheus after a replay."""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from daemon import tables
from daemon.config.settings import Http
from daemon.health.server import Server
from daemon.health.state import Condition, Health
from daemon.metrics.catalogue import CATALOGUE
from daemon.policy import Quarantine
from daemon.ports import LaneId
from tests.monitoring import board
from tests.monitoring.attached import Attached
from tests.monitoring.servers import DASHBOARD, Prometheus, prometheus
from tests.streams import CLASSES, PERIOD_MS, Record, World, small_policy, stream_of

LABELS = LaneId("answers", 0)
BOARD = json.loads(DASHBOARD.read_text(encoding="utf-8"))
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
QUERIES = [
    pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
    for panel in PANELS
    for target in panel["targets"]
]
VALUES = {"$__rate_interval": "1m", "$namespace": "demo", "$job": "sluice"}
OWN = re.compile(r"\bsluice_[a-z_]+")
AWAIT_SECONDS = 60.0


def policy() -> Any:
    return small_policy(quarantine=Quarantine(assumed_rate=0.1, minimum_answers=10))


def answered(seed: int) -> tuple[dict[LaneId, list[Record]], dict[LaneId, str]]:
    """A stream, and annotators who answer the audit rows of its shards; one in five is wrong."""
    records, kinds = stream_of(seed, windows=14, per_window=150)
    first = Attached(World(policy=policy())).run(records, kinds)
    answers: list[Record] = []
    for manifest in first.shards:
        rows, _ = tables.decode(first.world.store.get(manifest.rows_object))
        audited = [i for i, arms in enumerate(rows["arms"]) if "audit" in arms]
        for place, i in enumerate(audited):
            label = rows["label"][i] if place % 5 else CLASSES[0]
            value = {"id": rows["id"][i], "label": label or CLASSES[1], "shard": manifest.window}
            time_ms = (manifest.window + 3) * PERIOD_MS + place
            answers.append((time_ms, msgspec.json.encode(value)))
    return {**records, LABELS: answers}, {**kinds, LABELS: "labels"}


@dataclass
class Watched:
    """A replay that a real Prometheus has scraped while it ran."""

    server: Prometheus
    attached: Attached


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    attached, scraped = Attached(World(policy=policy())), threading.Semaphore(0)
    records, kinds = answered(3)
    plain = attached.metrics.exposition

    def exposition() -> bytes:
        scraped.release()
        return plain()

    attached.metrics.exposition = exposition  # type: ignore[method-assign]
    health = Health(attached.clock, 120)
    for condition in Condition:
        health.tell(condition, holds=True)
    with ExitStack() as stack:
        served = stack.enter_context(Server(Http(port=0), health, attached.metrics))
        folder = tmp_path_factory.mktemp("prometheus")
        asked = stack.enter_context(prometheus(folder, served.start(), "200ms"))

        def wait(scrapes: int) -> None:
            for _ in range(scrapes):
                assert scraped.acquire(timeout=AWAIT_SECONDS), "nothing scrapes"

        wait(2)  # rates count from a first sample: it shall be there before anything happens
        attached.run(records, kinds)
        while scraped.acquire(blocking=False):
            pass
        wait(3)  # a scrape begins when the one before it is stored
        yield Watched(asked, attached)


def expanded(text: str) -> str:
    for variable, value in VALUES.items():
        text = text.replace(variable, value)
    assert "$" not in text
    return text


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_returns_data(watched: Watched, query: str) -> None:
    samples = watched.server.instant(expanded(query))
    assert samples, query
    assert not any(math.isnan(float(sample["value"][1])) for sample in samples), query


def test_the_answers_are_those_of_the_replay(watched: Watched) -> None:
    newest = watched.attached.shards[-1]
    assert newest.noise is not None

    def ask(title: str) -> dict[str, float]:
        panel = next(panel for panel in PANELS if panel["title"] == title)
        samples = watched.server.instant(expanded(panel["targets"][0]["expr"]))
        return {" ".join(s["metric"].values()): float(s["value"][1]) for s in samples}

    assert ask("Wrong labels, audited") == dict(
        zip(("estimate", "low", "high"), newest.noise, strict=True)
    )
    assert ask("Rows by arm") == newest.arms
    assert sum(ask("Kept rows by group").values()) == newest.arms["selected"]
    assert ask("Ready") == {"": 1} and ask("Cold") == {"": 0}
    assert "traffic js" in ask("Drift by chance")


def test_the_variables_find_the_deployment(watched: Watched) -> None:
    for variable in BOARD["templating"]["list"][1:]:
        wanted = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"])
        assert wanted is not None
        values = watched.server.ask(f"label/{wanted[2]}/values", **{"match[]": expanded(wanted[1])})
        assert values == [VALUES[f"${variable['name']}"]]


def test_rules_run_on_what_is_scraped(watched: Watched) -> None:
    rules = [r for g in watched.server.ask("rules")["groups"] for r in g["rules"]]
    assert len(rules) > 10
    assert [r["name"] for r in rules if r.get("lastError")] == []


def test_prometheus_holds_the_catalogue_and_nothing_else(watched: Watched) -> None:
    names = watched.server.ask("label/__name__/values")
    ours = {re.sub(r"_(bucket|count|sum)$", "", n) for n in names if n.startswith("sluice_")}
    assert ours == {series.name for series in CATALOGUE}


def test_the_file_is_what_the_module_makes() -> None:
    told = f"{DASHBOARD} is made from tests/monitoring/board.py: run `make docs`"
    assert DASHBOARD.read_text(encoding="utf-8") == board.text(), told


def test_every_series_has_a_panel() -> None:
    shown = {
        re.sub(r"_bucket$", "", name)
        for panel in PANELS
        for target in panel["targets"]
        for name in OWN.findall(target["expr"])
    }
    assert shown == {series.name for series in CATALOGUE}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".") and panel["fieldConfig"]["defaults"]["unit"]
    assert panel["fieldConfig"]["defaults"]["noValue"] == "unknown", "never a 0 that nobody said"
    assert panel["datasource"]["uid"] == "${DS_PROMETHEUS}"
    for target in panel["targets"]:
        assert target["legendFormat"] and "$namespace" in target["expr"]


def test_panels_fill_the_grid_and_never_overlap() -> None:
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= board.WIDE and not cells & taken
        taken |= cells
    for name in re.findall(r"Sluice[A-Z]\w+", json.dumps(BOARD)):
        assert (DASHBOARD.parents[3] / "docs" / "runbooks" / f"{name}.md").exists(), name
