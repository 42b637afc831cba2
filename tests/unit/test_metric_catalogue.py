"""The catalogue: names, labels that are closed or bounded, and nothing beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.learning.rules import OTHER
from daemon.metrics import groups
from daemon.metrics.catalogue import CATALOGUE, GROUPS, LEAST_MEMBERS, Series
from daemon.metrics.values import Values


def test_series_outside_the_catalogue_cannot_come_into_being() -> None:
    values = Values(CATALOGUE)
    with values as now:
        with pytest.raises(KeyError):
            now.add("sluice_undocumented_total", 1)
        with pytest.raises(KeyError, match="no such value of label reason"):
            now.add("sluice_refusals_total", 1, "a text")
        with pytest.raises(ValueError, match="zip"):
            now.put("sluice_lag_records", {("u/0", "more"): 1})


@pytest.mark.parametrize("series", CATALOGUE, ids=lambda series: series.name)
def test_names_and_labels_follow_the_rules(series: Series) -> None:
    assert series.name.startswith("sluice_")
    assert series.name.endswith("_total") is (series.type == "counter")
    assert series.help.endswith(".") and "|" not in series.help
    for label in series.labels:
        assert bool(label.values) is not bool(label.bound), "closed, or bounded, and said which"
    if series.type != "gauge":
        assert not series.absent, "counters exist from the start"


NAMES = st.text(max_size=6)


@given(
    st.lists(NAMES, max_size=40), st.dictionaries(NAMES, st.integers(0, 10**6), max_size=60),
    st.dictionaries(NAMES, st.integers(0, 40), max_size=60),
)  # fmt: skip
def test_only_classes_with_enough_records_are_shown(
    classes: list[str], remembered: dict[str, int], records: dict[str, int]
) -> None:
    names = groups.shown(classes, remembered, records)
    assert names <= set(classes) - {OTHER} and len(names) <= GROUPS
    assert all(records[name] >= LEAST_MEMBERS for name in names)
    told = groups.folded(records, names)
    assert sum(told.values()) == sum(records.values())
    assert set(told) <= names | {OTHER}
    assert sum(groups.known(records, classes).values()) == sum(records.values())
    assert set(groups.known(records, classes)) <= set(classes) | {OTHER}
