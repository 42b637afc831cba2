"""The page of scores and policies lists those that there are, as they describe themselves."""

from __future__ import annotations

import pytest

from daemon.commands.kinds import PACKAGES, told
from daemon.config.reader import parse
from daemon.config.sanity import advice
from scoring.catalogue import catalogue
from scoring.kinds import names
from scoring.scorer import SUPPLIERS
from tests.docs.small import blocks
from tests.docs.test_docs import cells

PAGE = "docs/scores.md"
PLACES = """
store: {kind: local, options: {path: /data/store}}
source: {kind: replay, options: {path: /data/recording}}
"""


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def test_scores_are_those_of_the_catalogue() -> None:
    expected = [
        [code(e.name), ", ".join(map(code, e.needs)), e.cost, e.source, e.summary]
        for e in catalogue()
    ]
    assert cells(PAGE, "score") == expected


def test_needs_are_those_that_can_be_supplied() -> None:
    assert cells(PAGE, "need") == [[code(need), by] for need, by in SUPPLIERS.items()]


def test_policies_are_those_of_their_folder() -> None:
    package = PACKAGES["policies"]
    expected = []
    for kind in names(package):
        options, summary = told(package, kind)
        expected.append([code(kind), code(options or ""), summary])
    assert cells(PAGE, "policy") == expected


@pytest.mark.parametrize("text", blocks(PAGE, "yaml"))
def test_the_examples_are_accepted_without_a_note(text: str) -> None:
    assert not list(advice(parse(PLACES + text)))
