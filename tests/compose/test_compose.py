"""compose.yaml, read by the reader of compose files, and every file that it mounts."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from daemon import __main__ as command_line
from daemon.config import reader
from daemon.demo.stream import LABEL_TOPIC, TOPIC, record_map
from tests.helm.chart import tools
from tests.house.tree import ROOT

FOLDER = ROOT / "compose"
MADE_BY_USERS = {"demo"}  # `make demo`


@functools.cache
def services() -> dict[str, Any]:
    """As an engine would understand them."""
    made = subprocess.run(
        [str(tools() / "bin" / "compose"), "-format", "json", str(ROOT / "compose.yaml")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return dict(json.loads(made.stdout)["services"])


def of_ours() -> dict[str, Any]:
    """Those that run the image of this checkout."""
    return {name: each for name, each in services().items() if "build" in each}


def config() -> reader.Config:
    return reader.load(FOLDER / "sluice.yaml")


def test_everything_that_is_mounted_is_there() -> None:
    for name, service in services().items():
        for volume in service.get("volumes", ()):
            if volume["type"] == "bind":
                path = Path(volume["source"]).relative_to(ROOT)
                assert path.parts[0] in MADE_BY_USERS or (ROOT / path).is_file(), (name, path)


def test_images_of_others_are_pinned_and_ports_stay_on_this_machine() -> None:
    for name, service in services().items():
        if "build" not in service:
            tag = service["image"].rpartition(":")[2]
            assert tag[:1].isdigit() or tag[:2].lstrip("v").isdigit(), (name, tag)
        for port in service.get("ports", ()):
            assert port["host_ip"] == "127.0.0.1", name


def test_the_broker_is_the_one_that_tests_know() -> None:
    pom = (ROOT / "tests" / "kafka" / "pom.xml").read_text(encoding="utf-8")
    assert f"<version>{services()['kafka']['image'].rpartition(':')[2]}</version>" in pom
    assert services()["kafka"]["image"] == services()["topics"]["image"]


@pytest.mark.parametrize("name", ["publish", "sluice", "feed"])
def test_commands_are_commands_of_sluice(name: str) -> None:
    words = of_ours()[name]["command"]
    parsed = command_line.parser(words[0]).parse_args(words)
    assert parsed.command == words[0]


def test_nothing_of_ours_has_rights_beside_its_own() -> None:
    for name, service in of_ours().items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.get("cap_add", []) == (["DAC_READ_SEARCH"] if name == "feed" else []), name


def test_the_configuration_is_right_and_reads_the_demos_records() -> None:
    found = config()
    assert found.policy.record == record_map()
    options = found.source.options
    assert (options["topics"], options["label_topics"]) == ([TOPIC], [LABEL_TOPIC])
    topics = services()["topics"]["command"][0]
    assert f"create {TOPIC} 3\n" in topics
    assert f"create {LABEL_TOPIC} 1\n" in topics


def test_prometheus_scrapes_what_is_served(tmp_path: Path) -> None:
    """promtool reads the configuration where the service finds it, rules included."""
    shutil.copy(FOLDER / "prometheus.yaml", tmp_path / "prometheus.yml")
    shutil.copy(ROOT / "helm" / "sluice" / "files" / "rules.yaml", tmp_path / "rules.yaml")
    checked = subprocess.run(
        ["promtool", "check", "config", str(tmp_path / "prometheus.yml")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "1 rule files found" in checked.stdout
    scraped = yaml.safe_load((FOLDER / "prometheus.yaml").read_text(encoding="utf-8"))
    (job,) = scraped["scrape_configs"]
    assert job["static_configs"][0]["targets"] == [f"sluice:{config().http.port}"]
    mounts = {volume["target"] for volume in services()["prometheus"]["volumes"]}
    assert {"/etc/prometheus/prometheus.yml", "/etc/prometheus/rules.yaml"} <= mounts


def test_grafana_finds_dashboard_and_source() -> None:
    grafana = services()["grafana"]
    mounts = {volume["target"]: Path(volume["source"]) for volume in grafana["volumes"]}
    dashboard = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert mounts[str(dashboard)] == ROOT / "helm" / "sluice" / "files" / "dashboard.json"
    (provider,) = read("dashboards.yaml")["providers"]
    assert Path(provider["options"]["path"]) == dashboard.parent
    (source,) = read("datasource.yaml")["datasources"]
    assert source["url"] == f"http://prometheus:{services()['prometheus']['ports'][0]['target']}"
    variables = json.loads(mounts[str(dashboard)].read_text("utf-8"))["templating"]["list"]
    assert {"type": "datasource", "query": source["type"]}.items() <= variables[0].items()


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
