"""Exchanges, deadlines, retries and redaction: the parts that the client is made of."""

from __future__ import annotations

import gc
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from luma_widgets.config import ApiKey
from luma_widgets.transport.deadline import Call, StoppedError, tls_context
from luma_widgets.transport.redact import clean, excerpt, place, redact
from luma_widgets.transport.retries import Backoff, RetryQuota
from luma_widgets.transport.session import TIMED_OUT, TOO_LARGE, Session, exchange
from tests import faultserver as fs

CONTEXT = tls_context(verify=True)
KEY = ApiKey("key_0123456789abcdef0123456789abcdef")


def post(server: fs.FaultServer, call: Call | None = None, **options: Any) -> Any:
    """Make one exchange with a fault server."""
    with Session(CONTEXT) as session:
        return exchange(session, "POST", server.url, call or Call(5), data=b"{}", **options)


def test_exchange_returns_the_whole_answer() -> None:
    """Status, headers in any case, and body come back; the call counts as sent."""
    with fs.FaultServer(fs.answer(418, b"short and stout", {"X-Pot": "tea"})) as server:
        done = post(server)
    assert (done.answer.status, done.answer.body) == (418, b"short and stout")
    assert done.answer.header("x-POT") == "tea"
    assert done.answer.sent
    assert done.answer.failure is None


def test_exchange_unpacks_gzip_below_the_limit() -> None:
    """A compressed answer is unpacked, up to the limit and not a byte beyond."""
    with fs.FaultServer(fs.gzip_bomb(1 << 20)) as server:
        assert len(post(server).answer.body) == 1 << 20
        assert post(server, limit=(1 << 20) - 1).answer.failure == TOO_LARGE


def test_exchange_keeps_what_arrived_before_a_failure() -> None:
    """The part of a body that came is there for the excerpt, and the failure is said."""
    with fs.FaultServer(fs.answer(200, b"half a ", length=14)) as server:
        answer = post(server).answer
    assert answer.body == b"half a "
    assert answer.failure == "the answer was cut off"


@pytest.mark.parametrize(
    "encoding", ["gzip", "deflate", "gzip, gzip, gzip, gzip, gzip, gzip, gzip"]
)
def test_exchange_reports_broken_compression(encoding: str) -> None:
    """A body that is not what its header says is a failure, not an exception."""
    body = fs.answer(200, b"not compressed", {"Content-Encoding": encoding})
    with fs.FaultServer(body) as server:
        assert post(server).answer.failure is not None


def test_exchange_takes_no_cookies() -> None:
    """A cookie that the server sets does not come back to it."""
    with fs.FaultServer(fs.answer(headers={"Set-Cookie": "a=b"}, keep=True)) as server:
        with Session(CONTEXT) as session:
            for _ in range(2):
                exchange(session, "POST", server.url, Call(5))
        assert "cookie" not in server.requests[1].headers
        assert server.connections == 1


def test_exchange_leaves_no_socket_open() -> None:
    """Answers that are not read to their end leave no open socket behind."""
    for behaviour in (fs.endless(), fs.stall(), fs.answer(200, b"x", length=9)):
        with fs.FaultServer(behaviour) as server:
            post(server, Call(0.3), limit=1000)
    gc.collect()  # a forgotten socket would warn here, and warnings are errors


