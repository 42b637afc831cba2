"""The dashboard as data; run as a module (`make docs`) it writes its file and docs/metrics.md.

Every query takes the largest value over processes for what all of them know (gauges of a window),
and adds up rates for what each of them did.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from daemon.metrics.page import markdown
from tests.monitoring.panels import AGES, CLAIMS, FLOW, KEPT, NOW, PROCESS, Panel, Query
from tests.monitoring.servers import DASHBOARD, PAGE

SCHEMA = 39  # of Grafana 10.4 and 11
WIDE = 24  # columns of the grid
SELECTOR = 'namespace=~"$namespace", job=~"$job"'
SOURCE = {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
INTRODUCTION = (
    "Gauges of a window stand still until the next shard. What is not known is not drawn: a gap "
    "is no zero."
)


class Row(NamedTuple):
    """A heading and its panels."""

    title: str
    panels: tuple[Panel, ...]


ROWS = (
    Row("Now", NOW),
    Row("What is kept", KEPT),
    Row("Labels and drift", CLAIMS),
    Row("Flow", FLOW),
    Row("Ages", AGES),
    Row("Processes", PROCESS),
)


def target(query: Query, place: int) -> dict[str, Any]:
    """A query of a panel. `OURS` in it stands for the labels of the deployment."""
    return {
        "refId": chr(ord("A") + place),
        "datasource": SOURCE,
        "expr": query.expr.replace("OURS", SELECTOR),
        "legendFormat": query.legend,
    }


def options(panel: Panel) -> dict[str, Any]:
    """Of the kind of panel."""
    if panel.type == "stat":
        return {
            "colorMode": "none",
            "graphMode": "none",
            "textMode": "name" if panel.by_name else "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        }
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def drawn(panel: Panel) -> dict[str, Any]:
    """How values look: never through gaps, steps where a value stands for a window."""
    defaults: dict[str, Any] = {"unit": panel.unit, "noValue": "unknown", "min": panel.least}
    if panel.type == "timeseries":
        stacked = {"mode": "normal" if panel.stacked else "none", "group": "A"}
        defaults["custom"] = {
            "drawStyle": "line",
            "lineInterpolation": "stepAfter" if panel.window else "linear",
            "fillOpacity": 30 if panel.stacked else 0,
            "spanNulls": False,
            "stacking": stacked,
            "thresholdsStyle": {"mode": "off" if panel.limit is None else "line"},
        }
    if panel.limit is not None:
        steps = [{"color": "text", "value": None}, {"color": "red", "value": panel.limit}]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    return {"defaults": {k: v for k, v in defaults.items() if v is not None}, "overrides": []}


def dashboard() -> dict[str, Any]:
    """The whole document."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row in ROWS:
        panels.append({
            "id": len(panels) + 1, "type": "row", "title": row.title, "panels": [],
            "collapsed": False, "gridPos": {"h": 1, "w": WIDE, "x": 0, "y": y},
        })  # fmt: skip
        y, x = y + 1, 0
        for panel in row.panels:
            if x + panel.width > WIDE:
                y, x = y + panel.height, 0
            place = {"h": panel.height, "w": panel.width, "x": x, "y": y}
            panels.append({
                "id": len(panels) + 1, "type": panel.type, "title": panel.title,
                "description": panel.description, "datasource": SOURCE, "gridPos": place,
                "targets": [target(query, i) for i, query in enumerate(panel.queries)],
                "fieldConfig": drawn(panel), "options": options(panel),
            })  # fmt: skip
            x += panel.width
        y += row.panels[-1].height
    return {
        "uid": "sluice",
        "title": "Sluice",
        "description": INTRODUCTION,
        "tags": ["sluice"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "timezone": "utc",
        "templating": {"list": variables()},
        "annotations": {"list": []},
        "links": [],
        "panels": panels,
    }


def variables() -> list[dict[str, Any]]:
    """Where the data is, and whose."""
    found = [
        ("namespace", "label_values(sluice_build_info, namespace)"),
        ("job", 'label_values(sluice_build_info{namespace=~"$namespace"}, job)'),
    ]
    return [
        {"name": "DS_PROMETHEUS", "label": "Data source", "type": "datasource",
         "query": "prometheus"},
        *(
            {"name": name, "label": name.capitalize(), "type": "query", "datasource": SOURCE,
             "query": {"query": query, "refId": name}, "definition": query, "refresh": 2,
             "sort": 1, "includeAll": True, "allValue": ".*", "multi": False}
            for name, query in found
        ),
    ]  # fmt: skip


def text() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    DASHBOARD.write_text(text(), encoding="utf-8")
    PAGE.write_text(markdown(), encoding="utf-8")
