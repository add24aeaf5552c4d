"""The socket side: HTTP/1.1 on 127.0.0.1, in daemon threads, with faults on demand."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from .faults import ENDPOINTS, Fault

HOST = "127.0.0.1"
# An upload of 10 MiB, its fields and the form around it.
MAX_BODY = 11 * 1024 * 1024
_IDLE_SECONDS = 60
_JSON = [("Content-Type", "application/json")]


@dataclass(frozen=True)
class Reply:
    """An answer, ready to be written."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    cut: bool = False  # announce the whole body, send half of it and hang up


Respond = Callable[[dict[str, Any]], Reply]


class Listener(socketserver.ThreadingTCPServer):
    """Accept connections until closed; a thread for each of them.

    Parameters
    ----------
    port : int
        0 for a free one.
    respond : callable
        WSGI environment -> Reply.
    fault_for : callable
        Name of the call -> what to do wrong, or None.
    """

    # http.server.HTTPServer is not used: it asks DNS for this machine's name, which can take long.
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self, port: int, respond: Respond, fault_for: Callable[[str], Fault | None]
    ) -> None:
        self.respond, self.fault_for = respond, fault_for
        self.counts: Counter[str] = Counter()
        self.closing = threading.Event()
        self.lock = threading.Lock()
        self._serving: dict[threading.Thread, socket.socket] = {}
        self._resets: set[int] = set()
        super().__init__((HOST, port), _Handler)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    def serve(self) -> None:
        """Accept connections; returns when closed."""
        self.serve_forever(poll_interval=0.1)

    def stop(self) -> None:
        """Stop listening, break the connections that are open and wait for them, at most 0.6 s."""
        self.closing.set()
        self.shutdown()
        self.server_close()
        with self.lock:
            open_now = dict(self._serving)
        for connection in open_now.values():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in open_now:
            thread.join(0.6 / len(open_now))

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection, on its own thread."""
        with self.lock:
            self._serving[threading.current_thread()] = request
        try:
            if self.closing.is_set():  # accepted at the last moment, when stop() did not see it
                self.shutdown_request(request)
            else:
                super().process_request_thread(request, client_address)
        finally:
            with self.lock:
                self._serving.pop(threading.current_thread(), None)

    def reset(self, connection: socket.socket) -> None:
        """Let a connection end with RST: a linger time of 0, and no orderly shutdown before it."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with self.lock:
            self._resets.add(connection.fileno())

    def shutdown_request(self, request: Any) -> None:
        """End a connection."""
        with self.lock:
            rude = request.fileno() in self._resets
            self._resets.discard(request.fileno())
        if rude:
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "luma_widgets_simulator"
    timeout = _IDLE_SECONDS
    disable_nagle_algorithm = True
    server: Listener

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # every method is the application's business
            return self._serve
        raise AttributeError(name)

    def version_string(self) -> str:
        """Name itself in the Server header."""
        return self.server_version

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Write nothing: stderr is the notebook's."""

    def end_headers(self) -> None:
        """Mark every answer, also those of the base class, as the simulator's."""
        self.send_header("X-Simulator", "luma_widgets")
        super().end_headers()

    def _serve(self) -> None:
        body = self._body()
        if body is None:
            return
        endpoint = _endpoint(self.path)
        with self.server.lock:
            self.server.counts[endpoint] += 1
        fault = self.server.fault_for(endpoint)
        if fault is None:
            self._write(self.server.respond(self._environ(body)))
            return
        if fault.name == "delay":
            self.server.closing.wait(fault.seconds)
        real = self.server.respond(self._environ(body)) if fault.accepted else None
        spoiled = _spoil(fault, real)
        if spoiled is not None:
            self._write(spoiled)
            return
        if fault.name == "reset":
            self.server.reset(self.connection)
        self.close_connection = True

    def _body(self) -> bytes | None:
        """Read the body; None if an answer was given instead."""
        lengths = self.headers.get_all("Content-Length", ["0"])
        if "Transfer-Encoding" in self.headers:
            self._give_up(411, "Send a Content-Length.")
            return None
        if len(set(lengths)) != 1 or not (lengths[0].isascii() and lengths[0].isdecimal()):
            self._give_up(400, "The Content-Length is no number.")
            return None
        if len(lengths[0]) > 15 or int(lengths[0]) > MAX_BODY:
            self._give_up(413, "The body is too large.")
            return None
        body = self.rfile.read(int(lengths[0]))
        if len(body) != int(lengths[0]):
            self.close_connection = True
            return None
        return body

    def _give_up(self, status: int, message: str) -> None:
        text = f'{{"code": 0, "message": "{message}", "data": null}}'.encode()
        headers = [*_JSON, ("Connection", "close")]
        self._write(Reply(status, headers, text))
        self.close_connection = True

    def _write(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers:
            if name.lower() not in ("content-length", "date"):
                self.send_header(name, value)
        bodiless = reply.status in (204, 304)
        if not bodiless:
            length = dict(reply.headers).get("Content-Length", len(reply.body))
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if not bodiless and self.command != "HEAD":
            body = reply.body
            self.wfile.write(body[: len(body) // 2] if reply.cut else body)
        if reply.cut:
            self.close_connection = True

    def _environ(self, body: bytes) -> dict[str, Any]:
        path, _, query = self.path.partition("?")
        hosts = self.headers.get_all("Host", [])
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.command,
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": HOST,
            "SERVER_PORT": str(self.server.port),
            "SERVER_PROTOCOL": self.request_version,
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(body),
            "CONTENT_LENGTH": str(len(body)),
        }
        for name, value in self.headers.items():
            # An underscore would be taken for a hyphen: Api_Key is not Api-Key.
            if name.lower() not in ("content-length", "host") and "_" not in name:
                environ[_variable(name)] = value
        if len(hosts) == 1:  # two Host headers are an attempt at something
            environ["HTTP_HOST"] = hosts[0]
        return environ


def _spoil(fault: Fault, reply: Reply | None) -> Reply | None:
    """Return what is written for a fault; None to hang up without a word."""
    html = [("Content-Type", "text/html")]
    if fault.name == "500":
        text = b'{"code": 0, "message": "Internal error", "data": null}'
        return Reply(500, _JSON, text)
    if fault.name == "502":
        return Reply(502, html, b"<html><h1>502 Bad Gateway</h1></html>")
    if fault.name == "429":
        return Reply(429, [*html, ("Retry-After", fault.retry_after)], b"<h1>Slow down</h1>")
    if fault.name == "garbage" and reply:
        return Reply(200, _JSON, b'{"code": 1, "data": {"task_id": NaN,,')
    if fault.name == "truncated" and reply:
        return replace(reply, cut=True)
    return reply if fault.name == "delay" else None


def _endpoint(path: str) -> str:
    parts = path.partition("?")[0].strip("/").split("/")
    name = parts[2] if parts[:2] == ["api", "task"] and len(parts) == 3 else parts[0]
    return name if name in ENDPOINTS else "other"


def _variable(header: str) -> str:
    name = header.upper().replace("-", "_")
    return name if name == "CONTENT_TYPE" else f"HTTP_{name}"
