"""What the configuration says of itself is what is checked."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from daemon.config.explain import EXAMPLE, schema, show
from daemon.config.reader import Config, ConfigError, parse
from daemon.config.settings import Process, Stream
from daemon.policy import Kind
from scoring.kinds import names

BARE = {"store": {"kind": "local"}, "source": {"kind": "replay"}}


def accepts(document: Any) -> bool:
    jsonschema.Draft202012Validator.check_schema(schema())
    return jsonschema.Draft202012Validator(schema()).is_valid(document)


def structs(kind: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """All structs below a struct, itself first."""
    found = [kind]
    for field in msgspec.structs.fields(kind):
        below = isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
        if below and field.type is not Kind:
            found += structs(field.type)
    return found


def test_what_is_shown_are_the_defaults() -> None:
    assert parse(show()) == EXAMPLE
    assert Config(store=EXAMPLE.store, source=EXAMPLE.source) == EXAMPLE
    assert EXAMPLE.stream.lag == 2 + EXAMPLE.stream.grace + EXAMPLE.stream.label_wait


def test_every_key_and_every_explanation_is_shown() -> None:
    shown = show()
    for struct in structs(Config):
        for line in (struct.__doc__ or "").strip().splitlines():
            assert f"# {line.strip()}\n" in shown
        for field in msgspec.structs.fields(struct):
            assert f"{field.encode_name}:" in shown
    for struct in (Stream, Process):
        for field in msgspec.structs.fields(struct):
            (description,) = [m.description for m in field.type.__metadata__ if m.description]
            assert description in shown
    assert f"kinds: {', '.join(names('scoring.scores'))}\n" in shown


def test_a_default_of_null_or_zero_says_what_it_means() -> None:
    """Both are words of this file alone: nobody can guess that 0 rows are as many as another."""
    found = 0
    for struct in structs(Config):
        for field in msgspec.structs.fields(struct):
            if field.default is None or (field.default == 0 and field.default is not False):
                word = "null" if field.default is None else "0: "
                metas = getattr(field.type, "__metadata__", ())
                said = [struct.__doc__ or "", *(meta.description or "" for meta in metas)]
                assert any(word in text for text in said), f"{struct.__name__}.{field.name}"
                found += 1
    assert found >= 10


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("  period: 5m", "length of a window: 30s, 5m, 1h, 1d, or whole seconds"),
        ("    margin: 1.0", "0.1 to 3"),
        (
            "  identity: text",
            "what is kept once; near, near-en: near repeats too; one of text, id, near, near-en",
        ),
        ("    by: [label, hypothesis, argmax]", "each one of label, hypothesis, argmax"),
        ("    label_source: annotated", "one of annotated, weak; or other text"),
        ("    minimum_answers: 50", "audit answers under which they say nothing; at least 1"),
        ("    random_rows: 0", "to compare with; 0: as many as capacity_rows; at least 0"),
        ("    kind: onnx", "kinds: onnx, table, torch"),
        ('  unicode: "14.0.0"', ""),
    ],
)
def test_a_comment_says_what_a_value_may_be(line: str, words: str) -> None:
    shown = show().replace(f'"{EXAMPLE.policy.unicode}"', '"14.0.0"')
    assert (f"\n{line}  # {words}\n" if words else f"\n{line}\n") in shown


def test_the_schema_accepts_what_is_shown_and_no_unknown_key() -> None:
    document = yaml.safe_load(show())
    assert accepts(document)
    assert accepts(BARE)
    for path in ((), ("stream",), ("policy",), ("policy", "groups"), ("store",)):
        wrong = copy.deepcopy(document)
        section = wrong
        for name in path:
            section = section[name]
        section["zebra"] = 1
        assert not accepts(wrong), path


@pytest.mark.parametrize("period", ["5m", "90s", 300, "0m", "5 m", 0, -1, True, None, "1h30m", 1.5])
def test_the_schema_and_the_reader_agree_on_periods(period: object) -> None:
    text = f"{show().split('stream:')[0]}stream: {{period: {msgspec.json.encode(period).decode()}}}"
    try:
        parse(text)
        allowed = True
    except ConfigError:
        allowed = False
    assert accepts({**BARE, "stream": {"period": period}}) is allowed


def test_the_schema_explains() -> None:
    made = schema()
    assert made["$defs"]["Stream"]["description"] == Stream.__doc__
    assert made["$defs"]["Stream"]["properties"]["lag"]["description"]
    assert made["$defs"]["Config"]["required"] == ["store", "source"]
    assert made["$defs"]["Config"]["properties"]["stream"]["default"]["period"] == "5m"
