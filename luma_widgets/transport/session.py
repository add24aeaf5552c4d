"""One HTTP exchange: a deadline, a size cap, no redirects, no secrets in what comes out of it.

:func:`exchange` never raises. Exceptions of requests and http.client hold the request, and their
tracebacks hold the frames it passed through, key included; they end here and become an
:class:`~luma_widgets.transport.answers.Answer` with a few words of what went wrong.
"""

from __future__ import annotations

import http.client
import http.cookiejar
import logging
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import requests
import requests.auth
import requests.structures
from urllib3.exceptions import DecodeError, IncompleteRead, ProxyError

from .. import __version__
from ..config import ApiKey
from ..errors import ConfigurationError
from .answers import Answer
from .connections import Adapter
from .deadline import CALL, BlockedAddressError, Call, StoppedError

logging.getLogger("luma_widgets").addHandler(logging.NullHandler())
LOG = logging.getLogger("luma_widgets.transport")

MAX_JSON = 1 << 20
_CHUNK = 1 << 16
TOO_LARGE = "the answer is larger than allowed"
BLOCKED = "the address leads into a private network"
UNTRUSTED = "the server's certificate is not trusted"
TIMED_OUT = "the time ran out"
# A free call is not repeated after these: it would end in the same way.
FINAL = (TOO_LARGE, BLOCKED, UNTRUSTED)


@dataclass(frozen=True)
class Exchanged:
    """What :func:`exchange` returns.

    Parameters
    ----------
    answer : Answer
    interrupt : BaseException or None
        A ``KeyboardInterrupt`` or the like that arrived meanwhile, without its traceback, or what
        the caller's hook raised; the caller raises it again.
    """

    answer: Answer
    interrupt: BaseException | None = None


class KeyAuth(requests.auth.AuthBase):
    """Puts the key into a request when it is about to be sent; shows nothing of it."""

    __slots__ = ("_key",)

    def __init__(self, key: ApiKey) -> None:
        self._key = key

    def __call__(self, request: Any) -> Any:  # noqa: D102
        request.headers["Api-Key"] = self._key.reveal()
        return request


