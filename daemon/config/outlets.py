"""What two outlets, or an outlet and the source, must not have in common: a loop, or one place."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping

from daemon.config.settings import Config
from daemon.policy import Kind


def faults(config: Config) -> Iterator[str]:
    """Lines for outlets that would feed the source, or spoil what lies in a folder or topic."""
    given = {
        f"{name}.outlet": section.outlet
        for name, section in (
            ("dead_letters", config.dead_letters),
            ("announcements", config.announcements),
        )
        if section.outlet is not None
    }
    for path, outlet in given.items():
        yield from _topic_faults(config.source, outlet, path)
        yield from _file_faults(config, outlet, path)
    yield from _shared(given)
    if config.announcements.outlet is not None and not config.announced_base:
        yield (
            "announcements.uri: is missing, and the store has no path or url that could be told, "
            "nobody could find a shard"
        )


def _topic_faults(source: Kind, outlet: Kind, path: str) -> Iterator[str]:
    """Whatever the clusters: two addresses may lead to one, and a name is easily changed."""
    topic = outlet.options.get("topic")
    names = ("topics", "label_topics", "erasure_topics")
    read = [topic for name in names for topic in _listed(source, name)]
    if isinstance(topic, str) and topic in read:
        yield (
            f"{path}.options.topic: is read by the source, so every message would come back as a "
            "record"
        )


def _listed(kind: Kind, option: str) -> list[object]:
    value = kind.options.get(option)
    return list(value) if isinstance(value, list | tuple) else []


def _file_faults(config: Config, outlet: Kind, path: str) -> Iterator[str]:
    file = _file(outlet)
    if file is None:
        return
    if not file.startswith("/"):
        yield (
            f"{path}.options.path: is no absolute path, it would depend on where sluice is started"
        )
        return
    for name, kind in (("store", config.store), ("source", config.source)):
        folder = _file(kind)
        if folder is None or not folder.startswith("/"):
            continue
        if posixpath.commonpath((_clean(file), _clean(folder))) == _clean(folder):
            yield (
                f"{path}.options.path: lies in the folder of {name}.options.path, where only "
                f"{'objects' if name == 'store' else 'records'} may lie"
            )


def _shared(given: Mapping[str, Kind]) -> Iterator[str]:
    places: dict[tuple[str, object], str] = {}
    for path, outlet in given.items():
        file = _file(outlet)
        place = (outlet.kind, _clean(file) if file else outlet.options.get("topic"))
        if places.setdefault(place, path) != path:
            yield (
                f"{path}.options: names the same place as {places[place]}, readers could not tell "
                "letters from announcements"
            )


def _file(kind: Kind) -> str | None:
    value = kind.options.get("path")
    return value if isinstance(value, str) else None


def _clean(path: str) -> str:
    # POSIX leaves a double slash at the front alone, Linux does not
    return "/" + posixpath.normpath(path).lstrip("/")
