"""Sockets that keep a total deadline, and the state of the call they work for.

A time-out of a socket is for one read: a server that sends one byte a second never runs into it.
The sockets here set what is left of the whole call before each read and write.
"""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from requests.utils import DEFAULT_CA_BUNDLE_PATH

CONNECT = 10.0


class StoppedError(Exception):
    """The caller's hook raised just before the first byte; its own exception is on the call."""


class BlockedAddressError(Exception):
    """A host name led to an address that this call must not reach."""


class Call:
    """One attempt at one HTTP exchange.

    Parameters
    ----------
    timeout : float
        Seconds for everything: connecting, sending, the whole answer.
    connect : float, default 10
        Seconds for connecting, TLS included.
    idle : float, optional
        Seconds without a byte after which a transfer counts as dead.
    before_send : callable, optional
        Called once, connected, just before the first byte; it may raise to stop the call.
    allowed : callable, optional
        Tells whether an IP address may be connected to; everything may if None.
    clock : callable
        Stands in for ``time.monotonic``.

    Attributes
    ----------
    sent : bool
        Whether a byte of the request may have left. Talking to a proxy does not count.
    stopped : BaseException or None
        What ``before_send`` raised.
    """

    def __init__(
        self,
        timeout: float,
        *,
        connect: float = CONNECT,
        idle: float = math.inf,
        before_send: Callable[[], object] | None = None,
        allowed: Callable[[str], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sent = False
        self.stopped: BaseException | None = None
        self.allowed = allowed
        self._before_send = before_send
        self._clock = clock
        self._connect = connect
        self._idle = idle
        self._end = self._limit = clock() + timeout

    def remaining(self) -> float:
        """Return the seconds that are left; raise TimeoutError when there are none."""
        left = self._limit - self._clock()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        return left

    def patience(self) -> float:
        """Return the seconds that one read or write may take; raise like :meth:`remaining`."""
        return min(self.remaining(), self._idle)

    @contextlib.contextmanager
    def connecting(self) -> Iterator[None]:
        """Apply the shorter limit for connecting while the block runs."""
        self._limit = min(self._end, self._clock() + self._connect)
        try:
            yield
        finally:
            self._limit = self._end

    def writing(self) -> None:
        """Note that the first byte is about to be written, unless the hook or the clock objects."""
        if self.sent:
            return
        self.remaining()
        if self._before_send is not None:
            try:
                self._before_send()
            except BaseException as error:  # noqa: BLE001 - passed on, whatever it is
                self.stopped = error
        if self.stopped is not None:
            raise StoppedError
        self.remaining()
        self.sent = True


CALL: ContextVar[Call | None] = ContextVar("CALL", default=None)


class DeadlineSocket(socket.socket):
    """A TCP socket whose reads and writes end with the present call's deadline."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        """Receive, within what is left of the call's time."""
        _limit(self)
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        """Send, within what is left of the call's time."""
        _limit(self)
        return super().sendall(*args, **kwargs)


class DeadlineTLSSocket(ssl.SSLSocket):
    """The same over TLS; ``SSLContext.sslsocket_class`` makes them."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        """Receive, within what is left of the call's time."""
        _limit(self)
        return super().recv_into(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> int:
        """Send, within what is left of the call's time; ``sendall`` calls this in a loop."""
        _limit(self)
        return super().send(*args, **kwargs)

    def do_handshake(self, *args: Any, **kwargs: Any) -> None:
        """Shake hands; an interrupt closes the socket, which ssl does for errors only."""
        try:
            super().do_handshake(*args, **kwargs)
        except BaseException:
            self.close()
            raise


def tls_context(verify: bool | str) -> ssl.SSLContext:
    """Build a TLS context; it takes some 15 ms, so each client keeps one.

    Nothing is read from the environment: ``SSLKEYLOGFILE`` would write the session's secrets out.

    Parameters
    ----------
    verify : bool or str
        True: the certificates that come with requests; a path: those of a file or folder;
        False: nothing is verified.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = DeadlineTLSSocket
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    where = DEFAULT_CA_BUNDLE_PATH if verify is True else verify
    context.load_verify_locations(**_trusted(where))
    return context


def _trusted(where: str) -> dict[str, str]:
    return {"capath" if Path(where).is_dir() else "cafile": where}


def _limit(sock: socket.socket) -> None:
    call = CALL.get()
    if call is not None:
        sock.settimeout(call.patience())
