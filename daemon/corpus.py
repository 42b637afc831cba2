"""A corpus: utterances with their true intents, in three splits, read from public formats.

Every error names a file and a line, never what stands there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from daemon.ports import EXIT_CONFIG, Fatal

SPLITS = ("train", "valid", "test")
HALVED = "half of a character stands there, such as \\ud83d alone: write the whole one"
UNREADABLE = "it nests too deeply, or holds a number of thousands of digits"
_ALIASES: Mapping[str, str] = {
    "train": "train", "valid": "valid", "val": "valid", "dev": "valid", "test": "test",
}  # fmt: skip


class Row(NamedTuple):
    """One utterance. `tags`: a BIO tag per word (words are separated by spaces), if known."""

    text: str
    intent: str
    tags: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Corpus:
    """Three splits of rows; `train` holds at least two intents."""

    train: tuple[Row, ...]
    valid: tuple[Row, ...]
    test: tuple[Row, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The intents of the train split, sorted."""
        return tuple(sorted({row.intent for row in self.train}))


def corpus(pairs: Iterable[tuple[str, Row]], source: str) -> Corpus:
    """Sort (split, row) pairs into a corpus. Raises Fatal when it cannot train anything."""
    splits: dict[str, list[Row]] = {name: [] for name in SPLITS}
    for split, row in pairs:
        splits[split].append(row)
    made = Corpus(*(tuple(splits[name]) for name in SPLITS))
    if not made.train:
        raise _bad(source, "holds no training rows", "it is empty, or all rows are of other splits")
    if len(made.classes) < 2:
        raise _bad(source, "holds a single intent", "selection needs at least two")
    return made


def hashed_split(text: str) -> str:
    """80 % train, 10 % valid, 10 % test by the text alone: equal texts share a split."""
    tenth = hashlib.blake2b(text.encode(), digest_size=8).digest()[0] * 10 // 256
    return "train" if tenth < 8 else "valid" if tenth == 8 else "test"


def read(path: str | Path, *, keep_out_of_scope: bool = False) -> Corpus:
    """Read SNIPS or ATIS folders, CLINC150 JSON (a file, or its folder) or a JSONL file.

    `keep_out_of_scope`: CLINC150's out-of-scope rows become the intent `oos`, else they go.
    Raises Fatal (EXIT_CONFIG) with file and line.
    """
    place = Path(path)
    if place.is_dir():
        if (place / "data_full.json").is_file():
            return read(place / "data_full.json", keep_out_of_scope=keep_out_of_scope)
        return corpus(_folder(place), place.name)
    if not place.is_file():
        raise _bad(place.name, "does not exist", "give a folder or a file of utterances")
    if place.suffix == ".json":
        return corpus(_clinc(place, keep_out_of_scope), place.name)
    return corpus(_jsonl(place), place.name)


def _bad(where: str, what: str, hint: str) -> Fatal:
    return Fatal(f"{where} {what}", code=EXIT_CONFIG, hint=hint)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")  # with or without a BOM
    except OSError:
        raise _bad(path.name, "cannot be read", "check its path and permissions") from None
    except UnicodeDecodeError:
        raise _bad(path.name, "is not UTF-8", "convert it first") from None


def _folder(place: Path) -> Iterator[tuple[str, Row]]:
    """`{split}/{seq.in,seq.out,label}` or `{split}.{seq.in,seq.out,label}`; seq.out may miss."""
    for split in SPLITS:
        dot = "/" if (place / split).is_dir() else "."
        if not (place / f"{split}{dot}seq.in").is_file():
            hint = "a folder needs train, valid and test with seq.in and label"
            raise _bad(f"{place.name}/{split}{dot}seq.in", "does not exist", hint)
        yield from _split(place, f"{split}{dot}", split)


