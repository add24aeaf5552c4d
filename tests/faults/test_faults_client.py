"""Rows A1-A5, A7, A13, A14, B1, B3-B5, C1-C3 and C10 of the fault table, for the client."""

from __future__ import annotations

import _thread
import contextlib
import datetime as dt
import http.client
import logging
import os
import pickle
import resource
import signal
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from IPython.core.ultratb import VerboseTB

import luma_widgets as lw
from luma_widgets.config import ApiKey
from luma_widgets.errors import (
    AuthenticationError,
    ConfigurationError,
    InsufficientCreditsError,
    LogError,
    LumaError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitedError,
    RejectedError,
    RequestError,
    ServiceError,
)
from luma_widgets.transport.create import UNKNOWN
from luma_widgets.transport.retries import Backoff, retry_after
from tests import faultserver as fs

CANARY = "key_0canary0canary0canary0canary00"
REQUEST = lw.Ray2Request(prompt="A cat walking in the garden")
CREDITS = fs.answer(200, {"code": 1, "data": {"credits": 7}}, keep=True)


class Sleeps(list[float]):
    """Records waits instead of waiting."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def client_of(server: Any, **options: Any) -> lw.PixwithClient:
    """Make a client of a fault server that does not really wait."""
    options.setdefault("backoff", Backoff(sleep=Sleeps(), random=lambda: 0.5))
    options.setdefault("timeout", 5)
    url = server if isinstance(server, str) else server.url
    return lw.PixwithClient(api_key=CANARY, base_url=url, **options)


@contextlib.contextmanager
def proxied_name(name: str, address: str, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a host name resolve to an address."""
    real = socket.getaddrinfo

    def resolve(host: Any, *rest: Any, **more: Any) -> Any:
        return real(address if host == name else host, *rest, **more)

    with patch.context() as patched:
        patched.setattr(socket, "getaddrinfo", resolve)
        yield


# A: the paid request ---------------------------------------------------------------------

AFTER_ACCEPT: dict[str, Callable[[], fs.Behaviour]] = {
    "FIN at once": fs.hang_up,
    "FIN after the request": lambda: fs.hang_up(after_request=True),
    "RST after the request": lambda: fs.reset(after_request=True),
    "time-out": fs.stall,
    "garbage": lambda: fs.raw(b"\x00\x01\x02 no HTTP\r\n\r\n"),
    "half a head": lambda: fs.raw(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "cut-off body": lambda: fs.answer(200, b'{"code": 1, "data": {"task', length=500),
}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("fault", AFTER_ACCEPT)
def test_A1_fault_after_accept_is_unknown_and_sent_once(
    fault: str, tls: bool, tmp_path: Path
) -> None:
    """Whatever breaks after the first byte: one connection, one request, outcome unknown."""
    with fs.FaultServer(AFTER_ACCEPT[fault](), fs.created(), tls=tls) as server:
        verify = fs.trusted(tmp_path) if tls else True
        with client_of(server, verify=verify, timeout=0.5) as client:
            with pytest.raises(OutcomeUnknownError) as caught:
                client.create_task(REQUEST)
            assert str(caught.value).startswith(UNKNOWN)
        assert server.connections == 1
        assert len(server.requests) <= 1


def test_A1_reset_before_the_request_is_read_is_never_sent_twice() -> None:
    """A RST right after accept: not sent or unknown, but the service sees at most one request."""
    with fs.FaultServer(fs.reset(), fs.reset(), fs.reset(), fs.created()) as server:
        with client_of(server) as client, pytest.raises((OutcomeUnknownError, NotSentError)):
            client.create_task(REQUEST)
        assert len(server.requests) == 0


def test_A2_tls_broken_after_accept_is_unknown_and_sent_once(tmp_path: Path) -> None:
    """A broken TLS record after the request: requests' own retries would send it four times."""
    with fs.FaultServer(fs.broken_tls(), fs.created(), tls=True) as server:
        with (
            client_of(server, verify=fs.trusted(tmp_path)) as client,
            pytest.raises(OutcomeUnknownError),
        ):
            client.create_task(REQUEST)
        assert len(server.requests) == server.connections == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        fs.answer(500, b"<html>oops</html>"),
        fs.answer(502, {"code": 0, "message": "busy"}),
        fs.answer(503, {"code": 2, "message": "Invalid API KEY"}),
        fs.redirect(302, "http://127.0.0.1:9/"),
        fs.answer(200, b"<html>maintenance</html>"),
        fs.answer(200, {"code": 1, "data": {}}),
        fs.answer(200, {"code": 17, "message": "what?"}),
        fs.answer(200, b'{"code": true, "data": {"task_id": "a"}}'),
        fs.answer(408, b""),
        fs.gzip_bomb(64 << 20),
    ],
)
def test_A3_ambiguous_answers_are_unknown(behaviour: fs.Behaviour) -> None:
    """An answer that proves neither success nor refusal leaves the outcome unknown, sent once."""
    with fs.FaultServer(behaviour, fs.created()) as server:
        with client_of(server) as client, pytest.raises(OutcomeUnknownError):
            client.create_task(REQUEST)
        assert len(server.requests) == 1


