"""What every kind of store must do. One suite; the folder says which kinds there are."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.ports import Fatal, Missing, Store
from daemon.stores import prove
from daemon.stores.local import Options as LocalOptions
from daemon.stores.memory import Options as MemoryOptions
from scoring.kinds import names
from tests.s3 import serving

KINDS = names("daemon.stores")
Make = Callable[[], Store]


@pytest.fixture(scope="module", params=KINDS)
def make(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Make]:
    """Makes empty stores of one kind. A kind that is not here fails: give it a place to live."""
    kind = request.param
    build = import_module(f"daemon.stores.{kind}").build
    if kind == "memory":
        yield lambda: build(MemoryOptions())
    elif kind == "local":
        base = tmp_path_factory.mktemp("stores")
        yield lambda: build(LocalOptions(tempfile.mkdtemp(dir=base)))
    elif kind == "bucket":
        with pytest.MonkeyPatch.context() as patch, serving() as server:
            patch.setenv("S3_KEY", "a")
            patch.setenv("S3_SECRET", "b")
            yield lambda: build(server.options())
    else:
        pytest.fail(f"no place to try stores of the kind {kind}")


@pytest.fixture
def store(make: Make) -> Store:
    return make()


def test_the_first_create_wins_and_its_bytes_stay(store: Store) -> None:
    assert store.create("parts/t/00000/000000000012.parquet", b"one") is True
    assert store.create("parts/t/00000/000000000012.parquet", b"two") is False
    assert store.create("parts/t/00000/000000000012.parquet", b"one") is False
    assert store.get("parts/t/00000/000000000012.parquet") == b"one"
    assert list(store.list("")) == ["parts/t/00000/000000000012.parquet"]


@pytest.mark.parametrize("name", ["a", "a/b", "a/b/c/d", "z/c", "a/bb"])
def test_what_was_never_created_is_missing(store: Store, name: str) -> None:
    store.create("a/b/c", b"")
    with pytest.raises(Missing):
        store.get(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "../a", "a b", "a\n", "ä"),
        *("a\\b", "a~", "a%2e", "a:b", "a\0b", "x" * 256, "/".join(["x" * 200] * 5), ".tmp~/a"),
    ],
)
def test_names_that_are_not_names_are_refused(store: Store, name: str) -> None:
    with pytest.raises(ValueError, match="not a name of an object"):
        store.create(name, b"")
    with pytest.raises(ValueError, match="not a name of an object"):
        store.get(name)


@pytest.mark.parametrize(
    "name", ["...", "..a", ".a/-", "-", "_/..-", "a.b-c_D/0", "x" * 255, ".tmp/a"]
)
def test_odd_names_are_names(store: Store, name: str) -> None:
    assert store.create(name, b"odd")
    assert store.get(name) == b"odd"
    assert list(store.list("")) == [name]


@pytest.mark.parametrize("size", [0, 1, 20_000_000])
def test_sizes(store: Store, size: int) -> None:
    data = (hashlib.sha256(b"noise").digest() * (size // 32 + 1))[:size]
    assert store.create("a/object", data)
    assert store.get("a/object") == data


def test_what_looks_like_bytes_is_stored_as_bytes_and_not_shared(store: Store) -> None:
    data = bytearray(b"before")
    assert store.create("a", data)  # type: ignore[arg-type]
    data[:] = b"after."
    assert store.get("a") == b"before"


SEGMENTS = st.sampled_from(["a", "a-", "a.", "ab", "B", "0", "..."])
LEAVES = st.sampled_from(["x", "x-1", "x.y", "X", "-"])  # never a folder's name
NAMES = st.builds(
    lambda above, leaf: "/".join([*above, leaf]), st.lists(SEGMENTS, max_size=3), LEAVES
)
CUTS = st.one_of(
    st.just(""),
    st.builds(lambda name, length: name[:length], NAMES, st.integers(0, 9)),
    st.builds(lambda name, more: name + more, NAMES, st.sampled_from(["", "/", "-", "~", "!"])),
    st.text(max_size=3),
)


@settings(max_examples=40)
@given(names=st.lists(NAMES, max_size=8), cuts=st.lists(st.tuples(CUTS, CUTS), max_size=8))
def test_a_store_is_a_dict_that_keeps_the_first(
    make: Make, names: list[str], cuts: list[tuple[str, str]]
) -> None:
    store, model = make(), dict[str, bytes]()
    for turn, name in enumerate(names):
        data = str(turn).encode()
        assert store.create(name, data) is (model.setdefault(name, data) is data)
    assert {name: store.get(name) for name in store.list("")} == model
    for prefix, after in [("", ""), *cuts, *(("", name) for name in names)]:
        want = sorted(n.encode() for n in model if n.startswith(prefix) and n > after)
        assert [name.encode() for name in store.list(prefix, after)] == want


def test_listing_goes_on_across_many_objects(store: Store) -> None:
    names = [f"w/{number:05d}" for number in range(0, 2_040, 2)]
    for name in names:
        store.create(name, b"")
    assert list(store.list("w/")) == names
    assert list(store.list("w/", after="w/01001")) == names[501:]
    assert list(store.list("w/020")) == names[1000:1020]


def test_of_concurrent_creators_exactly_one_wins(store: Store) -> None:
    names = [f"race/{number}/x" for number in range(15)]
    won: dict[str, list[int]] = {name: [] for name in names}
    start = threading.Barrier(6)

    def run(me: int) -> None:
        start.wait()
        for name in names:
            if store.create(name, b"%d" % me):
                won[name].append(me)
            store.get(name)  # who lost sees a whole object

    threads = [threading.Thread(target=run, args=(me,)) for me in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(winners) for winners in won.values()] == [1] * len(names)
    assert [store.get(name) for name in names] == [b"%d" % won[name][0] for name in names]


def test_a_stub_takes_the_place_of_what_was_read_and_of_nothing_else(store: Store) -> None:
    with pytest.raises(Missing):
        store.efface("a/b", b"one", b"stub")
    assert list(store.list("")) == [], "it never creates"
    with pytest.raises(ValueError, match="not a name of an object"):
        store.efface("a//b", b"", b"")
    store.create("a/b", b"one")
    assert store.efface("a/b", b"another", b"stub") is False
    assert store.get("a/b") == b"one"
    assert store.efface("a/b", b"one", b"stub") is True
    assert store.get("a/b") == b"stub"
    assert store.efface("a/b", b"one", b"stub") is True, "an answer that was lost is asked again"
    assert store.efface("a/b", b"one", b"other") is False
    assert store.efface("a/b", b"stub", b"") is True
    assert store.efface("a/b", b"", b"") is True
    assert store.create("a/b", b"one") is False, "what was there does not come back"
    assert (store.get("a/b"), list(store.list(""))) == (b"", ["a/b"])


def test_of_concurrent_effacers_each_replaces_what_it_read(store: Store) -> None:
    """Letters leave one by one, whoever takes them: a late writer brings none of them back."""
    letters = bytes(range(97, 121))
    store.create("word", letters)
    start = threading.Barrier(4)

    def run(mine: bytes) -> None:
        start.wait()
        for letter in mine:
            while bytes([letter]) in (word := store.get("word")):
                store.efface("word", word, word.replace(bytes([letter]), b""))

    threads = [threading.Thread(target=run, args=(letters[me::4],)) for me in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get("word") == b""


CREATOR = """
import sys
from daemon.stores.local import Options, build
store = build(Options(sys.argv[1]))
sys.stdin.readline()
for number in range(60):
    if store.create(f"race/{number}", sys.argv[2].encode()):
        print(number)