def _split(place: Path, stem: str, split: str) -> Iterator[tuple[str, Row]]:
    texts = _trimmed(place / f"{stem}seq.in")
    intents = _trimmed(place / f"{stem}label")
    tagged = (place / f"{stem}seq.out").is_file()
    tags = _trimmed(place / f"{stem}seq.out") if tagged else [""] * len(texts)
    if not len(texts) == len(intents) == len(tags):
        raise _bad(f"{place.name}/{stem}*", "differ in their number of lines", "they are parallel")
    for number, (text, intent, tag) in enumerate(zip(texts, intents, tags, strict=True), start=1):
        words, spans = text.split(), tuple(tag.split())
        if not words or not intent.strip():
            raise _bad(f"{place.name}/{stem}*", f"is empty in line {number}", "give both")
        if tagged and len(spans) != len(words):
            hint = "seq.out has one tag per word of seq.in"
            raise _bad(f"{place.name}/{stem}seq.out", f"does not fit in line {number}", hint)
        yield split, Row(" ".join(words), intent.strip(), spans if tagged else None)


def _trimmed(path: Path) -> list[str]:
    """Lines without the empty ones that end the file."""
    lines = _lines(path)
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def _clinc(path: Path, keep_out_of_scope: bool) -> Iterator[tuple[str, Row]]:
    """{"train": [[text, intent], ...], "val": ..., "test": ..., "oos_train": ...}."""
    try:
        data = json.loads("\n".join(_lines(path)))
    except json.JSONDecodeError as error:
        raise _bad(path.name, f"is no JSON from line {error.lineno}", "fetch it again") from None
    except (ValueError, RecursionError):
        raise _bad(path.name, "cannot be read as JSON", UNREADABLE) from None
    if not isinstance(data, dict):
        raise _bad(path.name, "is not an object of splits", "see CLINC150's data_full.json")
    for name, rows in data.items():
        split = _ALIASES.get(str(name).removeprefix("oos_"))
        if split is None or not isinstance(rows, list):
            raise _bad(path.name, "has a split that is unknown or no list", "train, val and test")
        if str(name).startswith("oos_") and not keep_out_of_scope:
            continue
        for number, row in enumerate(rows, start=1):
            if not (isinstance(row, list) and len(row) == 2 and all(map(_filled, row))):
                hint = "a row is [text, intent]"
                raise _bad(f"{path.name} split {split}", f"is wrong in row {number}", hint)
            if not all(map(_written, row)):
                raise _bad(f"{path.name} split {split}", f"is wrong in row {number}", HALVED)
            yield split, Row(" ".join(row[0].split()), row[1])


def _filled(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _written(text: str) -> bool:
    """UTF-8 can write it. JSON can escape half of a character, which nothing can write."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _jsonl(path: Path) -> Iterator[tuple[str, Row]]:
    """Lines of {"text", "intent", "tags"?, "split"?}; a missing split is hashed."""
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        where = f"is wrong in line {number}"
        try:
            value = json.loads(line)
        except json.JSONDecodeError:
            raise _bad(path.name, where, "it is no JSON") from None
        except (ValueError, RecursionError):
            raise _bad(path.name, where, UNREADABLE) from None
        if not isinstance(value, dict):
            raise _bad(path.name, where, "it is no object")
        if not (_filled(value.get("text")) and _filled(value.get("intent"))):
            raise _bad(path.name, where, "text and intent are strings that are not empty")
        text, tags, split = " ".join(value["text"].split()), value.get("tags"), value.get("split")
        if tags is not None and not _fits(tags, text):
            raise _bad(path.name, where, "tags is a list with one string per word")
        if split is not None and (not isinstance(split, str) or split not in _ALIASES):
            raise _bad(path.name, where, "split is train, valid or test")
        if not all(map(_written, (text, value["intent"], *(tags or ())))):
            raise _bad(path.name, where, HALVED)
        chosen = hashed_split(text) if split is None else _ALIASES[split]
        yield chosen, Row(text, value["intent"].strip(), None if tags is None else tuple(tags))


def _fits(tags: Any, text: str) -> bool:
    return (
        isinstance(tags, list)
        and len(tags) == len(text.split())
        and all(isinstance(tag, str) for tag in tags)
    )
