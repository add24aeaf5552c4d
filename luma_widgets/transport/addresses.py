"""Which addresses media may come from and go to: public https, and one local origin at most."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from ..config import is_loopback
from ..errors import MediaError
from .redact import place

_MALFORMED = "The service gave a malformed address for a file."
_HERE = ("localhost", "127.0.0.1", "::1")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the public internet.

    Addresses that carry an IPv4 address inside (mapped, 6to4, Teredo, NAT64) are judged by it too.

    Examples
    --------
    >>> is_public("93.184.215.14"), is_public("10.0.0.1"), is_public("::ffff:127.0.0.1")
    (True, False, False)
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner: list[ipaddress.IPv4Address] = []
    if isinstance(ip, ipaddress.IPv6Address):
        found = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        inner = [part for part in found if part is not None]
        if ip in _NAT64:
            inner.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        if ip.ipv4_mapped is not None:
            return all(_global(part) for part in inner)
    return _global(ip) and all(_global(part) for part in inner)


def rule_for(url: str, own: str | None = None) -> Callable[[str], bool]:
    """Return the rule by which a media address may be connected to.

    Parameters
    ----------
    url : str
    own : str, optional
        A base URL on this machine whose origin is allowed as well.

    Returns
    -------
    callable
        Tells of an IP address whether this URL may lead to it.

    Raises
    ------
    MediaError
        Unless the URL is https to a public host, or of the local origin.
    """
    parts = _split(url)
    host, port = parts.hostname or "", parts.port
    if own is not None and origin(url) == origin(own):
        return is_loopback
    if not host or any(c <= " " or c == "\x7f" for c in url):
        raise MediaError(_MALFORMED)
    literal = _literal(host)
    blocked = is_loopback(host) or (literal is not None and not is_public(literal))
    if parts.scheme != "https" or parts.username or parts.password or blocked or port == 0:
        raise MediaError(f"Files are only exchanged with public https addresses, not {place(url)}.")
    return is_public


def origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port; the default port and the names of this machine made equal."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, "localhost" if host in _HERE else host, parts.port or default


def follow(url: str, target: str) -> str:
    """Return the address that a redirect leads to; raises like :func:`rule_for`."""
    try:
        return urljoin(url, target)
    except ValueError:
        pass
    raise MediaError(_MALFORMED)


def _split(url: Any) -> SplitResult:
    with contextlib.suppress(ValueError):
        if type(url) is str:
            parts = urlsplit(url)
            _ = parts.port  # raises where it is no number
            return parts
    raise MediaError(_MALFORMED)


def _literal(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        return None


def _global(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return ip.is_global and not ip.is_multicast