class Session(requests.Session):
    """A session that takes nothing from the environment, keeps no cookies, follows no redirect.

    Parameters
    ----------
    context : ssl.SSLContext
        Decides which certificates are trusted.
    proxies : mapping, optional
        As requests takes them; see :func:`check_proxies`.
    """

    def __init__(self, context: ssl.SSLContext, proxies: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.trust_env = False
        self.proxies = dict(proxies or {})
        self.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        self.headers = requests.structures.CaseInsensitiveDict(
            {"User-Agent": f"luma-widgets/{__version__}", "Accept-Encoding": "identity"}
        )
        self.adapters.clear()
        adapter = Adapter(context)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def get_redirect_target(self, resp: Any) -> None:
        """Say that there is none: requests would read the whole body and re-use the headers."""

    def __reduce__(self) -> Any:
        raise TypeError("a session is never pickled")


def exchange(
    session: Session,
    method: str,
    url: str,
    call: Call,
    *,
    auth: requests.auth.AuthBase | None = None,
    headers: Mapping[str, str] | None = None,
    data: bytes | None = None,
    limit: int = MAX_JSON,
    sink: Callable[[bytes], object] | None = None,
) -> Exchanged:
    """Send one request and read its answer. It is never sent a second time.

    Parameters
    ----------
    session : Session
    method, url : str
    call : Call
        The deadline, and whether anything was sent.
    auth : AuthBase, optional
        Adds the key.
    headers, data : mapping, bytes, optional
        Of the request.
    limit : int, default 1 MiB
        The most bytes of the decoded body.
    sink : callable, optional
        Takes the body of a 200 in pieces, instead of ``answer.body``. It may raise OSError.

    Returns
    -------
    Exchanged
        Whatever happened; nothing is raised.
    """
    parts = _Parts(limit, sink)
    error: BaseException | None = None
    token = CALL.set(call)
    try:
        request = requests.Request(method, url, headers=headers, data=data, auth=auth)
        prepared = session.prepare_request(request)
        with session.send(prepared, stream=True, allow_redirects=False) as response:
            parts.read(response)
    except BaseException as caught:  # noqa: BLE001 - judged below, outside of this block
        error = caught
    finally:
        CALL.reset(token)
    answer = parts.answer(call.sent, None if error is None else _words(error))
    interrupt = _interrupt(error, call)
    _forget(error)
    LOG.debug("%s: HTTP %s, %s", method, answer.status, answer.failure or "complete")
    return Exchanged(answer, interrupt)


def check_proxies(proxies: Mapping[str, str] | None) -> dict[str, str]:
    """Return the proxies to use; they are only ever given by hand, never by the environment.

    Raises
    ------
    ConfigurationError
        Unless each is an ``http://`` or ``https://`` address. SOCKS connections would not tell
        whether a byte of a paid request has left.
    """
    for name, url in (proxies or {}).items():
        scheme = str(url).partition("://")[0].lower()
        if type(name) is not str or type(url) is not str or scheme not in ("http", "https"):
            raise ConfigurationError(
                "proxies= takes a dict such as {'https': 'http://proxy.example:3128'}; "
                "each proxy's address begins with http:// or https://."
            )
    return dict(proxies or {})


class _Parts:
    """Collects an answer piece by piece, so that what had arrived before a failure is kept."""

    def __init__(self, limit: int, sink: Callable[[bytes], object] | None) -> None:
        self._status: int | None = None
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._failure: str | None = None
        self._limit = limit
        self._sink = sink

    def read(self, response: requests.Response) -> None:
        self._status = response.status_code
        self._headers = dict(response.headers)
        keep = self._sink if self._sink and self._status == 200 else self._body.extend
        size = 0
        for chunk in _chunks(response.raw):
            size += len(chunk)
            if size > self._limit:
                self._failure = TOO_LARGE
                return
            keep(chunk)

    def answer(self, sent: bool, failure: str | None) -> Answer:
        return Answer(
            sent=sent,
            status=self._status,
            headers=self._headers,
            body=bytes(self._body),
            failure=failure or self._failure,
        )


def _chunks(raw: Any) -> Iterator[bytes]:
    """Yield the decoded body as it arrives, in pieces of bounded size."""
    while chunk := raw.read1(_CHUNK, decode_content=True):
        yield chunk


def _interrupt(error: BaseException | None, call: Call) -> BaseException | None:
    if call.stopped is not None:
        return call.stopped
    if error is None or isinstance(error, Exception):
        return None
    return error


def _forget(error: BaseException | None) -> None:
    """Cut off the tracebacks: their frames hold the request, and a verbose one prints the key.

    It also breaks the circles of errors and frames in requests and urllib3, which would keep the
    key in memory until the next garbage collection.
    """
    for cause in list(_causes(error)):
        cause.__traceback__ = cause.__context__ = cause.__cause__ = None


# The first class that is found in an error or in what caused it decides; most telling first.
_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (BlockedAddressError, BLOCKED),
    (StoppedError, "it was stopped just before sending"),
    (ssl.SSLCertVerificationError, UNTRUSTED),
    (socket.gaierror, "the host name cannot be resolved"),
    (ConnectionRefusedError, "the connection was refused"),
    (ProxyError, "the proxy failed"),
    (TimeoutError, TIMED_OUT),
    (ConnectionResetError, "the connection was reset"),
    (ssl.SSLError, "the encrypted connection broke"),
    (IncompleteRead, "the answer was cut off"),
    (DecodeError, "the answer's compression is broken"),
    (http.client.HTTPException, "the answer is not HTTP, or there was none"),
    (requests.exceptions.InvalidURL, "the address is malformed"),
    (OSError, "the connection failed"),
)


def _words(error: BaseException) -> str:
    """Describe an error by its class only: its text may quote the request."""
    chain = list(_causes(error))
    for kind, words in _WORDS:
        if any(isinstance(cause, kind) for cause in chain):
            return words
    return f"{type(error).__name__} while talking to the server"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Walk through an error, its causes, and the errors that requests and urllib3 wrap."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        cause = waiting.pop(0)
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        reason = getattr(cause, "reason", None)
        waiting += [cause.__cause__, cause.__context__, reason, *cause.args]