def test_A3_excerpt_is_short_and_redacted() -> None:
    """The error keeps 2 KB of the body, without the key and what looks like one."""
    body = f"<p>{CANARY} key_{'a' * 32} signature=abcdef123456</p>\x00".encode() + b"x" * 9000
    with (
        fs.FaultServer(fs.answer(502, body)) as server,
        client_of(server) as client,
        pytest.raises(OutcomeUnknownError) as caught,
    ):
        client.create_task(REQUEST)
    excerpt = caught.value.excerpt
    assert caught.value.http_status == 502
    assert excerpt is not None
    assert excerpt.startswith("<p>")
    assert len(excerpt) <= 2048
    assert CANARY not in excerpt
    assert "key_aaa" not in excerpt
    assert "abcdef123456" not in excerpt
    assert "\x00" not in excerpt


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    status=st.integers(200, 599),
    body=st.binary(max_size=40)
    | st.sampled_from([b'{"code":1}', b'{"code":0}', b'{"code":2,"msg":"x"}', b'{"code":9}']),
)
def test_A3_one_request_whatever_the_answer(status: int, body: bytes) -> None:
    """Over statuses and bodies: one request, and only errors of our own tree."""
    with fs.FaultServer(fs.answer(status, body)) as server:
        with client_of(server) as client, pytest.raises(LumaError) as caught:
            client.create_task(REQUEST)
        assert server.connections == len(server.requests) == 1
    if status >= 500 or status // 100 == 3:
        assert isinstance(caught.value, OutcomeUnknownError)


@contextlib.contextmanager
def unreachable(kind: str) -> Iterator[tuple[str, dict[str, Any], Callable[[int], int]]]:
    """Yield a base URL, options and a connection count, for each way of not getting through."""
    if kind == "refused":
        with fs.closed_port() as port:
            yield f"http://127.0.0.1:{port}", {}, lambda expected: expected
    elif kind == "DNS":
        yield "https://no-such-host.invalid", {}, lambda expected: expected
    elif kind == "untrusted certificate":
        with fs.FaultServer(fs.created(), tls=True) as server:
            yield server.url, {}, server.seen
    elif kind == "handshake stall":
        with fs.FaultServer(fs.no_handshake(), tls=True) as server:
            yield server.url, {"timeout": 0.3}, server.seen
    elif kind == "proxy refuses":
        with fs.FaultServer(fs.refuse_connect()) as proxy:
            proxies = {"https": proxy.url}
            yield "https://service.example", {"proxies": proxies}, proxy.seen
    else:
        with fs.FaultServer(fs.hang_up()) as server:  # plain FIN instead of a handshake
            yield f"https://127.0.0.1:{server.port}", {}, server.seen


KINDS = [
    "refused",
    "DNS",
    "untrusted certificate",
    "handshake stall",
    "proxy refuses",
    "no TLS there",
]


