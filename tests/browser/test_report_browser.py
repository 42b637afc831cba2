"""The report in a real browser: complete, silent, within the screen, and usable by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from daemon import tables
from daemon.monitors.noise import wilson
from daemon.registry.registry import Registry
from daemon.report import render
from daemon.shards.shard import ShardManifest
from tests.browser.chromium import Tab, browser
from tests.streams import PERIOD_MS, ListSource, World, stream_of

FACTS = """[...document.querySelectorAll('data[data-fact]')].map(
    f => [f.dataset.fact, f.dataset.of || '', f.value, f.textContent])"""
ORDER = "[...document.querySelectorAll('tr[data-row=valuable]')].map(r => r.cells[{}].dataset.key)"
OPEN_ALL = "document.querySelectorAll('details').forEach(d => { d.open = true; })"
# what sticks out of the window on either side, by tag
OUTSIDE = """[...document.querySelectorAll('main *, header *')].filter(e => {
    if (e.closest('.scroll, .unseen') || e.tagName === 'title') return false;
    const box = e.getBoundingClientRect();
    return box.width > 0 && (box.left < -1 || box.right > innerWidth + 1);
}).map(e => e.outerHTML.slice(0, 40))"""
PARTS_OF_RGB = "getComputedStyle(document.body)['{}'].match(/[0-9.]+/g).slice(0, 3).map(Number)"
WORDS = (
    "<script>document.title = 'stolen'</script>", "<img src=x onerror=\"document.title='stolen'\">",
    "\u202egnorw\u202c and \u2066more", "x" * 500, "\U0001f469\u200d\U0001f680" * 40,
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 mixed", "Z\u0351\u036b\u0343" * 150,
    "http://203.0.113.7/a.png", "snake_case_" * 12, "\x00\x07",
)  # fmt: skip


@dataclass(frozen=True)
class Pages:
    """A page of a plain shard and one of a hostile shard."""

    manifest: ShardManifest
    plain: Path
    hostile: Path


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    world, folder = World(), tmp_path_factory.mktemp("pages")
    world.loop(ListSource(*stream_of(1))).run()
    registry = Registry(world.store)
    past = [registry.manifest(window) for window in sorted(world.digests())]
    manifest = msgspec.structs.replace(past[-3], noise=wilson(40, 506))
    rows, _ = tables.decode(world.store.get(manifest.rows_object))
    rows["multiplicity"] = [9 + i * 7 % 100 for i in range(len(rows["id"]))]  # sorts as numbers
    evil = [WORDS[i % len(WORDS)] for i in range(len(rows["id"]))]
    bad_rows = {**rows, **dict.fromkeys(("id", "text", "group", "label", "argmax", "lane"), evil)}
    sizes = {word: 3 + i for i, word in enumerate((*WORDS, *map(str, range(30))))}
    bad = msgspec.structs.replace(manifest, traffic=sizes, kept=sizes)
    made = Pages(manifest, folder / "plain.html", folder / "hostile.html")
    for path, m, its in ((made.plain, manifest, rows), (made.hostile, bad, bad_rows)):
        text = render(m, its, past, period_ms=PERIOD_MS)
        path.write_text(text, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def facts(tab: Tab) -> dict[tuple[str, str], tuple[str, str]]:
    return {(name, of): (value, text) for name, of, value, text in tab.ask(FACTS)}


def test_the_reader_sees_the_figures_of_the_manifest(tab: Tab, pages: Pages) -> None:
    tab.open(pages.plain)
    found, m = facts(tab), pages.manifest
    assert found["records", ""] == (str(m.counts["records"]), str(m.counts["records"]))
    assert found["selected", ""][0] == str(m.arms["selected"])
    assert found["noise", ""] == (repr(40 / 506), "7.9\u202f%")
    assert found["suspect_below", ""][0] == str(m.suspect_below)
    for name, sizes in (("traffic", m.traffic), ("kept", m.kept), ("arm", m.arms)):
        assert {of: int(v) for (n, of), (v, _) in found.items() if n == name and v != "0"} == sizes
    assert found["rows_digest", ""][0] == m.rows_digest
    title = f"Shard of window {m.window}"
    assert tab.ask("document.title") == title


def test_bars_are_as_long_as_the_shares(tab: Tab, pages: Pages) -> None:
    tab.open(pages.plain)
    rows = tab.ask("""[...document.querySelectorAll('.bars tbody tr')].map(r => [
        r.querySelector('bdi').textContent,
        ...[...r.querySelectorAll('rect')].map(b => b.getBoundingClientRect().width)])""")
    m = pages.manifest
    share = {
        name: (m.traffic.get(name, 0) / sum(m.traffic.values()),
               m.kept.get(name, 0) / sum(m.kept.values()))
        for name in {*m.traffic, *m.kept}
    }  # fmt: skip
    assert {row[0] for row in rows} == set(share)
    unit = max(width for row in rows for width in row[1:]) / max(map(max, share.values()))
    for name, before, after in rows:
        assert [before, after] == pytest.approx([unit * part for part in share[name]], abs=0.6)


@pytest.mark.parametrize("which", ["plain", "hostile"])
def test_nothing_is_loaded_and_nothing_complains(tab: Tab, pages: Pages, which: str) -> None:
    path = getattr(pages, which)
    tab.open(path)
    tab.ask(OPEN_ALL)
    assert [url for url in tab.requests() if not url.startswith("data:")] == [path.as_uri()]
    assert tab.complaints() == []
    assert "stolen" not in tab.ask("document.title")
    assert tab.ask("document.scripts.length") == 1
    assert tab.ask("document.images.length") == 0


def test_the_policy_stops_what_is_not_of_the_page(tab: Tab, pages: Pages) -> None:
    tab.open(pages.plain)
    tab.ask("""{ const s = document.createElement('script'); s.textContent = 'stolen = 1';
        document.body.append(s); const i = new Image(); i.src = 'https://203.0.113.7/a.png'; }""")
    assert tab.ask("typeof stolen") == "undefined"
    assert any("Content Security Policy" in line for line in tab.complaints())


@pytest.mark.parametrize("width", [320, 360, 700, 980, 1600])
def test_every_screen_is_wide_enough(tab: Tab, pages: Pages, width: int) -> None:
    for path in (pages.plain, pages.hostile):
        tab.open(path, width)
        tab.ask(OPEN_ALL)
        assert tab.ask("[innerWidth, document.documentElement.scrollWidth]") == [width, width]
        assert tab.ask(OUTSIDE) == []


def test_dark_and_light_follow_the_reader(tab: Tab, pages: Pages) -> None:
    sums = []
    for scheme in ("light", "dark"):
        tab.open(pages.plain, prefers_color_scheme=scheme)
        sums.append([sum(tab.ask(PARTS_OF_RGB.format(c))) for c in ("backgroundColor", "color")])
    (light_paper, light_ink), (dark_paper, dark_ink) = sums
    assert light_paper > 700 > light_ink and dark_ink > 600 and dark_paper < 100


def test_it_prints(tab: Tab, pages: Pages) -> None:
    tab.open(pages.plain, prefers_color_scheme="dark")
    printed = tab.pdf()
    assert printed.startswith(b"%PDF") and len(printed) > 10_000
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    tab.call("Emulation.setEmulatedMedia", media="print", features=dark)
    assert tab.ask("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert sum(tab.ask(PARTS_OF_RGB.format("backgroundColor"))) == 3 * 255
    assert sum(tab.ask(PARTS_OF_RGB.format("color"))) < 200
    unfolded = "document.querySelector('details .scroll').getBoundingClientRect().height > 20"
    assert tab.ask(unfolded)
    tab.call("Emulation.setEmulatedMedia", media="")


def test_tables_are_sorted_and_filtered_by_keyboard(tab: Tab, pages: Pages) -> None:
    tab.open(pages.plain)
    table = "document.querySelector('table[data-sortable]')"
    before = tab.ask(ORDER.format(6))
    assert before != sorted(before, key=float)
    for wanted, key, code in (("ascending", "Enter", 13), ("descending", "Space", 32)):
        tab.ask(f"{table}.tHead.rows[0].cells[6].firstChild.focus()")
        tab.press(key, code)
        assert tab.ask(f"{table}.tHead.rows[0].cells[6].ariaSort") == wanted
        values = [float(value) for value in tab.ask(ORDER.format(6))]
        assert values == sorted(values, reverse=wanted == "descending")
    assert sorted(before) == sorted(tab.ask(ORDER.format(6)))
    first = tab.ask(ORDER.format(0))[0]
    tab.ask("document.querySelector('.filter input').focus()")
    tab.call("Input.insertText", text=first.upper())
    shown = f"[...{table}.tBodies[0].rows].filter(r => !r.hidden).map(r => r.cells[0].dataset.key)"
    assert set(tab.ask(shown)) == {first}
    assert "rows" in tab.ask("document.querySelector('.filter output').textContent")


def test_the_tab_key_reaches_everything_that_can_be_used(tab: Tab, pages: Pages) -> None:
    tab.open(pages.plain)
    usable = tab.ask("document.querySelectorAll('a, button, input, summary').length")
    seen = set()
    for _ in range(3 * usable):
        tab.press("Tab", 9)
        seen.add(tab.ask("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
    reached = tab.ask(f"""[...document.querySelectorAll('a, button, input, summary')].filter(
        e => {sorted(seen)}.includes([...document.querySelectorAll('*')].indexOf(e))).length""")
    assert reached == usable


def test_the_page_is_whole_without_its_script(tab: Tab, pages: Pages) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    tab.open(pages.plain)
    tab.call("Emulation.setScriptExecutionDisabled", value=False)
    assert tab.ask("document.querySelectorAll('button, input').length") == 0
    assert tab.ask("document.querySelectorAll('tr[data-row]').length") > 5
    assert facts(tab)["records", ""][0] == str(pages.manifest.counts["records"])


def test_a_picture_has_a_name_for_those_who_do_not_see_it(tab: Tab, pages: Pages) -> None:
    tab.open(pages.plain)
    tree: list[dict[str, Any]] = tab.call("Accessibility.getFullAXTree")["nodes"]
    images = [n for n in tree if n.get("role", {}).get("value") in ("image", "img")]
    named = [n for n in images if len(n.get("name", {}).get("value", "")) > 10]
    assert len(named) == len(images) > 8
    kinds = {n.get("role", {}).get("value") for n in tree}
    assert {"main", "navigation", "heading", "table", "row", "columnheader"} <= kinds