"""


def test_of_concurrent_processes_exactly_one_wins(tmp_path: Path) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CREATOR, str(tmp_path), str(me)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for me in range(4)
    ]
    for child in children:  # each waits for its line: they start together
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    won = {n: str(me) for me, c in enumerate(children) for n in c.communicate()[0].split()}
    assert [child.returncode for child in children] == [0] * 4
    store = import_module("daemon.stores.local").build(LocalOptions(str(tmp_path)))
    assert {str(n): store.get(f"race/{n}").decode() for n in range(60)} == won


def test_a_store_proves_itself(store: Store) -> None:
    prove(store)
    prove(store)  # and again at the next start
    assert list(store.list("")) == ["proof/create-once"]


class Overwriting:
    """What a bucket without put-if-absent does."""

    def __init__(self, store: Store) -> None:
        self.objects: dict[str, bytes] = {}

    def create(self, name: str, data: bytes) -> bool:
        self.objects[name] = data
        return True

    def get(self, name: str) -> bytes:
        return self.objects[name]

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        return iter(self.objects)

    def efface(self, name: str, before: bytes, stub: bytes) -> bool:
        raise NotImplementedError


class Silent(Overwriting):
    """Says "exists" and overwrites all the same."""

    def create(self, name: str, data: bytes) -> bool:
        new = name not in self.objects
        self.objects[name] = data
        return new


class Forgetful(Silent):
    """Listings lag behind."""

    def create(self, name: str, data: bytes) -> bool:
        new = name not in self.objects
        self.objects.setdefault(name, data)
        return new

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        return iter(())


@pytest.mark.parametrize("kind", [Overwriting, Silent, Forgetful])
def test_the_proof_finds_stores_that_break_the_law(kind: type[Overwriting], store: Store) -> None:
    with pytest.raises(Fatal, match="the store"):
        prove(kind(store))
