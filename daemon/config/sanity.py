"""What no type can say: settings that contradict each other, and what they would cause.

`faults` are refused. `advice` is printed by `sluice config check` and changes nothing. Both give
lines `path.to.key: what is wrong, what it would cause`.
"""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Iterator
from urllib.parse import urlsplit

from daemon.config import cascade, novelty, outlets, weak
from daemon.config.kindcheck import kind_advice, kind_faults
from daemon.config.settings import Config, Process, Stream
from daemon.learning.cascade import candidates
from daemon.policy import Groups, Kind, Policy, Rolling

PATH_OPTIONS = ("path", "folder", "root")  # options of stores and sources that name a folder
ROW_BYTES = 1024  # of a kept row beside its text: scores, ids, top probabilities
MEMORY_ADVICE_BYTES = 2 << 30


def faults(config: Config) -> Iterator[str]:
    """Lines for all that must be refused."""
    yield from _stream(config.stream)
    yield from _places(config)
    yield from outlets.faults(config)
    yield from _policy(config.policy)
    yield from weak.faults(config.policy)
    yield from novelty.faults(config.policy)
    yield from cascade.faults(config.policy)
    yield from kind_faults(config)


def advice(config: Config) -> Iterator[str]:
    """Lines for what works, but perhaps not as its author thinks."""
    yield from _group_advice(config.policy.groups, config.policy.capacity_rows)
    yield from _process_advice(config.process)
    yield from weak.advice(config.policy)
    yield from novelty.advice(config.policy, config.stream)
    yield from kind_advice(config.policy)
    policy = config.policy
    row_bytes = ROW_BYTES + 4 * policy.limits.text_chars
    if policy.pool * row_bytes > MEMORY_ADVICE_BYTES:
        yield (
            f"policy.capacity_rows: a lane keeps {policy.pool} rows of up to {row_bytes} bytes "
            f"in each open window, {policy.pool * row_bytes >> 30} GiB"
        )
    if policy.unicode != unicodedata.unidata_version:
        yield (
            f"policy.unicode: is not {unicodedata.unidata_version}, the tables of this image, "
            "which could not run an edition with this policy and would pause its lanes"
        )
    if policy.identity == "near-en" and policy.record.locale is None:
        yield (
            "policy.identity: near-en takes every text without a locale for English; map "
            "policy.record.locale where other languages are spoken, or take near"
        )
    if policy.arms.audit_rows == 0 and policy.quarantine.assumed_rate is None:
        yield (
            "policy.arms.audit_rows: 0 means that no answer ever measures the label noise, "
            "so nothing is quarantined; set quarantine.assumed_rate if you know it"
        )


def _stream(stream: Stream) -> Iterator[str]:
    least = 2 + stream.grace + stream.label_wait
    if stream.lag < least:
        yield (
            f"stream.lag: {stream.lag} is less than 2 + grace + label_wait = {least}, so idle "
            "lanes, labels, new partitions and learning could wait for each other in a circle"
        )


def _places(config: Config) -> Iterator[str]:
    """Folders are absolute, and the store lies in nobody else's folder."""
    store = dict(folders(config.store, "store"))
    others = dict(folders(config.source, "source"))
    for path, folder in {**store, **others}.items():
        if not folder.startswith("/"):
            yield f"{path}: is no absolute path, it would depend on where sluice is started"
    for path, folder in store.items():
        for other, its_folder in others.items():
            if _inside(folder, its_folder):
                yield (
                    f"{path}: lies in the folder of {other}, shards would be written "
                    "among the files that are read from it"
                )
    for name, kind in (("store", config.store), ("source", config.source)):
        url = kind.options.get("url")
        if isinstance(url, str) and not _names_bucket(url):
            yield f"{name}.options.url: names no bucket; write s3://BUCKET/PREFIX"


def folders(kind: Kind, name: str) -> Iterator[tuple[str, str]]:
    """(key, folder) of each option of a store or source that names one."""
    for option in PATH_OPTIONS:
        value = kind.options.get(option)
        if isinstance(value, str):
            yield f"{name}.options.{option}", value


def _inside(folder: str, other: str) -> bool:
    # POSIX leaves a double slash at the front alone, Linux does not
    inner, outer = ("/" + posixpath.normpath(name).lstrip("/") for name in (folder, other))
    return posixpath.commonpath((inner, outer)) == outer


def _names_bucket(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.scheme and parts.netloc)


def _policy(policy: Policy) -> Iterator[str]:
    learning, groups = policy.learning, policy.groups
    if learning.low_quantile >= learning.high_quantile:
        yield (
            f"policy.learning.low_quantile: {learning.low_quantile:g} is not below high_quantile "
            f"{learning.high_quantile:g}, every score would weigh the same"
        )
    if groups.cap_rows is not None and groups.floor_rows > groups.cap_rows:
        yield (
            f"policy.groups.floor_rows: {groups.floor_rows} is above cap_rows {groups.cap_rows}, "
            f"which wins: no group would keep more than {groups.cap_rows}"
        )
    if groups.floor_rows > policy.capacity_rows:
        yield (
            f"policy.groups.floor_rows: {groups.floor_rows} is above capacity_rows, the first "
            f"groups would share {policy.capacity_rows} rows and the others get none"
        )
    for name, names in (("scores", [s.kind for s in policy.scores]), ("groups.by", groups.by)):
        if len(set(names)) < len(names):
            yield f"policy.{name}: names a kind twice, the second would change nothing"
    if not groups.by:
        yield "policy.groups.by: is empty, so nothing would be balanced; take reservoir uniform"
    yield from _pools(policy, policy.rolling)


def _pools(policy: Policy, rolling: Rolling | None) -> Iterator[str]:
    if policy.pool_rows is not None and policy.pool_rows < policy.pool:
        rolled = rolling is not None and policy.pool == rolling.capacity_rows
        wants = "rolling.capacity_rows" if rolled else "capacity_rows"
        if policy.pool == candidates(policy.cascade):
            wants = "cascade.candidates"
        yield (
            f"policy.pool_rows: {policy.pool_rows} is below {wants}, parts would hold "
            f"{policy.pool} rows all the same; raise it or leave it out"
        )
    if rolling is not None and rolling.capacity_rows > rolling.windows * policy.pool:
        yield "policy.rolling.capacity_rows: is more than all parts of its windows can hold"


def _group_advice(groups: Groups, capacity: int) -> Iterator[str]:
    count = groups.limit + 1  # with `other`
    if groups.cap_rows is not None and groups.cap_rows * count < capacity:
        yield (
            f"policy.groups.cap_rows: {count} groups of at most {groups.cap_rows} rows fill "
            f"{groups.cap_rows * count} of {capacity} capacity_rows, the rest stays empty"
        )
    if groups.floor_rows * count > capacity:
        yield (
            f"policy.groups.floor_rows: {count} groups would need {groups.floor_rows * count} "
            f"rows of {capacity} capacity_rows: with that many groups each keeps about "
            f"{capacity // count} or {capacity // count + 1}, and targets say nothing"
        )


def _process_advice(process: Process) -> Iterator[str]:
    if process.poll_records < process.batch_records:
        yield (
            f"process.poll_records: {process.poll_records} is below batch_records "
            f"{process.batch_records}, no batch is ever full"
        )
