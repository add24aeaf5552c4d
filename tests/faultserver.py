"""A server that misbehaves on purpose, on raw sockets, and counts what reaches it.

Each connection follows the next behaviour of the script; the last one repeats. A behaviour is a
callable that takes a :class:`Connection`; the functions below make the usual ones::

    with FaultServer(reset(after_request=True)) as server:
        ...
    assert len(server.requests) == 1
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Self

import trustme

Behaviour = Callable[["Connection"], None]


@dataclass
class Received:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class FaultServer:
    """Listens on a loopback address and follows a script.

    ``connections`` counts accepted connections, ``requests`` holds every request whose head
    arrived whole, ``received`` is the number of bytes that clients sent inside of TLS, if any.
    """

    def __init__(self, *script: Behaviour, tls: bool = False, host: str = "127.0.0.1") -> None:
        self.script = list(script) or [answer()]
        self.tls = tls
        self.host = host
        self.connections = 0
        self.received = 0
        self.requests: list[Received] = []
        self.arrived = threading.Event()
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((host, 0))
        self.port = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    def seen(self, connections: int) -> int:
        """Return the number of connections, after a moment for those that are on their way."""
        end = time.monotonic() + 2
        while self.connections < connections and time.monotonic() < end:
            time.sleep(0.005)
        return self.connections

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *details: object) -> None:
        self.closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            sockets = list(self._open)
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                behaviour = self.script[min(self.connections, len(self.script) - 1)]
                self.connections += 1
                self._open.add(sock)
            self._start(lambda s=sock, b=behaviour: self._serve(s, b))

    def _serve(self, sock: socket.socket, behaviour: Behaviour) -> None:
        connection = Connection(self, sock)
        try:
            if self.tls and not getattr(behaviour, "bare", False):
                connection.start_tls()
            behaviour(connection)
        except OSError:
            pass  # the client went away, which is often the point
        finally:
            with self._lock:
                self._open.discard(sock)
            connection.close()


class Connection:
    """One accepted connection, for a behaviour to play with."""

    def __init__(self, server: FaultServer, sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self.fd = sock.fileno()

    def start_tls(self) -> None:
        self.sock.settimeout(5)
        self.sock = server_context().wrap_socket(self.sock, server_side=True)
        self.sock.settimeout(None)

    def read(self) -> Received | None:
        """Read one whole request; None at the end of the connection."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self._receive()
            if not piece:
                return None
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        received = Received(method, path, headers, b"")
        self.server.requests.append(received)
        while len(body) < int(headers.get("content-length", 0)):
            piece = self._receive()
            if not piece:
                break
            body += piece
        received.body = body
        self.server.arrived.set()
        return received

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def wait(self, seconds: float = 30) -> None:
        """Do nothing until the server closes or the time is over."""
        self.server.closing.wait(seconds)

    def reset(self) -> None:
        """Close with a RST instead of a FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.close()

    def _receive(self) -> bytes:
        data = self.sock.recv(65536)
        self.server.received += len(data)
        return data


# Behaviours ------------------------------------------------------------------------------


def answer(
    status: int = 200,
    body: bytes | dict[str, Any] = b"{}",
    headers: dict[str, str] | None = None,
    *,
    keep: bool = False,
    length: int | None = None,
) -> Behaviour:
    """Answer a request (each one, with ``keep``); ``length`` lies about the body's length."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {} if keep else {"Connection": "close"}
    lines.update(headers or {})

    def behave(connection: Connection) -> None:
        while connection.read() is not None:
            connection.send(head(status, len(data) if length is None else length, lines) + data)
            if not keep:
                return

    return behave


def created(task_id: str = "d425ab4dc256f0ebaa84862b9cea8a3d", seconds: Any = 42) -> Behaviour:
    """Accept a task, as the service does."""
    data = {"task_id": task_id, "estimated_time": seconds}
    return answer(200, {"code": 1, "message": "success", "data": data})


def refused(message: str, code: int = 0, status: int = 200) -> Behaviour:
    """Refuse with the service's envelope."""
    return answer(status, {"code": code, "message": message})


def redirect(status: int, to: str, body: bytes = b"") -> Behaviour:
    """Answer with a redirect."""
    return answer(status, body, {"Location": to})


