"""The first segment of a partition on the broker's disk: its batches, and how to damage one."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

from tests.kafka.broker import Broker

HEADER = struct.Struct(">qiibIhi")  # base offset, length, epoch, magic, crc, attributes, last delta
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


class StoredBatch(NamedTuple):
    """`place`: of its first byte in the file; `size` in bytes."""

    first: int
    last: int
    codec: str
    place: int
    size: int


def path(broker: Broker, topic: str, partition: int = 0) -> Path:
    return broker.folder / "data" / f"{topic}-{partition}" / f"{0:020d}.log"


def batches(broker: Broker, topic: str, partition: int = 0) -> list[StoredBatch]:
    """In order of their offsets."""
    data, place, found = path(broker, topic, partition).read_bytes(), 0, []
    while place + HEADER.size <= len(data):
        first, length, _, magic, _, attributes, delta = HEADER.unpack_from(data, place)
        if not length:
            break  # room that is not written yet
        assert magic == 2
        size = 12 + length
        found.append(StoredBatch(first, first + delta, CODECS[attributes & 7], place, size))
        place += size
    return found


def damage(broker: Broker, topic: str, first: int, *, byte: int = -1) -> StoredBatch:
    """Flip the last byte of the batch that begins at an offset: its checksum is wrong now."""
    batch = next(b for b in batches(broker, topic) if b.first == first)
    with path(broker, topic).open("r+b") as file:
        place = batch.place + (byte % batch.size)
        file.seek(place)
        old = file.read(1)
        file.seek(place)
        file.write(bytes([old[0] ^ 0xFF]))
    return batch
