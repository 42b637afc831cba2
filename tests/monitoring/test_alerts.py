"""Alerts fire, keep quiet and resolve as they should, and each of them has a page that helps."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from daemon.metrics.catalogue import CATALOGUE
from tests.house.tree import ROOT
from tests.monitoring.cases import CASES, TARGET, Case, Lines
from tests.monitoring.servers import RULES, promtool

GROUP = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]
ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for rule in GROUP["rules"]}
PAGES = ROOT / "docs" / "runbooks"
SECTIONS = ["Symptom", "Metric", "Action", "Verification"]
EVERY = 5  # minutes between looks at what must not fire


def expected(case: Case) -> dict[str, Any]:
    """The alert as promtool wants it: labels and whole annotations."""
    rule = ALERTS[case.alert]
    labels = dict(rule["labels"])
    for label in case.labels:
        name, _, value = label.partition("=")
        labels[name] = value or TARGET[name]
    return {
        "exp_labels": labels,
        "exp_annotations": {**rule["annotations"], "summary": case.summary},
    }


def timeline(lines: Lines, looks: dict[int, list[dict[str, Any]]], alert: str) -> dict[str, Any]:
    """One test of promtool."""
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in lines.items()],
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": alerts}
            for minute, alerts in looks.items()
        ],
    }


def minutes(lines: Lines) -> int:
    """How long the longest line is."""
    counts = []
    for values in lines.values():
        repeats = [word.partition("x")[2] for word in values.split()]
        counts.append(sum(int(repeat or 0) + 1 for repeat in repeats))
    return max(counts)


def check(folder: Path, tests: list[dict[str, Any]]) -> tuple[int, str]:
    """What promtool says of these tests."""
    file = folder / "alerts.yaml"
    document = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}
    file.write_text(yaml.safe_dump(document))
    return promtool("test", "rules", str(file))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
def test_it_fires_and_resolves(case: Case, tmp_path: Path) -> None:
    looks = {case.quiet: [], case.firing: [expected(case)], case.resolved: []}
    code, said = check(tmp_path, [timeline(case.lines, looks, case.alert)])
    assert code == 0, said


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
def test_it_keeps_quiet_where_nothing_is_wrong(case: Case, tmp_path: Path) -> None:
    assert case.never
    tests = [
        timeline(lines, {m: [] for m in range(0, minutes(lines), EVERY)}, case.alert)
        for lines in case.never
    ]
    code, said = check(tmp_path, tests)
    assert code == 0, said


def test_promtool_would_notice(tmp_path: Path) -> None:
    case = CASES[0]
    code, said = check(tmp_path, [timeline(case.lines, {case.firing: []}, case.alert)])
    assert code == 1 and "FAILED" in said


def test_every_alert_has_its_cases() -> None:
    assert {case.alert for case in CASES} == set(ALERTS)
    assert len(ALERTS) == len(GROUP["rules"])


def test_promtool_has_nothing_against_the_rules() -> None:
    code, said = promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))
    assert code == 0, said


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_a_person_needs(name: str) -> None:
    rule = ALERTS[name]
    assert re.fullmatch(r"Sluice([A-Z][a-z]+)+", name)
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert rule["annotations"]["runbook"] == f"docs/runbooks/{name}.md"


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_asks_for_series_that_exist(name: str) -> None:
    named = set(re.findall(r"\bsluice_\w+", ALERTS[name]["expr"]))
    assert named and named <= {series.name for series in CATALOGUE}


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_has_a_page(name: str) -> None:
    path = PAGES / f"{name}.md"
    assert path.is_file(), f"{path} is missing: what should somebody do who is woken by {name}?"
    page = path.read_text(encoding="utf-8")
    assert page.startswith(f"# {name}\n")
    parts = re.split(r"^## (.+)\n", page, flags=re.MULTILINE)
    assert parts[1::2] == SECTIONS, f"{path}: its sections are {', '.join(SECTIONS)}"
    assert all(len(text.strip()) > 40 for text in parts[2::2]), f"{path}: a section says nothing"
    shown = set(re.findall(r"\bsluice_\w+", parts[4]))
    assert shown <= {series.name for series in CATALOGUE}
    asked = set(re.findall(r"\bsluice_\w+", ALERTS[name]["expr"]))
    assert shown & asked, f"{path}: Metric names none of what the alert asks for"


def test_there_is_no_page_without_an_alert() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == set(ALERTS)