def raw(data: bytes) -> Behaviour:
    """Answer a request with these bytes, whatever they are, and close."""

    def behave(connection: Connection) -> None:
        if connection.read() is not None:
            connection.send(data)

    return behave


def hang_up(*, after_request: bool = False) -> Behaviour:
    """Close in an orderly way, at once or when the request is there."""

    def behave(connection: Connection) -> None:
        if after_request:
            connection.read()

    return behave


def reset(*, after_request: bool = False) -> Behaviour:
    """Close with a RST, at once or when the request is there."""

    def behave(connection: Connection) -> None:
        if after_request:
            connection.read()
        connection.reset()

    return behave


def stall(seconds: float = 30, *, after_request: bool = True) -> Behaviour:
    """Stay silent; the client's time-out or the server's end closes the connection."""

    def behave(connection: Connection) -> None:
        if after_request:
            connection.read()
        connection.wait(seconds)

    return behave


def no_handshake() -> Behaviour:
    """Accept, and never answer the TLS handshake."""
    behave = stall(after_request=False)
    behave.bare = True  # type: ignore[attr-defined]
    return behave


def drip(data: bytes, pause: float = 0.02, start: bytes = b"") -> Behaviour:
    """Answer with ``start`` at once and then one byte at a time, for ever if need be."""

    def behave(connection: Connection) -> None:
        if connection.read() is None:
            return
        connection.send(start)
        for byte in data:
            connection.send(bytes([byte]))
            if connection.server.closing.wait(pause):
                return

    return behave


def gzip_bomb(size: int, status: int = 200, to: str | None = None) -> Behaviour:
    """Answer with a small compressed body that unpacks to ``size`` bytes."""
    headers = {"Content-Encoding": "gzip", **({"Location": to} if to else {})}
    return answer(status, _bomb(size), headers)


def endless(status: int = 200) -> Behaviour:
    """Answer with a body that never ends, as fast as it is read."""

    def behave(connection: Connection) -> None:
        if connection.read() is None:
            return
        connection.send(f"HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        while not connection.server.closing.is_set():
            connection.send(b"10000\r\n" + b" " * 65536 + b"\r\n")

    return behave


def broken_tls() -> Behaviour:
    """Read the request inside of TLS, then answer with bytes that are no TLS record."""

    def behave(connection: Connection) -> None:
        connection.read()
        os.write(connection.sock.fileno(), b"\x17\x03\x03\x00\x20" + b"\x00" * 32)
        connection.wait(0.2)

    return behave


def proxy() -> Behaviour:
    """Be an HTTP proxy that tunnels; CONNECT counts as a request here."""

    def behave(connection: Connection) -> None:
        request = connection.read()
        if request is None:
            return
        host, _, port = request.path.rpartition(":")
        with socket.create_connection((host, int(port)), 5) as upstream:
            connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(upstream, connection.sock), daemon=True)
            back.start()
            _pump(connection.sock, upstream)
            back.join(5)

    return behave


def refuse_connect(status: int = 403) -> Behaviour:
    """Be a proxy that refuses to tunnel."""
    return answer(status, b"")


# Parts -----------------------------------------------------------------------------------


def head(status: int, length: int, headers: dict[str, str] | None = None) -> bytes:
    """Return the head of an answer."""
    lines = {"Content-Length": str(length), **(headers or {})}
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Whatever\r\n{text}\r\n".encode("latin-1")


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """Yield a port where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@cache
def authority() -> trustme.CA:
    """Return the authority that signs the servers' certificates."""
    return trustme.CA()


@cache
def server_context() -> ssl.SSLContext:
    """Return the TLS settings of the servers."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority().issue_cert("127.0.0.1", "localhost", "service.example").configure_cert(context)
    return context


def trusted(folder: Path) -> str:
    """Write the authority's certificate; clients take the path as ``verify=``."""
    path = folder / "ca.pem"
    authority().cert_pem.write_to_path(str(path))
    return str(path)


@cache
def _bomb(size: int) -> bytes:
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b" " * (1 << 20)
    return b"".join(pack.compress(block) for _ in range(size >> 20)) + pack.flush()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