@pytest.mark.parametrize("kind", KINDS)
def test_A4_unsent_is_tried_three_times_with_jitter(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where provably nothing was written, it is tried three times and then reported as not sent."""
    real = socket.getaddrinfo

    def resolve(host: str, *rest: Any) -> Any:
        if host.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return real(host, *rest)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    sleeps, hooks = Sleeps(), []
    with unreachable(kind) as (url, options, connections):
        backoff = Backoff(sleep=sleeps)
        with (
            client_of(url, backoff=backoff, **options) as client,
            pytest.raises(NotSentError) as caught,
        ):
            client.create_task(REQUEST, before_send=lambda: hooks.append(1))
        assert connections(3) == 3
    assert "3 attempts" in str(caught.value)
    assert not hooks
    assert 0.25 <= sleeps[0] <= 0.5
    assert 0.5 <= sleeps[1] <= 1
    assert len(sleeps) == 2


def test_A4_name_that_is_not_resolved_meets_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that does not answer holds a call no longer than its time."""
    release = threading.Event()

    def resolve(*_: Any) -> Any:
        release.wait(5)
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    began = time.monotonic()
    with client_of("https://slow.example", timeout=0.3) as client, pytest.raises(NotSentError):
        client.create_task(REQUEST, attempts=1)
    assert time.monotonic() - began < 1.5
    release.set()


def test_A4_unsent_then_sent_creates_once(tmp_path: Path) -> None:
    """A handshake that fails first and works then: one request, one task."""
    script = (_close_bare(), fs.created("t1"))
    with fs.FaultServer(*script, tls=True) as server:
        with client_of(server, verify=fs.trusted(tmp_path)) as client:
            assert client.create_task(REQUEST).task_id == "t1"
        assert (server.connections, len(server.requests)) == (2, 1)


def _close_bare() -> fs.Behaviour:
    behave = fs.hang_up()
    behave.bare = True  # type: ignore[attr-defined]
    return behave


def test_A4_each_create_opens_a_new_connection() -> None:
    """A connection that could be kept is not used again: it may have died idle."""
    with fs.FaultServer(fs.answer(200, _task("t"), keep=True)) as server:
        with client_of(server) as client:
            for _ in range(3):
                client.create_task(REQUEST)
        assert server.connections == len(server.requests) == 3
        assert {r.headers["connection"] for r in server.requests} == {"close"}


def test_A4_reused_read_connection_that_died_is_replaced() -> None:
    """A free call survives a kept connection that the server closed meanwhile."""
    body = b'{"code": 1, "data": {"credits": 7}}'
    once = fs.raw(fs.head(200, len(body)) + body)  # closes after each answer without saying so
    with fs.FaultServer(once) as server, client_of(server) as client:
        assert [client.get_credits() for _ in range(3)] == [7.0, 7.0, 7.0]


def _task(task_id: str) -> dict[str, Any]:
    return {"code": 1, "message": "success", "data": {"task_id": task_id, "estimated_time": 1}}


def test_A4_hook_runs_connected_and_before_the_first_byte(tmp_path: Path) -> None:
    """The caller's hook runs after TLS, when the server has seen no byte of the request."""
    with fs.FaultServer(fs.created(), tls=True) as server:
        seen: list[tuple[int, int]] = []

        def hook() -> None:
            seen.append((server.seen(1), server.received))

        with client_of(server, verify=fs.trusted(tmp_path)) as client:
            client.create_task(REQUEST, before_send=hook)
        assert seen == [(1, 0)]
        assert server.received > 0


@pytest.mark.parametrize(
    "error",
    [KeyError("mine"), ConnectionResetError(104, "mine"), BrokenPipeError(32, "x"), SystemExit(3)],
    ids=lambda e: type(e).__name__,
)
def test_A4_hook_that_raises_stops_the_call(error: BaseException) -> None:
    """The hook's own exception comes out as it is, and not a byte is written."""

    def hook() -> None:
        raise error

    with fs.FaultServer(fs.created()) as server:
        with client_of(server) as client, pytest.raises(type(error)) as caught:
            client.create_task(REQUEST, before_send=hook)
        assert caught.value is error
        assert not getattr(error, "__notes__", [])
        assert (server.received, len(server.requests), server.seen(1)) == (0, 0, 1)


def test_A4_time_that_the_hook_used_up_leaves_nothing_sent() -> None:
    """A deadline that passes in the hook is noticed before the first byte."""
    with fs.FaultServer(fs.created()) as server:
        with client_of(server, timeout=0.1) as client, pytest.raises(NotSentError):
            client.create_task(REQUEST, attempts=1, before_send=lambda: time.sleep(0.2))
        assert server.received == 0


def test_A4_proxy_tunnel_does_not_count_as_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a proxy the call counts as sent only after CONNECT and TLS to the service."""
    with (
        fs.FaultServer(fs.created("t9"), tls=True) as service,
        fs.FaultServer(fs.proxy()) as proxy,
        proxied_name("service.example", "127.0.0.1", monkeypatch),
    ):
        seen = []
        url = f"https://service.example:{service.port}"
        with client_of(url, verify=fs.trusted(tmp_path), proxies={"https": proxy.url}) as client:
            task = client.create_task(REQUEST, before_send=lambda: seen.append(service.received))
        assert task.task_id == "t9"
        assert seen == [0]
        assert proxy.requests[0].method == "CONNECT"
        assert "api-key" not in proxy.requests[0].headers


def test_A4_tunnel_through_a_proxy_with_tls_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that is itself reached over TLS sees no key, and its certificate is checked."""
    with (
        fs.FaultServer(fs.created("t8"), tls=True) as service,
        fs.FaultServer(fs.proxy(), tls=True) as proxy,
        proxied_name("service.example", "127.0.0.1", monkeypatch),
    ):
        url, proxies = f"https://service.example:{service.port}", {"https": proxy.url}
        with client_of(url, proxies=proxies) as client, pytest.raises(NotSentError):
            client.create_task(REQUEST, attempts=1)
        with client_of(url, verify=fs.trusted(tmp_path), proxies=proxies) as client:
            assert client.create_task(REQUEST).task_id == "t8"
        assert len(service.requests) == len(proxy.requests) == 1
        assert "api-key" not in proxy.requests[0].headers


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        ("99999999", 60.0),
        ("9" * 50, 60.0),
        ("-5", None),
        ("1.5", 1.5),
        ("nan", None),
        ("inf", None),
        ("1e3", None),
        ("", None),
        ("soon", None),
        ("\u0661\u0662", None),
        ("7, 8", None),
        ("Mon, 23 Nov 2026 12:00:30 GMT", 30.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 60.0),
        ("Mon, 99 Foo 99999 99:99:99 GMT", None),
        ("Monday, 23-Nov-26 12:00:10 GMT", 10.0),
        ("x" * 10_000, None),
        (None, None),
    ],
)
def test_A5_retry_after_is_read_with_suspicion(value: str | None, seconds: float | None) -> None:
    """Whatever the header says, the wait lies between 0 and 60 seconds or is our own."""
    now = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
    assert retry_after(value, lambda: now) == seconds


