"""Seconds to look texts up in a ledger: `python -m tests.bench.bench_rivals [records] [asked]`."""

from __future__ import annotations

import sys
import time

import numpy as np

from daemon.lanes import ledger
from daemon.lanes.ledger import LedgerWriter, dtypes
from daemon.shards import rivals

SCORES = ("entropy", "margin")
CLASSES = 150


def written(records: int) -> bytes:
    """A ledger of Zipf traffic: labels are mostly those of their text, a tenth is any other."""
    rng = np.random.default_rng(0)
    text = np.minimum(rng.zipf(1.3, records), records).astype(np.uint64)
    mistaken = rng.random(records) < 0.1
    label = np.where(mistaken, rng.integers(0, CLASSES, records), text % np.uint64(CLASSES))
    columns = {name: np.zeros(records, dtype) for name, dtype in dtypes(SCORES).items()}
    columns |= {
        "position": np.arange(records),
        "key_hi": text * np.uint64(0x9E3779B97F4A7C15),
        "key_lo": text,
        "id_hi": rng.integers(1, 1 << 63, records).astype(np.uint64),
        "label": label.astype(np.int32),
        "group": label.astype(np.int16),
        "plausibility": rng.integers(0, 4096, records).astype(np.int16),
    }
    writer = LedgerWriter(SCORES)
    writer.add(columns)
    return writer.finish()[0]


def main() -> None:
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    texts = int(sys.argv[2]) if len(sys.argv) > 2 else 4_000
    data = written(records)
    began = time.perf_counter()
    columns = ledger.read(data, rivals.LEDGER_COLUMNS)
    read = time.perf_counter()
    asked = set(columns["key_hi"][:texts].tolist())  # those of the first records
    ready = time.perf_counter()
    found = rivals.match(asked, [columns])
    done = time.perf_counter()
    print(
        f"{records} records, {len(data) / 1e6:.0f} MB: read in {read - began:.2f} s; "
        f"{len(asked)} texts have {sum(one.said for one in found.values())} of them under "
        f"{len(found)} keys, found in {done - ready:.2f} s"
    )


if __name__ == "__main__":
    main()
