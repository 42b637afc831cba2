"""What a network and a bucket can do to a create: lost replies, refusals, other creators."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from daemon.ports import EXIT_CONFIG, EXIT_DEPENDENCY, EXIT_WRITE, Fatal, Missing, Retry
from daemon.stores.bucket import Options, build
from tests.s3 import Server, lose_reply, refuse, serving


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def server(running: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("S3_KEY", "a")
    monkeypatch.setenv("S3_SECRET", "hunter2")
    yield running
    assert running.faults == []  # each fault that a test ordered came to pass
    running.faults.clear()


def test_after_a_lost_reply_our_own_bytes_count_as_created(server: Server) -> None:
    store = build(server.options())
    server.faults = [("PUT", lose_reply)]
    with pytest.raises(Retry):
        store.create("a/b", b"ours")
    assert store.create("a/b", b"ours") is True
    assert store.create("a/b", b"ours") is False  # known by now


def test_after_a_lost_reply_the_bytes_of_another_count_as_theirs(server: Server) -> None:
    options = server.options()
    store = build(options)
    server.faults = [("PUT", refuse("500 Internal Server Error"))]
    with pytest.raises(Retry):
        store.create("a/b", b"ours")
    assert build(options).create("a/b", b"theirs") is True
    assert store.create("a/b", b"ours") is False
    assert store.get("a/b") == b"theirs"


def test_a_replica_with_the_same_bytes_is_second_all_the_same(server: Server) -> None:
    options = server.options()
    assert build(options).create("a/b", b"same") is True
    assert build(options).create("a/b", b"same") is False


def test_a_create_is_one_request_and_no_more(server: Server) -> None:
    store = build(server.options(read_retries=5))
    server.requests.clear()
    server.faults = [("PUT", refuse("503 Slow Down"))]
    with pytest.raises(Retry):
        store.create("a/b", b"ours")
    assert server.requests == ["PUT"]


def test_reads_are_repeated(server: Server) -> None:
    store = build(server.options(read_retries=2))
    store.create("a/b", b"x")
    server.faults = [("GET", refuse("503 Slow Down"))]
    assert store.get("a/b") == b"x"
    server.faults = [("GET", refuse("503 Slow Down"))]
    assert list(store.list("a/")) == ["a/b"]


def test_exists_is_said_only_of_what_is_there(server: Server) -> None:
    """S3 answers 409 while another create of the name runs, and that one may fail."""
    store = build(server.options())
    server.faults = [("PUT", refuse("409 Conflict", "ConditionalRequestConflict"))]
    with pytest.raises(Retry):
        store.create("a/b", b"ours")
    with pytest.raises(Missing):
        store.get("a/b")
    assert store.create("a/b", b"ours") is True


def test_a_store_keeps_to_its_prefix(server: Server) -> None:
    one, two = build(server.options("run")), build(server.options("run-2"))
    assert one.create("a", b"1")
    assert two.create("a", b"2")
    assert list(one.list("")) == ["a"]
    assert one.get("a") == b"1"


@pytest.mark.parametrize("call", ["get", "list"])
def test_trouble_while_reading_is_to_be_repeated(server: Server, call: str) -> None:
    store = build(server.options())
    server.faults = [("GET", refuse("500 Internal Server Error"))]
    with pytest.raises(Retry):
        store.get("a") if call == "get" else list(store.list(""))


def test_a_server_that_is_not_there_is_to_be_waited_for(server: Server) -> None:
    store = build(server.options(endpoint="http://127.0.0.1:9"))
    for call in (lambda: store.get("a"), lambda: store.create("a", b""), lambda: [*store.list("")]):
        with pytest.raises(Retry):
            call()


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_a_refusal_ends_the_process(server: Server, status: str) -> None:
    store = build(server.options())
    server.faults = [("PUT", refuse(status, "AccessDenied")), ("GET", refuse(status))]
    with pytest.raises(Fatal, match="credentials") as caught:
        store.create("a", b"x")
    assert caught.value.code == EXIT_WRITE
    with pytest.raises(Fatal) as caught:
        store.get("a")
    assert caught.value.code == EXIT_DEPENDENCY


def test_a_bucket_that_does_not_exist_is_named_as_such(server: Server) -> None:
    store = build(server.options(url="s3://nowhere/run"))
    with pytest.raises(Fatal, match="no such bucket") as caught:
        store.create("a", b"x")
    assert caught.value.code == EXIT_DEPENDENCY


def test_an_unsorted_listing_ends_the_process(server: Server) -> None:
    store = build(server.options())

    def unsorted(server: Server, environ: dict, start: object) -> list[bytes]:  # type: ignore[type-arg]
        keys = "".join(
            f"<Contents><Key>{environ['QUERY_STRING'].partition('prefix=')[2].replace('%2F', '/')}"
            f"{name}</Key><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
            for name in ("b", "a")
        )
        body = f"<ListBucketResult>{keys}</ListBucketResult>".encode()
        start("200 OK", [("Content-Length", str(len(body)))])  # type: ignore[operator]
        return [body]

    server.faults = [("GET", unsorted)]
    with pytest.raises(Fatal, match="unsorted"):
        list(store.list(""))


@pytest.mark.parametrize("content", [None, "", " \n", b"\xff"])
def test_an_absent_or_empty_secret_is_a_fault_of_the_config(
    server: Server, tmp_path: Path, content: str | bytes | None
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(Fatal, match="access_key_id") as caught:
        build(server.options(credentials={"access_key_id": f"file:{path}"}))
    assert caught.value.code == EXIT_CONFIG


def test_secrets_come_from_files_without_their_line_feed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("key\n")
    credentials = {"access_key_id": f"file:{tmp_path}/key", "secret_access_key": "env:S3_SECRET"}
    assert build(server.options(credentials=credentials)).create("a", b"x")


def test_a_wrong_option_is_refused_without_repeating_a_secret(server: Server) -> None:
    with pytest.raises(Fatal) as caught:
        build(server.options(credentials={"no_such_key": "env:S3_SECRET"}))
    assert caught.value.code == EXIT_CONFIG
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "s3://key:secret@bucket/x"},
        {"url": "http://bucket/x"},
        {"url": "/tmp/x"},
        {"credentials": {"secret_access_key": "hunter2"}},
        {"timeout_s": 0},
        {"secret_access_key": "hunter2"},
    ],
)
def test_options_hold_no_secret_and_no_nonsense(changes: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"url": "s3://bucket/x"} | changes, Options)
