"""The pages are true: commands exist, examples run, tables are those of the code, links lead on."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from daemon import __main__ as cli
from daemon import ports
from daemon.commands import run as run_command
from daemon.config.reader import parse
from daemon.config.settings import ConfigError
from daemon.decode.decoder import Decoder
from daemon.decode.normalise import normaliser
from daemon.shards.shard import ROW_TYPES
from scoring.gates import Gate
from scoring.remedies import REMEDIES
from scoring.types import Reason
from tests.docs.small import CLASSES, blocks, lay_out, moved, read
from tests.house.plan import KINDS
from tests.house.tree import ROOT

PAGES = sorted(
    str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
)
COMMAND = re.compile(r"`sluice ([^`]+)`")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
ARROW = {"str": "string", "i64": "int64", "f64": "float64", "strs": "list of string"}


def cells(page: str, first: str) -> list[list[str]]:
    """Rows of the table whose first heading is `first`; pipes in code are not expected."""
    lines = read(page).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def shell_lines(page: str) -> list[str]:
    return [line for body in blocks(page, "sh") for line in body.splitlines() if line.strip()]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in LINK.findall(read(page)):
        assert (ROOT / page).parent.joinpath(target).exists(), f"{page}: {target} is not there"


@pytest.mark.parametrize("page", PAGES)
def test_paths_that_are_named_exist(page: str) -> None:
    for path in re.findall(r"`((?:tests|docs|daemon|scoring|buffers)/[\w/]+\.\w+)`", read(page)):
        assert (ROOT / path).exists(), f"{page}: {path} is not there"


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each `sluice ...` of a page is one that the command line takes."""
    lines = [line for line in shell_lines(page) if line.startswith("sluice ")]
    for line in [*lines, *(f"sluice {rest}" for rest in COMMAND.findall(read(page)))]:
        words = shlex.split(line, comments=True)[1:]
        words = ["5698443" if word == "WINDOW" else word for word in words]
        assert words[0] in cli.COMMANDS, f"{page}: {line}"
        try:
            cli.parser(words[0]).parse_args(words)
        except SystemExit:
            said = capsys.readouterr().err
            # prose may name a command without its arguments; a line of a block may not
            assert line not in lines, f"{page}: {line}\n{said}"
            assert "arguments are required" in said or "one of the arguments" in said, said


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    named = re.findall(r"`make ([a-z-]+)", read(page))
    named += [m[1] for line in shell_lines(page) if (m := re.match(r"make ([a-z-]+)", line))]
    assert set(named) <= targets


def test_make_help_lists_every_target_for_people() -> None:
    said = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("demo", "test", "test-slow", "lint", "bench", "lock", "clean", "help"):
        assert f"make {target} " in said


def test_columns_are_those_of_a_shard() -> None:
    documented = {row[0].strip("`"): row[1] for row in cells("docs/shards.md", "column")}
    assert documented == {name: ARROW[kind] for name, kind in ROW_TYPES.items()}


def test_exit_codes_are_those_of_the_program() -> None:
    documented = {int(row[0]) for row in cells("docs/operations.md", "code")}
    own = {value for name, value in vars(ports).items() if name.startswith("EXIT_")}
    assert documented == own | {run_command.SECOND_SIGNAL}
    for code in own - {0}:
        assert f"{code} " in cli.EPILOG


def test_the_live_example_of_the_readme_is_a_configuration(tmp_path: Path) -> None:
    (live,) = [b for b in blocks("README.md", "yaml") if "kafka:9092" in b]
    path = tmp_path / "live.yaml"
    path.write_text(live)
    assert cli.main(["config", "check", str(path)]) == ports.EXIT_OK


