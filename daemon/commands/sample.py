"""The files of rows that `sluice publish --sample` and `--trusted` name."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import msgspec

from daemon.ports import EXIT_CONFIG, Fatal
from daemon.registry.publish import Sample


class SampleRow(msgspec.Struct, frozen=True):
    """One line of a sample file."""

    text: str
    label: str | None = None
    locale: str | None = None  # language tag
    tags: tuple[str, ...] | str | None = None  # of each word, as a list or with blanks between


def with_trusted(sample: Sample, arguments: argparse.Namespace) -> Sample:
    """With the rows of `--trusted`, which score `influence` reads. Raises Fatal."""
    if not arguments.trusted:
        return sample
    return replace(sample, trusted=read_sample(Path(arguments.trusted)))


def read_sample(path: Path) -> Sample:
    """JSON lines. Raises Fatal naming the line, never what stands in it."""
    sample = Sample([], [], [])
    decoder = msgspec.json.Decoder(SampleRow)
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise Fatal(f"sample {path}: {error.strerror}", code=EXIT_CONFIG) from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Fatal(
                f"sample {path}, line {number} is no object with a text",
                code=EXIT_CONFIG,
                hint='one line each: {"text": "...", "label": "..."}',
            ) from None
        tags = tuple(row.tags.split()) if isinstance(row.tags, str) else row.tags
        if tags is not None and len(tags) != len(row.text.split()):
            raise Fatal(
                f"sample {path}, line {number} has {len(tags)} tags for {len(row.text.split())} "
                "words",
                code=EXIT_CONFIG,
                hint="one tag for each word, as white space cuts the text; or leave tags out",
            )
        sample.texts.append(row.text)
        sample.tags.append(tags)
        sample.labels.append(row.label)
        sample.locales.append(row.locale)
    return sample
