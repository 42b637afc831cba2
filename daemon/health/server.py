"""/metrics, /livez and /readyz on one port, in one thread, for any number of bad clients.

HTTP/1.1 with one answer per connection (RFC 9112): GET of three paths, no body is read, a query is
passed over. A request has 8 KiB and 5 seconds; of more connections than fit the oldest goes, so
that slow clients never keep a probe waiting.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Self

from daemon.config.settings import Http
from daemon.health.state import Health
from daemon.metrics.metrics import Metrics
from daemon.metrics.values import CONTENT_TYPE
from daemon.ports import EXIT_DEPENDENCY, Fatal

HEAD_BYTES = 8 * 1024
REQUEST_SECONDS = 5.0
CONNECTIONS = 64
END = b"\r\n\r\n"
JSON = "application/json"
PATHS = (b"/metrics", b"/livez", b"/readyz")
Answer = tuple[HTTPStatus, str, bytes]  # status, content type, body


class Server:
    """Serves until it is closed. `with` closes it."""

    def __init__(self, http: Http, health: Health, metrics: Metrics) -> None:
        self._http, self._health, self._metrics = http, health, metrics
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_passed_over)
        self._open: dict[asyncio.StreamWriter, None] = {}  # oldest first
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)
        self._server: asyncio.Server | None = None
        self._ending = asyncio.Event()

    def start(self) -> int:
        """Listen, and return the port. Raises Fatal where that cannot be done."""
        listening = asyncio.start_server(
            self._serve, self._http.bind, self._http.port, limit=HEAD_BYTES
        )
        try:
            self._server = self._loop.run_until_complete(listening)
        except (OSError, UnicodeError) as error:
            self._loop.close()
            code = getattr(error, "errno", None)
            raise Fatal(
                f"cannot listen on port {self._http.port} (error {code})",
                code=EXIT_DEPENDENCY,
                hint="another process has it, or http.bind is no address of this host: choose "
                "other ones, or leave http.port out",
            ) from None
        self._thread.start()
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Stop listening and drop open connections. Once closed it stays closed."""
        if self._thread.is_alive():
            with suppress(RuntimeError):  # the loop is closed: its thread is about to end
                self._loop.call_soon_threadsafe(self._ending.set)
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._until_the_end())
        finally:
            self._loop.close()

    async def _until_the_end(self) -> None:
        """A socket is closed in the turn after its connection was: the loop has to turn for it."""
        try:
            await self._ending.wait()
        finally:
            assert self._server is not None
            self._server.close()
            for writer in list(self._open):
                writer.transport.abort()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer, and away."""
        if len(self._open) >= CONNECTIONS:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.transport.abort()
        self._open[writer] = None
        writer.transport.set_write_buffer_limits(0)  # drain waits until the system has all of it
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                writer.write(_encoded(await self._answer(reader)))
                await writer.drain()
            writer.close()
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            writer.transport.abort()
        finally:
            self._open.pop(writer, None)

    async def _answer(self, reader: asyncio.StreamReader) -> Answer:
        """What the head of a request deserves."""
        try:
            head = await reader.readuntil(END)
        except asyncio.LimitOverrunError:
            return _plain(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        line = head.partition(b"\r\n")[0].split(b" ")
        if len(line) != 3 or not line[2].startswith(b"HTTP/1."):
            return _plain(HTTPStatus.BAD_REQUEST)
        path = line[1].partition(b"?")[0]
        if path not in PATHS:
            return _plain(HTTPStatus.NOT_FOUND)
        if line[0] != b"GET":
            return _plain(HTTPStatus.METHOD_NOT_ALLOWED)
        if path == b"/metrics":
            self._metrics.ready(self._health.ready)
            return HTTPStatus.OK, CONTENT_TYPE, self._metrics.exposition()
        yes, body = self._health.livez() if path == b"/livez" else self._health.readyz()
        return (HTTPStatus.OK if yes else HTTPStatus.SERVICE_UNAVAILABLE), JSON, body


def _plain(status: HTTPStatus) -> Answer:
    """A refusal says nothing but its name."""
    return status, "text/plain", f"{status.phrase}\n".encode()


def _encoded(answer: Answer) -> bytes:
    status, kind, body = answer
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append("Allow: GET")
    return "\r\n".join(lines).encode() + END + body


def _passed_over(loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """A connection that failed is no news, and its error may quote what it sent."""
