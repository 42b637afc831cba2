"""These tests run beside a cluster, and are not there without one: `make test-kube`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count

import pytest

from tests.kube import cluster
from tests.kube.cluster import Namespace

collect_ignore_glob = [] if cluster.CLUSTER else ["test_*.py"]
_numbers = count()


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """Empty, and gone afterwards."""
    made = Namespace(f"test-{os.getpid()}-{next(_numbers)}")
    yield made
    made.delete()