@given(st.text(max_size=60))
def test_A5_retry_after_never_raises(value: str) -> None:
    """Any text gives None or a number between 0 and 60."""
    found = retry_after(value)
    assert found is None or 0 <= found <= 60


@pytest.mark.parametrize("value", ["99999999", "-5", "1.5", "nan", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_A5_429_is_not_sent_and_not_repeated(value: str) -> None:
    """A paid call that meets 429 is reported with the server's wish, and not sent again."""
    limited = fs.answer(429, b'{"error": "slow down"}', {"Retry-After": value})
    with fs.FaultServer(limited, fs.created()) as server:
        with client_of(server) as client, pytest.raises(RateLimitedError) as caught:
            client.create_task(REQUEST)
        assert len(server.requests) == 1
    assert caught.value.retry_after is None or 0 <= caught.value.retry_after <= 60


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [("2", 2, 2), ("99999999", 60, 60), ("-5", 0.2, 1), ("nan", 0.2, 1), ("0", 0.2, 1)],
)
def test_A5_free_calls_wait_as_asked(value: str, low: float, high: float) -> None:
    """A free call that meets 429 waits by its own reading of Retry-After and goes on."""
    sleeps = Sleeps()
    limited = fs.answer(429, b"", {"Retry-After": value})
    with fs.FaultServer(limited, CREDITS) as server:
        backoff = Backoff(sleep=sleeps)
        with client_of(server, backoff=backoff, timeout=100) as client:
            assert client.get_credits() == 7
    assert len(sleeps) == 1
    assert low <= sleeps[0] <= high


def test_A5_a_wish_beyond_the_deadline_is_not_waited_for() -> None:
    """When the server asks for more time than is left, the call fails at once."""
    sleeps = Sleeps()
    with (
        fs.FaultServer(fs.answer(429, b"", {"Retry-After": "50"}), CREDITS) as server,
        client_of(server, backoff=Backoff(sleep=sleeps), timeout=5) as client,
        pytest.raises(ServiceError),
    ):
        client.get_credits()
    assert sleeps == []


def ctrl_c() -> None:
    """Interrupt the main thread as a terminal and a notebook do."""
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("how", [ctrl_c, _thread.interrupt_main])
def test_A7_interrupt_during_the_post_is_raised_with_a_note(how: Callable[[], None]) -> None:
    """Ctrl+C while the answer is awaited: the interrupt goes on, and says what it may mean."""
    with fs.FaultServer(fs.stall()) as server, client_of(server, timeout=1) as client:

        def interrupt() -> None:
            server.arrived.wait(5)
            time.sleep(0.1)
            how()

        thread = threading.Thread(target=interrupt)
        thread.start()
        try:
            with pytest.raises(KeyboardInterrupt) as caught:
                client.create_task(REQUEST)
        finally:
            thread.join()
        assert caught.value.__notes__ == [UNKNOWN]
        assert len(server.requests) == server.connections == 1
    _assert_hidden(caught.value)


def test_A7_interrupt_before_anything_was_sent_has_no_note(tmp_path: Path) -> None:
    """Ctrl+C during the handshake: the interrupt goes on, and nothing was sent."""
    with fs.FaultServer(fs.no_handshake(), tls=True) as server:
        timer = threading.Timer(0.3, ctrl_c)
        timer.start()
        with client_of(server, verify=fs.trusted(tmp_path)) as client:
            try:
                with pytest.raises(KeyboardInterrupt) as caught:
                    client.create_task(REQUEST)
            finally:
                timer.cancel()
        assert not getattr(caught.value, "__notes__", [])
        assert server.received == 0


def test_A13_outage_with_1000_tasks_does_not_multiply_traffic() -> None:
    """In an outage the retries of a thousand polls are a small stock, not three thousand."""
    with fs.FaultServer(fs.answer(503, b"", keep=True)) as server, client_of(server) as client:
        for number in range(1000):
            with pytest.raises(ServiceError):
                client.get_task(f"task-{number}")
        assert 1000 <= len(server.requests) <= 1050


def test_A13_reads_keep_a_total_deadline() -> None:
    """All attempts and waits of a free call together end with its time."""
    with (
        fs.FaultServer(fs.stall()) as server,
        client_of(server, timeout=0.4, backoff=None) as client,
    ):
        start = time.monotonic()
        with pytest.raises(ServiceError):
            client.get_credits()
        assert time.monotonic() - start < 1.5


def _draft(**changes: Any) -> lw.Ray2Request:
    request = REQUEST.copy()
    for name, value in changes.items():
        request._trait_values[name] = value  # behind the checks, as a careless program might
    return request


@pytest.mark.parametrize(
    "request_",
    [
        lw.Ray2Request(),
        lw.Ray2Request(prompt="  "),
        lw.Ray2Request(prompt="a", model_id="3-4"),
        lw.Ray2Request(prompt="a", end_image="https://x.example/a.png"),
        _draft(duration=7),
        _draft(duration=True),
        _draft(loop=1),
        _draft(prompt="a\x00"),
        _draft(start_image="ftp://x.example/a.png"),
        {"prompt": "a"},
        None,
    ],
    ids=str,
)
def test_A14_invalid_requests_never_reach_the_network(request_: Any) -> None:
    """A request that is not valid is refused before a connection is opened."""
    with fs.FaultServer(fs.created()) as server:
        with client_of(server) as client, pytest.raises(RequestError):
            client.create_task(request_)
        assert server.connections == 0


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(["duration", "loop", "resolution", "aspect_ratio", "model_id"]),
    st.none() | st.integers() | st.floats() | st.text(max_size=5) | st.booleans(),
)
def test_A14_changed_behind_the_traits(name: str, value: Any) -> None:
    """Whatever is smuggled into an option: valid, or refused before the network."""
    request = _draft(**{name: value})
    with fs.FaultServer(fs.created()) as server, client_of(server) as client:
        try:
            client.create_task(request)
        except RequestError:
            assert server.connections == 0
        else:
            assert lw.Ray2Request.from_payload(server.requests[0].json) == request


