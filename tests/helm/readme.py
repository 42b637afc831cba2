"""The table of values in the chart's README, from the comments in values.yaml.

`python -m tests.helm.readme` writes it there after a change of a value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from tests.helm.chart import CHART

PATH = CHART / "README.md"
BEGIN, END = "<!-- values: python -m tests.helm.readme -->\n", "<!-- end of values -->\n"
LINE = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z]+):(?: (?P<value>.*))?$")


class Row(NamedTuple):
    """A value: dotted path, default, and the comment above it."""

    path: str
    default: Any
    words: str


def rows() -> list[Row]:
    """Every value of values.yaml, in its order. A mapping with a comment is one value."""
    source = (CHART / "values.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(source)
    found: list[Row] = []
    inside: list[str] = []
    whole = -1  # the depth of a mapping that was told of as one value
    comment: list[str] = []
    for line in source.splitlines():
        if line.lstrip().startswith("#"):
            comment.append(line.strip().removeprefix("#").strip())
        elif match := LINE.match(line):
            depth = len(match["indent"]) // 2
            if whole >= 0 and depth > whole and not comment:
                continue
            whole = -1
            inside[depth:] = [match["key"]]
            default = _at(values, inside)
            if comment or match["value"]:
                found.append(Row(".".join(inside), default, " ".join(comment)))
                whole = depth if isinstance(default, dict) else -1
            comment = []
        else:
            comment = []  # an empty line: what was said belongs to the section
    return found


def _at(values: Any, path: list[str]) -> Any:
    for key in path:
        values = values[key]
    return values


def table() -> Iterator[str]:
    """Lines of Markdown."""
    yield "| value | default | meaning |"
    yield "|---|---|---|"
    for path, default, words in rows():
        yield f"| `{path}` | `{json.dumps(default)}` | {words.replace('|', chr(92) + '|')} |"


def text() -> str:
    """The README with its table made anew."""
    before, _, rest = PATH.read_text(encoding="utf-8").partition(BEGIN)
    return before + BEGIN + "\n" + "\n".join(table()) + "\n\n" + END + rest.partition(END)[2]


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
