"""What the kinds that a configuration names say of it: that they exist, and fit each other.

Scores and policies are built, which costs nothing; of stores, sources and reservoirs only the
options are checked, for building one may touch the world.
"""

from __future__ import annotations

import importlib
from collections.abc import Generator, Iterator, Sequence
from typing import cast

import msgspec
from msgspec import UnsetType

from daemon.config import cascade
from daemon.config.faults import faults, nearest
from daemon.config.settings import Config
from daemon.policy import Kind, Policy
from scoring import types
from scoring.kinds import BadOptions, NoOptions, UnknownKind, load, names


def kind_faults(config: Config) -> Iterator[str]:
    """One line for each kind that does not exist, whose options do not fit, or that misfits."""
    policy = config.policy
    yield from _kind("daemon.stores", config.store, "store")
    yield from _kind("daemon.sources", config.source, "source")
    for name in ("dead_letters", "announcements"):
        if (outlet := getattr(config, name).outlet) is not None:
            yield from _kind("daemon.outlets", outlet, f"{name}.outlet")
    yield from _kind("scoring.models", Kind(policy.engine.kind), "policy.engine")
    yield from _kind("buffers", policy.reservoir, "policy.reservoir")
    computed = [score.kind for score in policy.scores]
    if (yield from _stage(policy.scores, policy.select, "policy")):
        yield from _select_faults(_weigher(policy.select), policy, computed, "policy")
    if isinstance(second := policy.cascade, UnsetType):
        return
    if (yield from _stage(second.scores, second.select, "policy.cascade")):
        computed += [score.kind for score in second.scores]
        made = [load("scoring.scores", score.kind, score.options) for score in second.scores]
        yield from cascade.scores_faults([cast(types.Score, score) for score in made])
        yield from _select_faults(_weigher(second.select), policy, computed, "policy.cascade")


def kind_advice(policy: Policy) -> Iterator[str]:
    """Lines for kinds that work, but perhaps not as their author thinks."""
    if not isinstance(second := policy.cascade, UnsetType):
        yield from cascade.advice(_weigher(policy.select), _weigher(second.select))


def _stage(scores: Sequence[Kind], select: Kind, path: str) -> Generator[str, None, bool]:
    """Lines for what is wrong of a stage's kinds; in the end, whether none was."""
    lines = [
        line
        for i, score in enumerate(scores)
        for line in _built("scoring.scores", score, f"{path}.scores[{i}]")
    ]
    lines += _built("scoring.policies", select, f"{path}.select")
    yield from lines
    return not lines


def _weigher(kind: Kind) -> types.Policy:
    return cast(types.Policy, load("scoring.policies", kind.kind, kind.options))


def _kind(package: str, kind: Kind, path: str) -> Iterator[str]:
    """A kind exists, and its options fit its struct."""
    available = names(package)
    if kind.kind not in available:
        near = nearest(kind.kind, available) or f"; there are {', '.join(available)}"
        yield f"{path}.kind: there is no such kind in {package.replace('.', '/')}{near}"
        return
    try:
        module = importlib.import_module(f"{package}.{kind.kind}")
    except ImportError as error:
        yield f"{path}.kind: needs the library {error.name}, which is not installed"
        return
    shape = getattr(module, "Options", NoOptions)
    wrong = list(faults(kind.options, shape, f"{path}.options"))
    yield from wrong
    if not wrong:
        try:
            msgspec.convert(dict(kind.options), shape)
        except msgspec.ValidationError as error:  # what the struct says of itself: `key: fault`
            yield f"{path}.options.{error}"


def _built(package: str, kind: Kind, path: str) -> Iterator[str]:
    """As `_kind`, and `build` accepts the options."""
    wrong = list(_kind(package, kind, path))
    yield from wrong
    if wrong:
        return
    try:
        load(package, kind.kind, kind.options)
    except UnknownKind as error:  # of another kind that the options name
        near = f"; did you mean {error.nearest}?" if error.nearest else ""
        yield f"{path}.options: names no kind that there is: {', '.join(error.available)}{near}"
    except (BadOptions, ValueError) as error:
        yield f"{path}.options: {' '.join(str(error).split())}"


def _select_faults(
    select: types.Policy, policy: Policy, computed: Sequence[str], path: str
) -> Iterator[str]:
    for name in select.reads:
        if name not in computed:
            yield (
                f"{path}.select: weighs {name}, which {path}.scores does not compute"
                f"{nearest(name, computed)}"
            )
    if policy.identity == "id":
        return
    if not select.key_only:
        yield (
            f"policy.identity: is {policy.identity}, but the weight of this policy varies between "
            "records of one text, so what is kept would depend on their order; use identity id"
        )
    elif select.reads_label and policy.groups.by[:1] != ("label",):
        yield (
            "policy.groups.by: does not begin with label, but the policy reads the label, so two "
            "records of one text and group could weigh differently; begin with label, or use "
            "identity id"
        )