def test_reasons_and_their_examples() -> None:
    rows = cells("docs/bad-input.md", "reason")
    assert [row[0].strip("`") for row in rows] == [str(reason) for reason in Reason][1:]
    mapping = blocks("docs/bad-input.md", "yaml")
    places = next(text for text in mapping if text.startswith("store:"))
    policy = parse(places + mapping[0]).policy
    decoder = Decoder(
        policy.record,
        policy.limits,
        b"",
        normaliser("nfkc-casefold-1", unicodedata.unidata_version),
    )
    examples = [(row[0].strip("`"), row[2].strip("`")) for row in rows if len(row[2]) > 2]
    assert len(examples) >= 14
    for reason, example in examples:
        decoded = decoder.decode([example.encode()])
        assert [str(refusal.reason) for refusal in decoded.refusals] == [reason], example


def test_bad_configurations_say_what_the_page_says() -> None:
    page = read("docs/bad-input.md").partition("## Configurations")[2]
    places, *wrong = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    said = re.findall(r"```\n\n((?:    .+\n)+)", page)
    assert len(wrong) == len(said) >= 8
    parse(places)
    for text, lines in zip(wrong, said, strict=True):
        with pytest.raises(ConfigError) as refused:
            parse(places + text)
        assert str(refused.value).splitlines() == [line.strip() for line in lines.splitlines()]


def test_gates_are_those_that_are_run() -> None:
    rows = cells("docs/bad-input.md", "gate")
    assert [row[0].strip("`") for row in rows] == list(Gate)
    assert [row[2] for row in rows] == list(REMEDIES.values()), "and what they say to do"


def test_folders_of_kinds_are_all_named() -> None:
    documented = {
        row[0].strip("`"): row[1].strip("`") for row in cells("CONTRIBUTING.md", "folder")
    }
    assert {name.replace("/", "."): suite for name, suite in documented.items()} == KINDS


def test_there_are_nine_laws_and_each_names_its_tests() -> None:
    laws = re.split(r"^## \d\. ", read("docs/laws.md"), flags=re.MULTILINE)[1:]
    assert len(laws) == 9
    for law in laws:
        assert re.search(r"Held by \[tests/", law), law.splitlines()[0]


def test_every_decision_has_its_four_parts() -> None:
    pages = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [page.name[:4] for page in pages] == [f"{n:04d}" for n in range(1, len(pages) + 1)]
    for page in pages:
        heads = re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert heads == [
            "Context", "Decision", "What was refused", "What would change our mind",
        ], page.name  # fmt: skip


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example of README.md, taken through all of its commands."""
    folder = tmp_path_factory.mktemp("data")
    lay_out(folder)
    before = Path.cwd()
    os.chdir(folder)
    try:
        for line in shell_lines("README.md"):
            if line.startswith("sluice "):
                assert cli.main(shlex.split(moved(line, folder))[1:]) == 0, line
    finally:
        os.chdir(before)
    return folder


def test_the_example_of_the_readme_runs(example: Path) -> None:
    manifests = sorted((example / "store" / "shards").glob("*/manifest.json"))
    assert len(manifests) == 6
    for path in manifests:  # texts and labels were found where the mapping says
        manifest = json.loads(path.read_bytes())
        assert manifest["arms"]["selected"] >= 10
        assert set(manifest["traffic"]) >= set(CLASSES)
        assert set(manifest["counts"]) == {"records", "late", "accepted", "suspect"}
    page = example / f"shard-{int(manifests[-1].parent.name)}.html"
    assert "<html" in page.read_text(encoding="utf-8")


def test_the_examples_of_the_shards_page_run(example: Path, tmp_path: Path) -> None:
    """In a process of their own: what they import shall not stay in this one."""
    manifests = sorted((example / "store" / "shards").glob("*/manifest.json"))
    sizes = [json.loads(path.read_bytes())["rows"] for path in manifests]
    pieces = []
    for body in blocks("docs/shards.md", "python"):
        pieces.append(moved(body, example))
        if re.search(r"^rows = ", body, re.MULTILINE):
            pieces.append("print(len(rows))")
    pieces += [
        "assert set(batch) == {'text', 'group', 'weight'} and len(batch['text']) == 64",
        "assert train and all(row[0] and row[1] for row in train)",
        "assert abs(sum(share for _, share in shares) - 1) < 1e-9",
    ]
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(pieces)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert [int(line) for line in done.stdout.split()] == [sum(sizes)] * 4 + [sizes[-1]]
