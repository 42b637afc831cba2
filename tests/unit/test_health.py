"""Probes: what is alive, what is ready, and a server that no client can tie up."""

from __future__ import annotations

import gc
import http.client
import json
import logging
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.clock import ManualClock
from daemon.config.settings import Http
from daemon.health import server as servers
from daemon.health.server import Server
from daemon.health.state import AT_FIRST, Condition, Health
from daemon.metrics.metrics import Metrics
from daemon.ports import EXIT_DEPENDENCY, Fatal

CANARY = "turn on the light in aunt marys room"
LIVE_SECONDS = 120.0


class Served:
    """A server on a port of its own choice, and what it serves."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.health = Health(self.clock, LIVE_SECONDS)
        self.metrics = Metrics("1.2.3", self.clock)
        self.server = Server(Http(port=0), self.health, self.metrics)
        self.port = self.server.start()

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Content-Type", ""), answer.read()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def raw(self, data: bytes) -> bytes:
        """All that comes back until the server closes."""
        with self.connect() as connection:
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    with made.server:
        yield made


def ask(served: Served, path: str) -> tuple[int, dict[str, object]]:
    status, kind, body = served.get(path)
    assert kind == "application/json" and body.count(b"\n") == 1 and body.endswith(b"\n")
    return status, json.loads(body)


def test_alive_is_a_loop_that_turns_and_nothing_else(served: Served) -> None:
    assert ask(served, "/livez") == (200, {"live": True, "turn_age_seconds": None}), "it may start"
    served.health.turned()
    served.clock.advance(LIVE_SECONDS)
    for condition in Condition:  # a broker that is away makes nothing dead
        served.health.tell(condition, holds=False)
    assert ask(served, "/livez") == (200, {"live": True, "turn_age_seconds": LIVE_SECONDS})
    served.clock.advance(0.5)
    assert ask(served, "/livez") == (503, {"live": False, "turn_age_seconds": LIVE_SECONDS + 0.5})
    served.health.turned()
    assert ask(served, "/livez")[0] == 200


def test_the_wall_clock_kills_nothing(served: Served) -> None:
    served.health.turned()
    served.clock.jump(86_400)
    assert ask(served, "/livez")[0] == 200
    served.clock.jump(-2 * 86_400)
    assert ask(served, "/livez")[0] == 200


def test_ready_is_everything_that_work_needs(served: Served) -> None:
    starting = {"no_genesis", "no_engine", "source_failing"}
    status, said = ask(served, "/readyz")
    assert (status, set(said["reasons"]), said["ready"]) == (503, starting, False)  # type: ignore[call-overload]
    for condition in Condition:
        served.health.tell(condition, holds=True)
    assert ask(served, "/readyz") == (200, {"ready": True, "reasons": [], "notes": []})
    served.health.tell(Condition.OWNER, holds=False)
    assert ask(served, "/readyz") == (503, {"ready": False, "reasons": ["fenced"], "notes": []})


def test_silence_is_said_and_is_no_fault(served: Served) -> None:
    for condition in Condition:
        served.health.tell(condition, holds=True)
    served.health.silent(True)
    told = (200, {"ready": True, "reasons": [], "notes": ["all_lanes_silent"]})
    assert ask(served, "/readyz") == told
    served.health.silent(False)
    assert ask(served, "/readyz")[1]["notes"] == []


@given(st.lists(st.tuples(st.sampled_from(Condition), st.booleans())))
def test_ready_is_the_last_word_on_each_condition(told: list[tuple[Condition, bool]]) -> None:
    health, held = Health(ManualClock(), 1), {c: c in AT_FIRST for c in Condition}
    for condition, holds in told:
        health.tell(condition, holds)
        held[condition] = holds
    ready, line = health.readyz()
    reasons = [str(c) for c in sorted(Condition) if not held[c]]
    assert ready is health.ready is (not reasons)
    assert json.loads(line)["reasons"] == reasons


def test_a_scrape_knows_what_readyz_says(served: Served) -> None:
    status, kind, body = served.get("/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert b"sluice_ready 0.0\n" in body and b'sluice_build_info{version="1.2.3"} 1.0\n' in body
    for condition in Condition:
        served.health.tell(condition, holds=True)
    assert b"sluice_ready 1.0\n" in served.get("/metrics?name=x")[2], "a query changes nothing"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/metrics", 405), ("HEAD", "/livez", 405), ("DELETE", "/readyz", 405),
        ("GET", "/", 404), ("GET", "/metrics/", 404), ("GET", "/debug", 404),
        ("GET", f"/{CANARY.replace(' ', '_')}", 404),
    ],
)  # fmt: skip
def test_three_paths_and_one_method(served: Served, method: str, path: str, status: int) -> None:
    code, kind, body = served.get(path, method)
    assert (code, kind) == (status, "text/plain")
    assert b"mary" not in body


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n", b"GET\r\n\r\n", b"GET /metrics\r\n\r\n", b"GET /metrics SPDY/3\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", CANARY.encode() + b"\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(served: Served, data: bytes) -> None:
    answer = served.raw(data)
    assert answer.startswith(b"HTTP/1.1 400 ") and b"mary" not in answer


def test_endless_headers_end(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\n")
        sent = 0
        with suppress(ConnectionResetError, BrokenPipeError):
            while sent < 1 << 26:
                sent += connection.send(b"X-Long: " + b"y" * 4096 + b"\r\n")
        assert sent < 1 << 26
    assert served.get("/livez")[0] == 200


def test_slow_clients_keep_no_probe_waiting(served: Served) -> None:
    """More connections than fit, each of which never ends its request."""
    with ExitStack() as stack:
        slow = [stack.enter_context(served.connect()) for _ in range(3 * servers.CONNECTIONS)]
        for connection in slow:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        while not served.server._open:
            assert served.get("/livez")[0] == 200
        # an answer that nobody reads must not wait in memory behind a closed connection
        held = next(iter(served.server._open)).transport.get_write_buffer_limits()
        assert held == (0, 0)
        for _ in range(5):
            assert served.get("/readyz")[0] == 503
            assert len(served.server._open) <= servers.CONNECTIONS
        with suppress(ConnectionResetError):
            assert slow[0].recv(1) == b"", "the oldest had to go"


def test_a_request_has_its_time(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "REQUEST_SECONDS", 0.01)
    with suppress(ConnectionResetError):
        assert served.raw(b"GET /metrics HTTP/1.1\r\n") == b""
    assert not served.server._open


def test_a_client_that_does_not_read_is_dropped(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "REQUEST_SECONDS", 0.2)
    monkeypatch.setattr(served.metrics, "exposition", lambda: b"x" * (1 << 26))
    with served.connect() as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        while served.get("/livez")[0] == 200 and served.server._open:
            pass  # every look is a request of its own, so this is no busy wait on a clock
        assert not served.server._open


def test_closing_frees_the_port_and_ends_the_thread(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    made = Served()
    with made.server, made.connect() as hanging:
        hanging.sendall(CANARY.encode())
        assert made.get("/livez")[0] == 200
        made.server.close()
        made.server.close()
        with pytest.raises(ConnectionRefusedError):
            made.get("/livez")
    assert not [t for t in threading.enumerate() if t.name == "health"]
    with Server(Http(port=made.port), made.health, made.metrics) as again:
        assert again.start() == made.port
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert capfd.readouterr() == ("", "")


def answered_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop's last turn but one answers; the socket is closed in the turn after."""
    made = Served()

    def ending() -> tuple[bool, bytes]:
        made.server._ending.set()
        return True, b"{}\n"

    monkeypatch.setattr(made.health, "livez", ending)
    with made.server:
        assert made.get("/livez")[0] == 200


def test_a_connection_that_is_answered_while_the_server_stops_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        answered_at_the_end(monkeypatch)
        monkeypatch.undo()
        gc.collect()
    assert [str(one.message) for one in told if one.category is ResourceWarning] == []


@pytest.mark.parametrize("bind", ["127.0.0.1", "203.0.113.7", "no such host", "x" * 300])
def test_an_address_that_cannot_be_had_is_fatal(served: Served, bind: str) -> None:
    server = Server(Http(port=served.port, bind=bind), served.health, served.metrics)
    with pytest.raises(Fatal, match=r"cannot listen on port .* http\.bind") as raised:
        server.start()
    assert raised.value.code == EXIT_DEPENDENCY
    server.close()
