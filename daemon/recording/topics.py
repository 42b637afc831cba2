"""What is wrong with recording.json: the field and what it may be, never what stands in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from daemon.recording.lanefile import refuse
from daemon.recording.writer import VERSION, Topic

ASKS: Mapping[str, str] = {
    "topic": "must be 1 to 200 letters, digits, dots, _ or -, and not registry",
    "topic_id": "must be a text, another one when the topic is made anew",
    "kind": "must be utterances or labels",
    "partitions": "must be a whole number, 1 to 99999",
    "complete": "must be true or false",
    "starts": "must be a list of offsets, one for each partition",
}
FIELDS = MappingProxyType({field.name: field for field in msgspec.structs.fields(Topic)})


def look(path: Path, found: Mapping[str, object]) -> None:
    """Fatal for the first field of recording.json that cannot be."""
    if found.get("version") != VERSION:
        refuse(path, f"has another version than {VERSION}, which this release reads")
    if not found.keys() <= {"version", "topics"}:
        refuse(path, "has an unknown field beside version and topics")
    topics = found.get("topics")
    if not isinstance(topics, list) or not topics:
        refuse(path, "topics: must be a list of at least one")
    for at, topic in enumerate(topics):
        if not isinstance(topic, dict):
            refuse(path, f"topics[{at}]: must be an object")
        if not topic.keys() <= FIELDS.keys():
            refuse(path, f"topics[{at}]: unknown field; known are {', '.join(FIELDS)}")
        for name, field in FIELDS.items():
            if name not in topic and not field.required:
                continue
            try:
                msgspec.convert(topic.get(name), field.type)
            except msgspec.ValidationError:
                refuse(path, f"topics[{at}].{name}: {ASKS[name]}")
