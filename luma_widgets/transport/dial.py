"""Opening a connection: names resolved and addresses checked within the call's time."""

from __future__ import annotations

import ipaddress
import queue
import socket
from collections.abc import Sequence
from typing import Any

from ..threads import start_daemon
from .deadline import BlockedAddressError, Call, DeadlineSocket

Found = Sequence[tuple[Any, ...]]


def open_socket(host: str, port: int, call: Call, *, check: bool = True) -> DeadlineSocket:
    """Connect to a host within the call's limit.

    The address that is checked is the one that is connected to: a name that resolves differently
    the next time gains nothing.

    Parameters
    ----------
    host, port : str, int
    call : Call
    check : bool, default True
        Whether to ask ``call.allowed``; not for a proxy, which the user chose.

    Raises
    ------
    BlockedAddressError
        If the name leads to an address that is not allowed.
    OSError
        If no address answers.
    """
    found = _resolve(host, port, call)
    if check:
        _check(found, call)
    failure: OSError | None = OSError("the name has no address")
    try:
        for family, kind, protocol, _, address in found:
            sock = DeadlineSocket(family, kind, protocol)
            try:
                _connect(sock, address, call)
            except OSError as error:
                failure = error
            else:
                return sock
        assert failure is not None  # noqa: S101 - for the type checker
        raise failure
    finally:
        failure = None  # breaks the circle of the error, its traceback and this frame


def check_name(host: str, call: Call) -> None:
    """Check a host that a proxy will connect to, as far as this machine knows its addresses.

    Raises
    ------
    BlockedAddressError
        If the name leads to an address that is not allowed.
    """
    try:
        found = _resolve(host, None, call)
    except OSError:
        return  # behind a proxy, names are often known to the proxy only
    _check(found, call)


def _resolve(host: str, port: int | None, call: Call) -> Found:
    """Look up a name. The system's own look-up knows no deadline and cannot be interrupted."""
    name = host.strip("[]")
    if _is_address(name):
        return socket.getaddrinfo(name, port, 0, socket.SOCK_STREAM)
    results: queue.SimpleQueue[Found | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            results.put(socket.getaddrinfo(name, port, 0, socket.SOCK_STREAM))
        except (OSError, ValueError) as error:
            results.put(error)

    start_daemon("resolve", look_up)
    try:
        found = results.get(timeout=call.remaining())
    except queue.Empty:
        raise TimeoutError("the name was not resolved in time") from None
    if isinstance(found, Exception):
        raise found
    return found


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def _check(found: Found, call: Call) -> None:
    if call.allowed and not all(call.allowed(str(entry[4][0])) for entry in found):
        raise BlockedAddressError


def _connect(sock: socket.socket, address: Any, call: Call) -> None:
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(call.remaining())
        sock.connect(address)
        sock.settimeout(call.remaining())  # the TLS handshake takes this as its whole limit
    except BaseException:
        sock.close()
        raise
