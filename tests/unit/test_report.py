"""The page of a shard: the manifest's figures, hostile words stay words, nothing is loaded."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon import report, tables
from daemon.clock import ManualClock
from daemon.commands import report as command
from daemon.commands.session import Session
from daemon.config.settings import Config
from daemon.console import Console
from daemon.monitors.noise import wilson
from daemon.policy import Kind
from daemon.ports import Fatal
from daemon.registry.registry import Registry
from daemon.report import examples, intake, markup
from daemon.shards.shard import ShardManifest
from scoring.types import Reason
from tests.streams import PERIOD_MS, ListSource, World, stream_of

HOSTILE = (
    "<script>alert(1)</script>", "</td></table></body><h1>mine", "\"><img src=x onerror=alert(1)>",
    "\u202eevil\u202c \u2066isolated", "&lt;b&gt; &amp; 'quotes' \"both\"", "x" * 500,
    "\U0001f469\u200d\U0001f680 \U0001f3f4 \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "e" + "\u0301" * 200, "line\nbreak\ttab\x00nul\x1b[31m",
    "${style} {{x}} %s <!-- ", "]]></style>",
)  # fmt: skip
VOID = {"meta", "link", "wbr", "br", "input"}


@pytest.fixture(scope="module")
def shards() -> list[tuple[ShardManifest, dict[str, list[Any]]]]:
    """Every shard of a small world, ascending."""
    world = World()
    world.loop(ListSource(*stream_of(1))).run()
    registry = Registry(world.store)
    manifests = [registry.manifest(window) for window in sorted(world.digests())]
    return [(m, tables.decode(world.store.get(m.rows_object))[0]) for m in manifests]


class Page(HTMLParser):
    """What a reader of the page finds; complains of tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.facts: dict[tuple[str, str | None], tuple[str, str]] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self._fact: tuple[str, str | None] | None = None
        self.feed(text)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.tags.append((tag, named))
        if tag not in VOID:
            self._open.append(tag)
        if "data-fact" in named:
            self._fact = (named["data-fact"] or "", named.get("data-of"))
            self.facts[self._fact] = (named["value"] or "", "")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        self._fact = None

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("script", "style"):
            self.text += data
        if self._fact:
            value, text = self.facts[self._fact]
            self.facts[self._fact] = (value, text + data)

    def exact(self, name: str, of: str | None = None) -> str:
        return self.facts[name, of][0]


def page_of(shards: list[Any], index: int = -1, **changes: Any) -> Page:
    manifest, rows = shards[index]
    changed = msgspec.structs.replace(manifest, **changes)
    return Page(report.render(changed, rows, [m for m, _ in shards], period_ms=PERIOD_MS))


def check_facts(page: Page, m: ShardManifest) -> None:
    """All figures of the page are those of the manifest, as machines and as people read them."""
    flat: dict[tuple[str, str | None], int | float | str | None] = {
        ("window", None): m.window, ("records", None): m.counts["records"],
        ("late", None): m.counts["late"], ("selected", None): m.arms.get("selected", 0),
        ("groups", None): len(m.kept), ("rows", None): m.rows, ("edition", None): m.edition,
        ("suspect_below", None): m.suspect_below, ("checkpoint", None): m.checkpoint,
        ("policy", None): m.policy, ("calibration_used", None): m.calibration_used,
        ("contradictions", None): m.contradictions, ("rows_digest", None): m.rows_digest,
        ("selection_digest", None): m.selection_digest, ("rows_object", None): m.rows_object,
        ("noise", None): m.noise.estimate if m.noise else None, ("back", None): m.agreed.back,
    }  # fmt: skip
    flat |= {("arm", arm): n for arm, n in m.arms.items()}
    flat |= {("traffic", markup.shown(group)): n for group, n in m.traffic.items()}
    flat |= {("kept", markup.shown(group)): n for group, n in m.kept.items()}
    flat |= {("refused", reason): n for reason, n in intake.refused(m).items()}
    flat |= {("labelled", k): n for k, n in msgspec.structs.asdict(m.labelled).items()}
    for part in (*m.parts, *m.labels):
        flat |= {(f"part_{k}", part.object): getattr(part, k)
                 for k in ("start", "end", "closed_by", "digest")}  # fmt: skip
    for score, three in m.lift.items():
        names = ("lift", "lift_low", "lift_high")
        flat |= {(k, score): v for k, v in zip(names, three, strict=True)}
    if m.agreed.texts:
        flat |= {("differing", None): m.agreed.differing}
    if m.noise:
        flat |= {("noise_low", None): m.noise.low, ("noise_high", None): m.noise.high}
    for (name, of), value in flat.items():
        assert page.exact(name, of) == ("" if value is None else str(value)), (name, of)
    for name in ("records", "selected", "groups", "rows"):
        exact, shown = page.facts[name, None]
        assert shown.replace(",", "") == exact