# B: secrets ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_B1_redirects_are_never_followed(status: int) -> None:
    """A redirect is an error for every call with a key; the other host sees nothing."""
    with fs.FaultServer(CREDITS, host="127.0.0.2") as other:
        script = fs.redirect(status, f"{other.url}/api/task/create", b"x" * 100)
        with fs.FaultServer(script) as server, client_of(server) as client:
            with pytest.raises(OutcomeUnknownError):
                client.create_task(REQUEST)
            with pytest.raises(ServiceError):
                client.get_task("a")
            with pytest.raises(ServiceError):
                client.get_credits()
        assert other.connections == 0
        assert len(server.requests) == 3


def test_B1_redirect_with_a_bomb_is_not_unpacked() -> None:
    """The body of a redirect is not read without a limit, as requests would do."""
    bomb = fs.gzip_bomb(1 << 30, status=302, to="http://127.0.0.2:9/")
    with fs.FaultServer(bomb) as server, client_of(server) as client:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(OutcomeUnknownError):
            client.create_task(REQUEST)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 50 * 1024


def test_B3_environment_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies, netrc, certificates and key logs of the environment play no part."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login canary password canary\n")
    netrc.chmod(0o600)
    log = tmp_path / "tls-keys"
    with fs.FaultServer() as proxy, fs.FaultServer(fs.created(), tls=True) as server:
        ca = fs.trusted(tmp_path)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("NETRC", str(netrc))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca)
        monkeypatch.setenv("SSL_CERT_FILE", ca)
        monkeypatch.setenv("SSLKEYLOGFILE", str(log))
        with client_of(server) as client, pytest.raises(NotSentError, match="not trusted"):
            client.create_task(REQUEST)
        with client_of(server, verify=ca) as client:
            client.create_task(REQUEST)
        assert proxy.connections == 0
        assert "authorization" not in server.requests[0].headers
        assert not log.exists()


