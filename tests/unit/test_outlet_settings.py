"""Configurations of outlets that would do harm, and the line that their author sees."""

from __future__ import annotations

import pytest

from daemon.config.reader import parse
from tests.unit.test_config import BASE, SOURCE, STORE, message

KAFKA = (
    "source: {kind: kafka, options: {bootstrap: ['b:9092'], topics: [said], "
    "label_topics: [labels], group: g}}\n"
)
TO = "outlet: {kind: kafka, options: {bootstrap: ['b:9092'], topic: %s}}"
FILE = "outlet: {kind: file, options: {path: %s}}"

REFUSED = {
    f"dead_letters: {{{TO % 'said'}}}": "dead_letters.outlet.options.topic: is read by the "
    "source, so every message would come back as a record",
    f"announcements: {{{TO % 'labels'}}}": "announcements.outlet.options.topic: is read by the "
    "source, so every message would come back as a record",
    f"dead_letters: {{{TO % 'told'}}}\nannouncements: {{{TO % 'told'}}}": "announcements.outlet."
    "options: names the same place as dead_letters.outlet, readers could not tell letters from "
    "announcements",
    f"dead_letters: {{{FILE % '/v/a'}}}\nannouncements: {{{FILE % '//v/./a'}}}": "announcements."
    "outlet.options: names the same place as dead_letters.outlet, readers could not tell letters "
    "from announcements",
    f"dead_letters: {{{FILE % 'letters'}}}": "dead_letters.outlet.options.path: is no absolute "
    "path, it would depend on where sluice is started",
    f"dead_letters: {{{FILE % '/s/../s/letters'}}}": "dead_letters.outlet.options.path: lies in "
    "the folder of store.options.path, where only objects may lie",
    "dead_letters: {outlet: {kind: fil}}": "dead_letters.outlet.kind: there is no such kind in "
    "daemon/outlets; did you mean file?",
    "dead_letters: {outlet: {kind: file}}": "dead_letters.outlet.options.path: is missing and has "
    "no default",
    "dead_letters: {outlet: {kind: file, opts: {}}}": "dead_letters.outlet.opts: unknown key, it "
    "would change nothing; did you mean options?",
    "dead_letters: {outlet: file}": "dead_letters.outlet: expected a mapping, found text; write "
    "{kind: NAME}",
    "dead_letters: {outlet: {kind: kafka, options: {bootstrap: [], topic: t}}}": "dead_letters."
    "outlet.options.bootstrap: is empty",
    "dead_letters: {outlet: {kind: kafka, options: {bootstrap: ['b:1'], topic: t, security: "
    "{protocol: SASL_SSL, mechanism: PLAIN, username: u}}}}": "dead_letters.outlet.options."
    "security.password_file: is missing, protocol SASL_SSL needs it",
    "dead_letters: {breaker_share: 1.5}": "dead_letters.breaker_share: must be at most 1, found "
    "1.5",
    "dead_letters: {breaker_records: 0}": "dead_letters.breaker_records: must be at least 1, "
    "found 0",
    "announcements: {uri: shards}": "announcements.uri: must match the pattern "
    r"^([a-z][a-z0-9+.-]*://[^/\s]|file:///|/)\S*$",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_would_do_harm_is_refused(text: str) -> None:
    assert message(STORE + KAFKA + text) == REFUSED[text]


def test_both_outlets_beside_a_live_source() -> None:
    told = f"dead_letters: {{{TO % 'letters'}, payload: true}}\nannouncements: {{{TO % 'shards'}}}"
    config = parse(STORE + KAFKA + told)
    assert config.dead_letters.kept_bytes == 65_536
    assert parse(BASE).dead_letters.kept_bytes == 0, "what was said stays out unless asked for"
    parse(BASE + f"dead_letters: {{{FILE % '/var/log/letters'}}}")


@pytest.mark.parametrize(
    ("store", "uri", "base"),
    [
        ("{kind: local, options: {path: /s}}", "null", "/s"),
        ("{kind: bucket, options: {url: 's3://b/p/'}}", "null", "s3://b/p"),
        ("{kind: local, options: {path: /s}}", "https://h/x/", "https://h/x"),
        ("{kind: local, options: {path: /s}}", "file:///mnt/s", "file:///mnt/s"),
        ("{kind: memory}", "gs://b", "gs://b"),
    ],
)
def test_where_shards_are_announced(store: str, uri: str, base: str) -> None:
    text = f"store: {store}\n{SOURCE}announcements: {{{FILE % '/v/told'}, uri: {uri!r}}}"
    assert parse(text.replace("'null'", "null")).announced_base == base


def test_a_store_that_nobody_can_reach_cannot_be_announced() -> None:
    text = f"store: {{kind: memory}}\n{SOURCE}announcements: {{{FILE % '/v/told'}}}"
    assert message(text).startswith("announcements.uri: is missing")
