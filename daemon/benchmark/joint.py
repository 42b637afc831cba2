"""The benchmark of joint training: what is asked for, checked, measured and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from daemon.benchmark import courses, trial_pages, trial_tables, trials
from daemon.benchmark.lessons import SETTINGS
from daemon.benchmark.pages import Run
from daemon.benchmark.trials import Plan, measure
from daemon.corpus import Corpus
from daemon.ports import EXIT_CONFIG, Fatal, Store

__all__ = ["Asked", "files", "measure", "plan", "size"]


class Asked(NamedTuple):
    """What a user said; None: what is planned."""

    settings: Sequence[str] | None
    arms: Sequence[str] | None
    budgets: Sequence[float] | None
    seeds: int
    rows: int  # of the train split
    epochs: int
    layers: int  # of the encoder


def plan(asked: Asked, corpora: Mapping[str, Corpus]) -> Plan:
    """Raises Fatal for names that do not exist, and for corpora without tags."""
    settings = tuple(asked.settings or courses.PLANNED)
    _known("scenario", settings, tuple(SETTINGS))
    _known("arm", asked.arms or (), tuple(courses.arms()))
    for name, corpus in corpora.items():
        splits = (corpus.train, *(getattr(corpus, split) for split in trials.ASKED))
        if any(not rows or any(row.tags is None for row in rows) for rows in splits):
            hint = "Give train, valid and test rows, each with `tags`: one for each word"
            raise Fatal(f"{name} has no rows or no tags in a split", code=EXIT_CONFIG, hint=hint)
    arms = {setting: asked.arms or courses.PLANNED[setting] for setting in settings}
    return Plan(arms, asked.budgets or courses.BUDGETS, *asked[3:])


def size(asked: Plan, corpora: Mapping[str, Corpus]) -> int:
    """Trials."""
    return len(list(trials.keys(asked, tuple(corpora))))


def files(store: Store, corpora: Sequence[str], run: Run) -> dict[str, str]:
    """Of all trials that lie in the store for these corpora: the page, and its test lines."""
    lines, valid = (trial_tables.lines(store, corpora, split) for split in ("test", "valid"))
    data = msgspec.json.format(msgspec.json.encode(lines), indent=1).decode()
    return {"joint.md": trial_pages.page(lines, valid, run), "joint.json": data}


def _known(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            hint = f"One of: {', '.join(known)}"
            raise Fatal(f"there is no {what} {name}", code=EXIT_CONFIG, hint=hint)