@pytest.mark.parametrize(
    "url",
    [
        "http://api.pixwith.ai",
        "http://10.0.0.1",
        "http://127.0.0.1.nip.example",
        "http://localhost.example",
        "ftp://127.0.0.1",
        "https://user:pw@api.pixwith.ai",
        "https://api.pixwith.ai?x=1",
        "//api.pixwith.ai",
        "api.pixwith.ai",
        "https://",
        "",
    ],
)
def test_B3_only_https_or_this_machine(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A base URL over which the key could be read is refused (empty means the default)."""
    monkeypatch.delenv("PIXWITH_BASE_URL", raising=False)
    if url:
        with pytest.raises(ConfigurationError):
            client_of(url)
    else:
        with client_of(url) as client:
            assert client.base_url == "https://api.pixwith.ai"


@pytest.mark.parametrize("proxies", [{"https": "socks5://127.0.0.1:1"}, {"https": "x"}, {"a": 3}])
def test_B3_odd_proxies_are_refused(proxies: Any) -> None:
    """Only http and https proxies are taken: others hide whether a byte was sent."""
    with pytest.raises(ConfigurationError):
        client_of("https://api.pixwith.ai", proxies=proxies)


def _shown(value: object) -> str:
    """Return an object's repr; one whose constructor failed may have none."""
    try:
        return repr(value)
    except AttributeError:
        return repr(getattr(value, "__dict__", ""))


def _assert_hidden(error: BaseException) -> None:
    """Search everything that could be printed or stored of an error for the key."""
    assert error.__traceback__ is not None
    error = error.with_traceback(error.__traceback__.tb_next)  # this test's own frame knows it
    seen: BaseException | None = error
    texts = [repr(error), str(error), "".join(traceback.format_exception(error))]
    texts.append(VerboseTB(theme_name="nocolor").text(type(error), error, error.__traceback__))
    while seen is not None:
        frame_list = list(traceback.walk_tb(seen.__traceback__))
        texts += [_shown(value) for frame, _ in frame_list for value in frame.f_locals.values()]
        texts.append(repr(vars(seen)))
        seen = seen.__context__
    if isinstance(error, LumaError):
        assert error.__context__ is None
        assert error.__cause__ is None
        texts.append(repr(pickle.loads(pickle.dumps(error)).__dict__))  # noqa: S301 - our own
    assert len(texts) > 5
    assert not [text for text in texts if CANARY in text]


@pytest.mark.parametrize(
    "make",
    [
        lambda key: lw.PixwithClient(key + "\n"),
        lambda key: lw.PixwithClient(key, timeout=-1),
        lambda key: lw.PixwithClient(key, base_url="ftp://a"),
        lambda key: lw.Experiment("", api_key=key),
        lambda key: lw.Experiment(api_key=key + " \u00fc"),
        lambda key: lw.Experiment(api_key=key, log=":memory:"),
        lambda key: lw.ApiKeyField(key * 50),
        lambda key: lw.Simulator(api_key=key),
    ],
)
def test_B4_no_frame_of_a_constructor_that_fails_holds_the_key(
    make: Callable[[str], object],
) -> None:
    """Whatever is wrong, with the key or beside it, no variable of our frames shows the key."""
    with pytest.raises((ConfigurationError, LogError)) as caught:
        make(CANARY)
    traceback_ = caught.value.__traceback__
    assert traceback_ is not None
    assert traceback_.tb_next is not None
    _assert_hidden(caught.value.with_traceback(traceback_.tb_next))  # the lambda knows it too


FAILING: dict[str, Callable[[], fs.Behaviour]] = {
    "rejected": lambda: fs.refused(f"Invalid API KEY {CANARY}"),
    "echo": lambda: fs.answer(500, CANARY.encode()),
    "echo in HTML": lambda: fs.answer(403, f"<b>{CANARY}</b>".encode()),
    "limited": lambda: fs.answer(429, CANARY.encode(), {"Retry-After": CANARY}),
    "reset": lambda: fs.reset(after_request=True),
    "garbage": lambda: fs.raw(b"no HTTP\r\n\r\n"),
    "bad header": lambda: fs.raw(f"HTTP/1.1 200 OK\r\n{CANARY}\r\n\r\n".encode()),
    "redirect": lambda: fs.redirect(302, f"http://127.0.0.1:9/{CANARY}"),
}


@pytest.mark.parametrize("call", ["create", "read"])
@pytest.mark.parametrize("name", FAILING)
def test_B4_key_is_in_no_error(
    name: str, call: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not in messages, tracebacks with variables, pickles, logs of level 1 or debug output."""
    caplog.set_level(1)
    logging.getLogger("urllib3").setLevel(1)
    http.client.HTTPConnection.debuglevel = 1
    try:
        with (
            fs.FaultServer(FAILING[name]()) as server,
            client_of(server) as client,
            pytest.raises(LumaError) as caught,
        ):
            client.create_task(REQUEST) if call == "create" else client.get_credits()
    finally:
        http.client.HTTPConnection.debuglevel = 0
        logging.getLogger("urllib3").setLevel(logging.NOTSET)
    _assert_hidden(caught.value)
    assert CANARY not in caplog.text
    assert CANARY not in "".join(capfd.readouterr())


def test_B4_key_is_in_no_representation() -> None:
    """Neither client nor key show it, and neither can be pickled or copied."""
    with client_of("https://api.pixwith.ai") as client:
        assert CANARY not in repr(client) + str(vars(client))
        with pytest.raises(TypeError, match="API key"):
            pickle.dumps(client)
    with pytest.raises(TypeError):
        pickle.dumps(ApiKey(CANARY))


def test_B4_hook_errors_hide_the_key() -> None:
    """The traceback of the caller's own exception passes through no frame that holds it."""

    def hook() -> None:
        raise KeyError("mine")

    with (
        fs.FaultServer(fs.created()) as server,
        client_of(server) as client,
        pytest.raises(KeyError) as caught,
    ):
        client.create_task(REQUEST, before_send=hook)
    _assert_hidden(caught.value)


@given(st.text(min_size=1, max_size=30))
def test_B5_malformed_keys_are_refused_unquoted(key: str) -> None:
    """A key with line breaks, spaces or non-Latin letters is refused without being quoted."""
    plain = key.strip(" ")
    if plain and all("!" <= character <= "~" for character in plain):
        with lw.PixwithClient(api_key=key, base_url="http://127.0.0.1:1") as client:
            assert key not in repr(client) or len(key) < 5
        return
    with pytest.raises(ConfigurationError) as caught:
        lw.PixwithClient(api_key="canary" + key + "\n", base_url="http://127.0.0.1:1")
    assert "canary" not in str(caught.value)


# C: hostile answers ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b'{"code": NaN}',
        b'{"code": 1, "code": 1, "data": {"status": 2, "result_urls": ["https://x"]}}',
        b'{"code": 1, "data": ' + b"[" * 100_000,
        b'{"code": 1, "data": {"status": ' + b"9" * 5000 + b"}}",
        b'{"code": true, "data": {"status": 2}}',
    ],
    ids=["NaN", "twice", "deep", "digits", "boolean"],
)
def test_C1_hostile_json_ends_a_read_politely(body: bytes) -> None:
    """A poll that gets such an answer raises ServiceError, and the next one works."""
    good = fs.answer(200, {"code": 1, "data": {"status": 1}})
    with fs.FaultServer(fs.answer(200, body), good) as server, client_of(server) as client:
        with pytest.raises(ServiceError):
            client.get_task("a")
        assert client.get_task("a").status is lw.TaskStatus.PROCESSING