def test_the_figures_are_those_of_the_manifest(shards: list[Any]) -> None:
    for index, (manifest, _) in enumerate(shards):
        check_facts(page_of(shards, index), manifest)


def test_a_known_noise_rate_and_an_unknown_one_are_said_first(shards: list[Any]) -> None:
    noise = wilson(8, 101)
    page = page_of(shards, noise=noise)
    check_facts(page, msgspec.structs.replace(shards[-1][0], noise=noise))
    assert page.facts["noise", None][1] == "7.9\u202f%"
    said = "About 7.9\u202f% (4.1 to 14.9\u202f%) of the labels that came in are wrong."
    assert said in page.text
    assert "How many labels are wrong is unknown: no audit answers." in page_of(shards).text


def test_a_cold_window_says_so_and_why(shards: list[Any]) -> None:
    cold = next(i for i, (m, _) in enumerate(shards) if not m.cold)
    assert "A cold window" not in page_of(shards, cold).text
    text = page_of(shards, cold, cold="no_noise_rate", suspect_below=None).text
    assert "A cold window: rows were drawn uniformly" in text
    assert "nothing is quarantined in a cold window" in text


@pytest.mark.parametrize("changes", [
    {"counts": {"records": 0, "late": 0}, "traffic": {}, "kept": {}, "arms": {}, "rows": 0},
    {"histograms": {}, "lift": {}}, {"lift": {"entropy": (0.0, 0.0, 0.0)}}, {"parts": ()},
    {"noise": wilson(0, 50), "suspect_below": 0}, {"noise": wilson(50, 50), "suspect_below": 4096},
    {"window": 10**15}, {"windows": (4, 5, 6)},
])  # fmt: skip
def test_odd_shards_are_pages_too(shards: list[Any], changes: dict[str, Any]) -> None:
    text = page_of(shards, **changes).text
    assert "nan" not in text.lower().split()


def test_hostile_words_stay_words(shards: list[Any]) -> None:
    manifest, rows = shards[-1]
    count = len(rows["id"])
    plain = Page(report.render(manifest, rows, [], period_ms=PERIOD_MS))
    for start in range(0, len(HOSTILE), count):
        words = [HOSTILE[(start + i) % len(HOSTILE)] for i in range(count)]
        evil = {**rows, **dict.fromkeys(("id", "text", "group", "label", "argmax"), words)}
        names = dict.fromkeys(HOSTILE, 3)
        changed = msgspec.structs.replace(manifest, traffic=names, kept=names)
        text = report.render(changed, evil, [], period_ms=PERIOD_MS)
        text.encode("utf-8")
        page = Page(text)
        check_facts(page, changed)
        kinds = {tag for tag, _ in page.tags} - {"wbr", "details", "summary"}
        assert kinds <= {tag for tag, _ in plain.tags}
        assert sum(tag == "script" for tag, _ in page.tags) == 1
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", text)
        bare = "".join(page.text.split())
        assert all("".join(markup.shown(word).split()) in bare for word in HOSTILE)
        isolated = [named for tag, named in page.tags if tag == "bdi"]
        assert len(isolated) >= 3 * count and all(a["dir"] == "auto" for a in isolated)


@given(st.text(alphabet=st.characters(codec=None)))
def test_any_text_comes_back_as_it_is_shown(text: str) -> None:
    page = Page(markup.el("p", markup.said(text), markup.fact("f", text, text, text)))
    shown = markup.shown(text)
    assert page.text == shown * 2
    assert page.facts == {("f", shown): (shown, shown)}
    assert markup.shown(shown) == shown
    shown.encode("utf-8")
    assert Page(markup.name(text)).text == shown


