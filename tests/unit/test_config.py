"""Every bad configuration and the line that its author sees."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config.reader import FILE_BYTES_MAX, Config, ConfigError, load, parse
from daemon.config.sanity import advice
from daemon.config.settings import period_ms, period_text
from daemon.ports import EXIT_CONFIG

STORE = "store: {kind: local, options: {path: /s}}\n"
SOURCE = "source: {kind: replay, options: {path: /r}}\n"
BASE = STORE + SOURCE

# what follows BASE in the file, and the whole message
TYPED = {
    "polcy: {}": "polcy: unknown key, it would change nothing; did you mean policy?",
    "policy: {groups: {floor_row: 2}}": "policy.groups.floor_row: unknown key, it would change "
    "nothing; did you mean floor_rows?",
    "policy: {zebra: 2}": "policy.zebra: unknown key, it would change nothing",
    '"a\\nb": 2': "(unprintable): unknown key, it would change nothing",
    "policy:": "policy: expected a mapping, found nothing; leave the key out to get its defaults",
    "policy: [1]": "policy: expected a mapping, found a list; leave the key out to get its "
    "defaults",
    "policy: {reservoir: balanced}": "policy.reservoir: expected a mapping, found text; write "
    "{kind: NAME}",
    "policy: {reservoir: {}}": "policy.reservoir.kind: is missing and has no default",
    "policy: {capacity_rows: 0}": "policy.capacity_rows: must be at least 1, found 0",
    "policy: {capacity_rows: -5}": "policy.capacity_rows: must be at least 1, found -5",
    'policy: {capacity_rows: "5"}': "policy.capacity_rows: expected a whole number, found text; "
    "write digits, without quotes, leading zeros or underscores",
    "policy: {capacity_rows: 1_000}": "policy.capacity_rows: expected a whole number, found text; "
    "write digits, without quotes, leading zeros or underscores",
    "policy: {capacity_rows: 012}": "policy.capacity_rows: expected a whole number, found text; "
    "write digits, without quotes, leading zeros or underscores",
    "policy: {capacity_rows: 1.5}": "policy.capacity_rows: expected a whole number, found 1.5",
    "policy: {capacity_rows: true}": "policy.capacity_rows: expected a whole number, found true",
    "policy: {capacity_rows: {}}": "policy.capacity_rows: expected a whole number, found a mapping",
    "policy: {quarantine: {cap: 1.5}}": "policy.quarantine.cap: must be at most 1, found 1.5",
    "policy: {quarantine: {cap: .nan}}": "policy.quarantine.cap: expected a number, found text",
    "policy: {identity: true}": "policy.identity: expected one of text, id, near, near-en, found "
    "true; put it in quotes",
    "policy: {identity: txt}": "policy.identity: expected one of text, id, near, near-en; did you "
    "mean text?",
    "policy: {semantics: 9}": "policy.semantics: can only be 1, found 9",
    "policy: {key_id: 7}": "policy.key_id: expected text, found 7; put it in quotes",
    "policy: {key_id: K_1}": "policy.key_id: must match the pattern ^[a-z0-9-]{1,32}$",
    "policy: {record: {id: ''}}": "policy.record.id: must be at least 1 characters long",
    "policy: {record: {signals: {barge: a..b}}}": "policy.record.signals.barge: must match the "
    "pattern ^[^.\\s]+(\\.[^.\\s]+)*$",
    "policy: {groups: {by: label}}": "policy.groups.by: expected a list, found text; put it in "
    "[brackets]",
    "policy: {groups: {by: [label, lable]}}": "policy.groups.by[1]: expected one of label, "
    "hypothesis, argmax; did you mean label?",
    "process: {threads: 0}": "process.threads: must be at least 1, found 0",
    "stream: {period: 0}": "stream.period: must be at least one second, or no window would ever "
    "end",
    "stream: {period: -3}": "stream.period: must be at least one second, or no window would ever "
    "end",
    "stream: {period: 40d}": "stream.period: must be at most 31d: a crash costs up to one window "
    "of scoring",
    "stream: {period: 1h30m}": "stream.period: is no period: write 30s, 5m, 1h, 1d, or whole "
    "seconds",
    "stream: {period: true}": "stream.period: is no period: write 30s, 5m, 1h, 1d, or whole "
    "seconds",
}

YAML = {
    "a: &x [1]\nb: [*x, *x]": "line 1, column 4: anchors and aliases are refused",
    "b: *x": "line 1, column 4: anchors and aliases are refused",
    "policy: {}\npolicy: {}": "line 2, column 1: this key was given before, one of the two would "
    "be lost",
    "a: {b: 1, 'b': 2}": "line 1, column 11: this key was given before, one of the two would be "
    "lost",
    "a: !!python/object/apply:os.getcwd []": "line 1, column 4: tags (!) are refused",
    "a: !!set {x}": "line 1, column 4: tags (!) are refused",
    "1: 2": "line 1, column 1: a key must be text, put it in quotes",
    "? [a]\n: 1": "line 1, column 3: a key must be text, put it in quotes",
    "[" * 5_000: "line 1, column 17: nested more than 16 deep",
    "a: 1\n---\nb: 2": "line 2, column 1: expected a single document in the stream, but found "
    "another document",
    "a: [1": "line 1, column 6: while parsing a flow sequence, expected ',' or ']', but got "
    "'<stream end>'",
    "a: \x07": "the file holds characters that YAML does not allow",
    "just words": "the file: expected a mapping, found text",
    "x" * (FILE_BYTES_MAX + 1): "the file is larger than 1 MiB, no configuration is",
    "": "store: is missing and has no default\nsource: is missing and has no default",
}


def message(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert caught.value.code == EXIT_CONFIG
    return str(caught.value)


@pytest.mark.parametrize("text", TYPED)
def test_a_wrong_value_is_named_with_its_place(text: str) -> None:
    assert message(BASE + text) == TYPED[text]


@pytest.mark.parametrize("text", YAML, ids=range(len(YAML)))
def test_text_that_is_not_plain_yaml_is_refused(text: str) -> None:
    assert message(text) == YAML[text]


def test_all_faults_are_told_at_once() -> None:
    lines = message("store: local\npolicy: {identity: 3, arms: {audit_rows: -1}}\nx: y").split("\n")
    assert [line.split(":")[0] for line in lines] == [
        "x",
        "store",
        "source",
        "policy.identity",
        "policy.arms.audit_rows",
    ]


@given(st.text(max_size=80))
def test_any_text_is_a_configuration_or_a_fault(text: str) -> None:
    try:
        config = parse(text)
    except ConfigError as error:
        assert error.faults
        assert all(line.isprintable() for line in error.faults)  # also: one line each
    else:
        assert isinstance(config, Config)


@given(
    st.sampled_from(["policy", "stream", "keys", "x"]), st.text("sesame '\":{}[]\n#", min_size=9)
)
def test_a_misplaced_secret_is_not_repeated(key: str, noise: str) -> None:
    secret = "open-sesame-4711"
    try:
        parse(f"{BASE}{key}: {noise}{secret}\n")
    except ConfigError as error:
        assert secret not in str(error)


def test_scalars_are_those_of_yaml_1_2() -> None:
    config = parse(BASE + "policy: {record: {locale: no, user: on}, quarantine: {cap: 2e-1}}")
    assert (config.policy.record.locale, config.policy.record.user) == ("no", "on")
    assert config.policy.quarantine.cap == 0.2


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [("5m", 300_000), ("300", 300_000), ("90s", 90_000), ("1h", 3_600_000), ("31d", 2_678_400_000)],
)
def test_periods(text: str, expected_ms: int) -> None:
    assert parse(f"{BASE}stream: {{period: {text}}}").stream.period_ms == expected_ms


@given(st.integers(1, 31 * 86_400))
def test_a_period_is_read_as_it_is_written(seconds: int) -> None:
    assert period_ms(period_text(seconds * 1_000)) == period_ms(seconds) == seconds * 1_000


def test_load_names_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    good, latin = tmp_path / "good.yaml", tmp_path / "latin.yaml"
    good.write_text(BASE)
    latin.write_bytes(b"a: \xe9")
    assert load(good) == parse(BASE)
    assert not list(advice(load(good)))
    for path, reason in (
        (latin, "the configuration file is not UTF-8"),
        (tmp_path / "none", "the configuration file cannot be read: No such file or directory"),
        (tmp_path, "the configuration file cannot be read: Is a directory"),
    ):
        with pytest.raises(ConfigError, match=f"^{reason}$"):
            load(path)
