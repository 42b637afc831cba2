"""A real S3 on the loopback for tests, with faults that a network or a loaded server would make."""

from __future__ import annotations

import logging
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from daemon.stores.bucket import Options

Environ = dict[str, Any]
Fault = Callable[["Server", Environ, Callable[..., Any]], Iterable[bytes] | None]


class Server:
    """Serves one request at a time: moto looks and then writes, S3 does both at once.

    `faults` are used up in order, one per request of `method`; each may answer instead.
    """

    def __init__(self) -> None:
        self.app = DomainDispatcherApplication(create_backend_app)
        self.faults: list[tuple[str, Fault]] = []
        self.requests: list[str] = []
        self.folders = 0
        self.url = ""

    def __call__(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        self.requests.append(environ["REQUEST_METHOD"])
        if self.faults and self.faults[0][0] == environ["REQUEST_METHOD"]:
            answer = self.faults.pop(0)[1](self, environ, start)
            if answer is not None:
                return answer
        return self.app(environ, start)

    def options(self, folder: str = "", **changes: Any) -> Options:
        """Of a store in a folder of its own."""
        if not folder:
            self.folders += 1
            folder = f"run-{self.folders}"
        given: dict[str, Any] = {
            "url": f"s3://shards/{folder}",
            "endpoint": self.url,
            "region": "us-east-1",
            "allow_http": True,
            "credentials": {"access_key_id": "env:S3_KEY", "secret_access_key": "env:S3_SECRET"},
            "read_retries": 0,
        }
        return Options(**(given | changes))


def refuse(status: str, code: str = "") -> Fault:
    """Answer with `status`, nothing done."""

    def fault(server: Server, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        body = f"<Error><Code>{code}</Code></Error>".encode()
        start(status, [("Content-Length", str(len(body)))])
        return [body]

    return fault


def lose_reply(server: Server, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
    """Do what was asked and answer with a server's error."""
    for _ in server.app(environ, lambda *args, **options: None):
        pass
    start("503 Slow Down", [("Content-Length", "0")])
    return [b""]


@contextmanager
def serving(address: str = "127.0.0.1") -> Iterator[Server]:
    """A server with the bucket `shards`."""
    server = Server()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line per request hides the rest
    http = make_server(address, 0, server, threaded=False)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    server.url = f"http://{address}:{http.port}"
    try:
        for path in ("/moto-api/reset", "/shards"):
            method = "PUT" if path == "/shards" else "POST"
            with urllib.request.urlopen(urllib.request.Request(server.url + path, method=method)):
                pass
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