def test_threads_share_a_session() -> None:
    """Calls of several threads over one session keep their own deadlines and answers."""
    results: list[int] = []
    with fs.FaultServer(fs.answer(200, b"{}", keep=True)) as server, Session(CONTEXT) as session:

        def work() -> None:
            for _ in range(20):
                done = exchange(session, "POST", server.url, Call(5))
                results.append(done.answer.status or 0)

        threads = [threading.Thread(target=work) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [200] * 200
    assert server.connections <= 10


def test_call_counts_as_sent_once_and_runs_its_hook_once() -> None:
    """The hook runs before the first write only."""
    runs: list[bool] = []
    call = Call(5, before_send=lambda: runs.append(call.sent))
    call.writing()
    call.writing()
    assert call.sent
    assert runs == [False]


def test_call_that_is_stopped_is_never_sent() -> None:
    """A hook that raises leaves the call unsent, and its exception at hand."""
    error = ValueError("no")

    def hook() -> None:
        raise error

    call = Call(5, before_send=hook)
    with pytest.raises(StoppedError):
        call.writing()
    assert not call.sent
    assert call.stopped is error


def test_connecting_has_a_shorter_limit() -> None:
    """Connecting takes at most its own limit, and never more than the whole."""
    now = [0.0]
    call = Call(60, connect=10, clock=lambda: now[0])
    with call.connecting():
        assert call.remaining() == 10
    assert call.remaining() == 60
    now[0] = 55
    with call.connecting():
        assert call.remaining() == 5
    now[0] = 60
    with pytest.raises(TimeoutError):
        call.remaining()


def test_silence_ends_a_transfer_before_its_deadline() -> None:
    """A transfer that has stopped is not waited for until the end of its time."""
    began = time.monotonic()
    with fs.FaultServer(fs.stall()) as server:
        assert post(server, Call(30, idle=0.2)).answer.failure == TIMED_OUT
    assert time.monotonic() - began < 2


def test_all_addresses_of_a_name_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the first address of a name does not answer, the next one is used."""
    real = socket.getaddrinfo
    with fs.FaultServer(fs.answer()) as server, fs.closed_port() as closed:

        def resolve(host: Any, port: int, *rest: Any) -> Any:
            return [*real("127.0.0.1", closed, *rest), *real("127.0.0.1", port, *rest)]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        assert post(server).answer.status == 200


def test_tls_context_is_made_from_a_path(tmp_path: Path) -> None:
    """A file or a folder of certificates can be trusted; versions below TLS 1.2 are off."""
    fs.trusted(tmp_path)
    assert tls_context(str(tmp_path / "ca.pem")).cert_store_stats()["x509_ca"] == 1
    assert tls_context(str(tmp_path)).check_hostname
    with pytest.raises(OSError, match=r"."):
        tls_context(str(tmp_path / "missing.pem"))


def test_delay_grows_with_jitter_up_to_its_longest() -> None:
    """Each wait is between half and all of a doubling time."""
    low, high = Backoff(random=lambda: 0.0), Backoff(random=lambda: 1.0)
    assert [low.delay(n) for n in (1, 2, 3)] == [0.25, 0.5, 1.0]
    assert [high.delay(n) for n in (1, 2, 9)] == [0.5, 1.0, 8.0]


def test_quota_is_used_up_and_comes_back_with_success() -> None:
    """Retries are a stock; ten successes give one back."""
    quota = RetryQuota(stock=2, refund=0.1)
    assert [quota.take() for _ in range(3)] == [True, True, False]
    for _ in range(11):
        quota.succeeded()
    assert [quota.take() for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    "text",
    [
        KEY.reveal(),
        f"x={KEY.reveal()}&y",
        "a2V5XzAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm",
        "sim_00112233445566778899aabbccddeeff",
        "KEY_00112233",
        "Api-Key: topsecret",
        '"api_key": "topsecret"',
        "Authorization: Bearer topsecret",
        "?X-Amz-Signature=topsecret&b",
        "policy=topsecret",
        '{"policy": "topsecret"}',
    ],
)
def test_redact_hides_keys_and_signatures(text: str) -> None:
    """The key in each form, and what looks like a key or a signature."""
    hidden = redact(text, KEY)
    assert "[hidden]" in hidden
    assert not any(secret in hidden for secret in (KEY.reveal(), "topsecret", "00112233"))


def test_redact_leaves_plain_words() -> None:
    """Ordinary messages are not touched."""
    for text in (
        "Credits not enough",
        "Invalid API KEY",
        "Against the content policy: violence",
        "key frames: 12",
        "Invalid api key: see api-documents",
    ):
        assert redact(text, KEY) == text


@given(st.binary(max_size=4000), st.integers(0, 3000))
def test_excerpt_never_shows_the_key(body: bytes, at: int) -> None:
    """Wherever the key stands, the excerpt is short, storable and free of it."""
    text = excerpt(body[:at] + KEY.reveal().encode() + body[at:], KEY)
    assert text is not None
    assert len(text) <= 2048
    assert KEY.reveal()[:12] not in text
    text.encode()


def test_clean_bounds_and_repairs() -> None:
    """Control characters and lone surrogates become visible, long texts are cut."""
    assert clean("a\x00b\ud800") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"
    assert len(clean("x" * 1000)) == 500
    assert excerpt(b"") is excerpt(None) is None


def test_place_drops_what_is_signed() -> None:
    """Messages show scheme, host and path of an address only."""
    assert place("https://u:p@h.example:8/a.mp4?sig=1#f") == "https://h.example:8/a.mp4"
    assert place("https://[broken") == "a malformed address"


def test_a_slow_client_call_does_not_block_others() -> None:
    """A stalled call in one thread leaves the session usable in another."""
    with fs.FaultServer(fs.stall(), fs.answer()) as server, Session(CONTEXT) as session:
        slow = threading.Thread(target=lambda: exchange(session, "POST", server.url, Call(0.6)))
        slow.start()
        assert server.seen(1) == 1
        began = time.monotonic()
        assert exchange(session, "POST", server.url, Call(5)).answer.status == 200
        assert time.monotonic() - began < 0.5
        slow.join()


def test_failed_exchange_leaves_no_circle_behind() -> None:
    """A failure's traceback holds the request; it goes away without the garbage collector."""

    def alive() -> list[requests.PreparedRequest]:
        return [o for o in gc.get_objects() if isinstance(o, requests.PreparedRequest)]

    gc.collect()
    gc.disable()
    try:
        before = {id(request) for request in alive()}
        with fs.FaultServer(fs.reset(after_request=True)) as server:
            post(server)
        with fs.closed_port() as port:
            server.port = port
            post(server)
        kept = [request for request in alive() if id(request) not in before]
    finally:
        gc.enable()
    assert kept == []