def test_the_page_loads_nothing_and_names_its_blocks(shards: list[Any]) -> None:
    manifest, rows = shards[-1]
    text = report.render(manifest, rows, period_ms=PERIOD_MS)
    page = Page(text)
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a)
    assert policy is not None and policy.startswith("default-src 'none'; ")
    for tag in ("script", "style"):
        block = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert len(block) == 1
        digest = base64.b64encode(hashlib.sha256(block[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    for tag, named in page.tags:
        assert "style" not in named and not any(name.startswith("on") for name in named), tag
        for name in ("src", "href", "action", "srcset"):
            assert (named.get(name) or "#").startswith(("#", "data:")), (tag, name)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\((?!#)", text)


def test_pictures_say_what_they_show(shards: list[Any]) -> None:
    page = page_of(shards)
    pictures = [named for tag, named in page.tags if tag == "svg" and named.get("role") == "img"]
    assert len(pictures) > 8
    assert all(len(named["aria-label"] or "") > 10 for named in pictures)
    ids = [named["id"] for _, named in page.tags if "id" in named]
    assert len(ids) == len(set(ids))
    for _, named in page.tags:
        wanted = named.get("aria-labelledby") or (named.get("href") or "").removeprefix("#")
        assert not wanted or wanted.startswith("data:") or wanted in ids


def test_the_same_shard_gives_the_same_page(shards: list[Any]) -> None:
    manifest, rows = shards[-1]
    past = [m for m, _ in shards]
    one = report.render(manifest, rows, past, period_ms=PERIOD_MS)
    other = report.render(manifest, rows, past[::-1], period_ms=PERIOD_MS)
    assert one == other
    early, its = shards[3]
    now = Page(report.render(early, its, past, period_ms=PERIOD_MS))
    assert {of for name, of in now.facts if name == "past_records"} == {
        str(m.window) for m, _ in shards[:4]
    }


def test_without_rows_no_text_is_in_the_page(shards: list[Any]) -> None:
    manifest, rows = shards[-1]
    page = Page(report.render(manifest, None, period_ms=PERIOD_MS))
    assert rows["text"][0] not in page.text
    assert "texts are left out" in page.text and manifest.rows_object in page.text


def test_every_refusal_has_plain_words() -> None:
    assert set(intake.REFUSED) == set(Reason) - {Reason.ACCEPTED}


def test_the_tables_show_the_heaviest_and_the_least_plausible(shards: list[Any]) -> None:
    for manifest, rows in shards:
        chosen = examples.valuable(rows)
        weights = [rows["weight"][row] for row in chosen]
        assert weights == sorted(weights, reverse=True)
        assert len(chosen) == min(manifest.arms["selected"], examples.SHOWN)
        doubtful = examples.suspicious(rows, manifest.suspect_below)
        values = [rows["plausibility"][row] for row in doubtful]
        border = 1.0 if manifest.suspect_below is None else manifest.suspect_below / 4096
        assert values == sorted(values) and all(value < border for value in values)


@pytest.fixture
def session() -> Session:
    world = World()
    world.loop(ListSource(*stream_of(1))).run()
    streams = io.StringIO(), io.StringIO()
    console = Console(ManualClock(), errors=streams[0], output=streams[1])
    config = Config(Kind("memory"), Kind("replay"))
    return Session(config, console, ManualClock(), Registry(world.store))


def test_the_command_writes_the_page_of_a_shard(session: Session, tmp_path: Path) -> None:
    windows = [int(n.split("/")[1]) for n in session.registry.store.list("shards/")][::2]
    path = tmp_path / "page.html"
    command.write(session, "last", path, windows=4)
    page = Page(path.read_text(encoding="utf-8"))
    manifest = session.registry.manifest(windows[-1])
    check_facts(page, manifest)
    past = {of for name, of in page.facts if name == "past_records"}
    assert past == {str(window) for window in windows[-4:]}
    texts = tables.decode(session.registry.store.get(manifest.rows_object))[0]["text"]
    assert all(text in page.text for text in texts[:3])
    command.write(session, str(windows[2]), path, windows=1, texts=False)
    page = Page(path.read_text(encoding="utf-8"))
    assert page.exact("window") == str(windows[2]) and "texts are left out" in page.text
    with pytest.raises(Fatal, match="cannot write"):
        command.write(session, "last", tmp_path / "no" / "page.html")
    with pytest.raises(Fatal, match="no shard"):
        command.write(session, "99", path)