@pytest.mark.parametrize("what", ["gzip bomb", "endless body"])
def test_C2_decoded_body_is_capped(what: str) -> None:
    """A mebibyte that unpacks to a gibibyte costs less than 50 MiB."""
    behaviour = fs.gzip_bomb(1 << 30) if what == "gzip bomb" else fs.endless()
    with fs.FaultServer(behaviour) as server, client_of(server) as client:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(OutcomeUnknownError, match="larger than allowed"):
            client.create_task(REQUEST)
        with pytest.raises(ServiceError, match="larger than allowed"):
            client.get_credits()
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 50 * 1024


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
DRIPS = {
    "status line": (b"HTTP/1.1 200 OK" + b"!" * 500, b""),
    "headers": (b"X: y\r\n" * 500, b"HTTP/1.1 200 OK\r\n"),
    "continue": (b"HTTP/1.1 100 Continue\r\n\r\n" * 500, b""),
    "body": (b" " * 500, HEAD),
    "chunks": (b"1\r\n \r\n" * 500, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("where", DRIPS)
def test_C3_slow_drip_meets_the_total_deadline(where: str, tls: bool, tmp_path: Path) -> None:
    """A byte now and then never runs into a socket's time-out, but into the call's deadline."""
    data, start = DRIPS[where]
    with fs.FaultServer(fs.drip(data, start=start), tls=tls) as server:
        verify = fs.trusted(tmp_path) if tls else True
        with client_of(server, verify=verify, timeout=0.4) as client:
            began = time.monotonic()
            with pytest.raises(OutcomeUnknownError, match="time ran out"):
                client.create_task(REQUEST)
            assert time.monotonic() - began < 1.2


def test_C3_proxy_that_drips_meets_the_deadline() -> None:
    """The answer of a proxy is under the deadline as well, and nothing counts as sent."""
    with (
        fs.FaultServer(fs.drip(b"HTTP/1.1 200 OK" + b"!" * 500)) as proxy,
        client_of("https://service.example", proxies={"https": proxy.url}, timeout=0.3) as client,
    ):
        began = time.monotonic()
        with pytest.raises(NotSentError):
            client.create_task(REQUEST, attempts=1)
        assert time.monotonic() - began < 1.2


@pytest.mark.parametrize("status", [0, 4, -1, "2", None, True, 2.0, [], {}, 10**30], ids=str)
def test_C10_unknown_status_stays_running_and_says_so(status: Any) -> None:
    """A status outside of the contract counts as processing, with a notice."""
    body = {"code": 1, "data": {"task_id": "a", "status": status, "result_urls": []}}
    with fs.FaultServer(fs.answer(200, body)) as server, client_of(server) as client:
        state = client.get_task("a")
    assert state.status is lw.TaskStatus.PROCESSING
    assert "counts as running" in state.notice


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(JUNK | st.fixed_dictionaries({"status": JUNK, "result_urls": JUNK, "task_id": JUNK}))
def test_C10_any_data_gives_a_state(data: Any) -> None:
    """Whatever the service says of a task, the result is a state of the known kinds."""
    from luma_widgets.transport.tasks import task_state

    state = task_state("mine", data)
    assert state.task_id == "mine"
    assert state.status in lw.TaskStatus
    assert all(type(url) is str and url for url in state.result_urls)
    raw = data.get("status") if isinstance(data, dict) else None
    assert (state.status == raw and type(raw) is int) or state.notice


def test_C10_many_results_are_capped() -> None:
    """Of 5,000 addresses 100 are kept, and things that are no text are left out."""
    urls = [None, 5, *(f"https://x.example/{n}.mp4" for n in range(5000))]
    body = {"code": 1, "data": {"task_id": "a", "status": 2, "result_urls": urls}}
    with fs.FaultServer(fs.answer(200, body)) as server, client_of(server) as client:
        state = client.get_task("a")
    assert state.status is lw.TaskStatus.COMPLETED
    assert len(state.result_urls) == 100
    assert state.result_urls[0] == "https://x.example/0.mp4"
    assert "100 are used" in state.notice


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (fs.refused("Invalid API KEY"), AuthenticationError),
        (fs.refused("Invalid API key. Get a valid API key at https://x"), AuthenticationError),
        (fs.refused("go away", code=2), AuthenticationError),
        (fs.answer(401, b"<html>"), AuthenticationError),
        (fs.refused("Credits not enough"), InsufficientCreditsError),
        (fs.refused("Invalid image format"), RejectedError),
        (fs.answer(413, b"<html>"), RejectedError),
    ],
)
def test_refusals_have_their_own_errors(behaviour: fs.Behaviour, kind: type[Exception]) -> None:
    """Each documented refusal is raised as its own class, with the service's words."""
    with (
        fs.FaultServer(behaviour) as server,
        client_of(server) as client,
        pytest.raises(RejectedError) as caught,
    ):
        client.create_task(REQUEST)
    assert type(caught.value) is kind


def test_unverified_tls_is_possible_on_request() -> None:
    """With verify=False an unknown certificate is accepted, as the user asked for."""
    with (
        fs.FaultServer(fs.created("t2"), tls=True) as server,
        client_of(server, verify=False) as client,
        pytest.warns(Warning, match="Unverified"),
    ):
        assert client.create_task(REQUEST).task_id == "t2"
    assert ssl.CERT_NONE == 0
