"""Whatever values a release has, what it renders is whole, conforms, and can be run."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import yaml

from daemon.commands import publish
from daemon.config import reader, sanity
from tests.helm.chart import (
    CHART,
    EVERYTHING,
    MINIMAL,
    VALUES,
    conform,
    containers,
    helm,
    manifests,
    one,
    pods,
    render,
    sets,
)

OPTIONAL = {
    "ConfigMap/trial-sluice-dashboard", "Job/trial-sluice-publish", "NetworkPolicy/trial-sluice",
    "PodDisruptionBudget/trial-sluice", "PrometheusRule/trial-sluice", "ScaledObject/trial-sluice",
    "ServiceMonitor/trial-sluice", "PersistentVolumeClaim/trial-sluice",
}  # fmt: skip
each_values = pytest.mark.parametrize("values", VALUES, ids=lambda path: str(path.stem))


@each_values
def test_lint_finds_nothing(values: Path) -> None:
    made = helm("lint", "--strict", CHART, "-f", values)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "[WARNING]" not in made.stdout + made.stderr


@each_values
def test_every_object_conforms_to_the_api(values: Path, schemas: Path) -> None:
    rendered = render(values)
    code, report = conform(rendered, schemas)
    assert code == 0, report["resources"]
    assert report["summary"]["valid"] == len(list(yaml.safe_load_all(rendered)))


@pytest.mark.parametrize("name", ["readOnlyRootFilesystem", "pollingInterval", "interval"])
def test_a_misspelt_field_does_not_conform(name: str, schemas: Path) -> None:
    """The last two stand in custom resources, which only a closed schema holds to their fields."""
    rendered = render(EVERYTHING)
    assert f" {name}:" in rendered
    code, _ = conform(rendered.replace(f" {name}:", f" {name}s:", 1), schemas)
    assert code == 1


@each_values
def test_the_configuration_passes_its_own_check(values: Path) -> None:
    config = reader.parse(one_config(values))
    assert not list(sanity.faults(config))
    assert config.source.kind == "kafka"


def test_numbers_arrive_as_they_were_written() -> None:
    """Helm holds numbers as floats, and prints some of them in powers of ten."""
    config = reader.parse(one_config(EVERYTHING))
    assert config.process.poll_records == 1_000_000
    assert config.stream.period_ms == 600_000
    scaled = one(manifests(EVERYTHING), "ScaledObject")
    assert {t["metadata"]["lagThreshold"] for t in scaled["spec"]["triggers"]} == {"5000000"}


def test_topics_that_are_told_are_outlets() -> None:
    config = reader.parse(one_config(EVERYTHING))
    assert config.dead_letters.payload
    for section, topic in (
        (config.dead_letters, "utterances-refused"), (config.announcements, "shards"),
    ):  # fmt: skip
        assert section.outlet is not None
        assert section.outlet.options["topic"] == topic
        assert section.outlet.options["security"] == config.source.options["security"]
    quiet = reader.parse(one_config(MINIMAL))
    assert quiet.dead_letters.outlet is quiet.announcements.outlet is None


@pytest.mark.parametrize("text", ["no", "0x1f", "1e3", "12:30", "~", "null", "2024-06-01", "yes"])
def test_texts_arrive_as_texts(text: str) -> None:
    config = reader.parse(one_config(MINIMAL, f'policy={{"record": {{"id": "{text}"}}}}'))
    assert config.policy.record.id == text


def one_config(values: Path, *assignments: str) -> str:
    """sluice.yaml of the rendered ConfigMap."""
    found = manifests(values, *sets(*assignments))
    return str(next(m["data"]["sluice.yaml"] for m in found if "sluice.yaml" in m.get("data", {})))


def test_everything_optional_is_off() -> None:
    found = {f"{m['kind']}/{m['metadata']['name']}" for m in manifests(MINIMAL)}
    assert found == {
        "ConfigMap/trial-sluice", "Deployment/trial-sluice", "Pod/trial-sluice-test",
        "Service/trial-sluice", "ServiceAccount/trial-sluice",
    }  # fmt: skip
    assert not found & OPTIONAL


def test_selectors_find_the_pods_and_only_those_of_the_daemon() -> None:
    for values in VALUES:
        found = manifests(values)
        (workload,) = (m for m in found if m["kind"] in {"Deployment", "StatefulSet"})
        labels = workload["spec"]["template"]["metadata"]["labels"]
        selectors = [
            workload["spec"]["selector"]["matchLabels"],
            one(found, "Service")["spec"]["selector"],
        ]
        selectors += [
            m["spec"]["selector"]["matchLabels"]
            for m in found
            if m["kind"] == "PodDisruptionBudget"
        ]
        others = [m["spec"]["template"]["metadata"]["labels"] for m in found if m["kind"] == "Job"]
        others += [m["metadata"]["labels"] for m in found if m["kind"] == "Pod"]
        for selector in selectors:
            assert selector.items() <= labels.items(), values.name
            assert not [each for each in others if selector.items() <= each.items()], values.name


def test_static_membership_makes_a_stateful_set_that_is_scaled_by_its_kind() -> None:
    found = manifests(CHART / "ci" / "static-values.yaml")
    assert one(found, "ScaledObject")["spec"]["scaleTargetRef"]["kind"] == "StatefulSet"
    assert "replicas" not in one(found, "StatefulSet")["spec"], "KEDA decides"


def test_every_volume_that_is_mounted_is_there() -> None:
    for values in VALUES:
        for name, spec in pods(manifests(values)):
            there = [volume["name"] for volume in spec["volumes"]]
            assert len(there) == len(set(there)), name
            for container in containers(spec):
                mounts = [mount["name"] for mount in container["volumeMounts"]]
                assert set(mounts) <= set(there), (name, container["name"])


def test_a_change_of_the_configuration_rolls_the_pods() -> None:
    def checksum(*assignments: str) -> str:
        template = one(manifests(MINIMAL, *sets(*assignments)), "Deployment")["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/config"])

    assert checksum() == checksum("replicas=3", 'service={"annotations": {"a": "b"}}')
    assert checksum() != checksum('policy={"capacity_rows": 7}')
    assert checksum() != checksum('process={"threads": 7}')


def test_the_publishing_job_has_a_new_name_when_it_would_do_something_else() -> None:
    """What a Job runs cannot be changed under its name, so the name holds all of it."""
    jobs: dict[str, object] = {}
    for assignment in (
        "replicas=1", "replicas=3", 'policy={"capacity_rows": 7}', 'stream={"period": "7m"}',
        'image.tag="2"', 'publish.checkpoint="other"', 'publish.from="1"',
        'tolerations=[{"operator": "Exists"}]', 'nameOverride="b"', 'keys.key="other"',
    ):  # fmt: skip
        values = CHART / "ci" / "claim-values.yaml"
        job = one(manifests(values, *sets(assignment)), "Job")
        assert len(job["metadata"]["name"]) <= 63
        assert jobs.setdefault(job["metadata"]["name"], job["spec"]) == job["spec"]
    assert len(jobs) == 8, "all differ but those that the Job reads from the ConfigMap"


def test_the_publishing_job_names_the_checkpoints_that_scores_read_beside_its_own() -> None:
    """As the command reads them: folders of its volume, or digests, oldest first."""

    def arguments(*assignments: str) -> list[str]:
        values = CHART / "ci" / "claim-values.yaml"
        job = one(manifests(values, *sets(*assignments)), "Job")
        return list(containers(job["spec"]["template"]["spec"])[0]["args"])

    digest = "0a" * 32
    given = arguments(f'publish.history=["b/2", "{digest}", "b/1"]', 'publish.reference="held-out"')
    parser = argparse.ArgumentParser()
    publish.add(parser)
    read = parser.parse_args(given[1:])
    assert given[0] == "publish"
    assert read.history == f"/checkpoints/b/2,{digest},/checkpoints/b/1"
    assert read.reference == "/checkpoints/held-out"
    assert arguments(f'publish.reference="{digest}"')[-1] == digest
    bare = parser.parse_args(arguments()[1:])
    assert (bare.history, bare.reference, bare.trusted) == (None, None, None)
    right = parser.parse_args(arguments('publish.trusted="right.jsonl"')[1:])
    assert right.trusted == "/checkpoints/right.jsonl"


def test_names_have_room() -> None:
    long = "a" * 60
    for manifest in manifests(EVERYTHING, "--set", f"nameOverride={long},fullnameOverride="):
        assert len(manifest["metadata"]["name"]) <= 63, manifest["kind"]
