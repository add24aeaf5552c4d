"""The client's calls on the happy path, its arguments, and its reading of answers."""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import luma_widgets as lw
from luma_widgets.config import ApiKey
from luma_widgets.errors import (
    AuthenticationError,
    ConfigurationError,
    ExpiredError,
    InsufficientCreditsError,
    RejectedError,
    ServiceError,
)
from luma_widgets.simulator import SimulatorServer
from luma_widgets.transport.retries import Backoff
from tests import faultserver as fs

KEY = "key_00000000000000000000000000000000"
IMAGES = [
    f"https://cdn.pixwith.ai/images/cf0ddb5ad6a0f0c85ab4d1dceb9fd89c_{n}.jpeg" for n in (0, 1)
]
OPTIONS = {
    "prompt_optimization": True,
    "aspect_ratio": "16:9",
    "resolution": "540p",
    "duration": 5,
    "loop": False,
}
TEXT = {"prompt": "A cat walking in the garden", "model_id": "2-4", "options": OPTIONS}
IMAGE = {**TEXT, "image_urls": IMAGES, "model_id": "3-4"}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIXWITH_API_KEY", "PIXWITH_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def client_of(server: fs.FaultServer, **options: Any) -> lw.PixwithClient:
    """Make a client that does not really wait."""
    options = {"backoff": Backoff(sleep=lambda _: None), "timeout": 5, **options}
    return lw.PixwithClient(api_key=KEY, base_url=server.url, **options)


@pytest.mark.parametrize("payload", [TEXT, IMAGE], ids=["text to video", "image to video"])
def test_documented_requests_are_sent_exactly(payload: dict[str, Any]) -> None:
    """Both documented requests arrive as they stand, with the documented headers."""
    with fs.FaultServer(fs.created()) as server, client_of(server) as client:
        task = client.create_task(lw.Ray2Request.from_payload(payload))
    assert task == lw.Task("d425ab4dc256f0ebaa84862b9cea8a3d", 42)
    (sent,) = server.requests
    assert (sent.method, sent.path) == ("POST", "/api/task/create")
    assert json.dumps(sent.json, sort_keys=True) == json.dumps(payload, sort_keys=True)
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["api-key"] == KEY
    assert "cookie" not in sent.headers


def test_get_task_asks_and_reads_as_documented() -> None:
    """The task id goes out as it came; status and addresses come back as they are."""
    urls = ["https://cdn.example/a.mp4?sig=1", "https://cdn.example/b.mp4"]
    data = {"task_id": "t 1/\u00e9", "status": 2, "result_urls": urls}
    with (
        fs.FaultServer(fs.answer(200, {"code": 1, "message": "ok", "data": data})) as server,
        client_of(server) as client,
    ):
        state = client.get_task("t 1/\u00e9")
    assert state == lw.TaskState("t 1/\u00e9", lw.TaskStatus.COMPLETED, tuple(urls))
    assert server.requests[0].path == "/api/task/get"
    assert server.requests[0].json == {"task_id": "t 1/\u00e9"}


@pytest.mark.parametrize(
    ("status", "urls", "expected", "noticed"),
    [
        (1, [], lw.TaskStatus.PROCESSING, False),
        (1, None, lw.TaskStatus.PROCESSING, False),
        (3, [], lw.TaskStatus.FAILED, False),
        (2, [], lw.TaskStatus.COMPLETED, True),
        (2, "https://x.example/a", lw.TaskStatus.COMPLETED, True),
    ],
)
def test_task_states(status: int, urls: Any, expected: lw.TaskStatus, noticed: bool) -> None:
    """Documented states are read without a notice, odd ones with one."""
    body = {"code": 1, "data": {"task_id": "a", "status": status, "result_urls": urls}}
    with fs.FaultServer(fs.answer(200, body)) as server, client_of(server) as client:
        state = client.get_task("a")
    assert state.status is expected
    assert bool(state.notice) is noticed


def test_answer_about_another_task_is_noticed() -> None:
    """When the answer names another task, the state says so."""
    body = {"code": 1, "data": {"task_id": "b", "status": 1, "result_urls": []}}
    with fs.FaultServer(fs.answer(200, body)) as server, client_of(server) as client:
        assert "another task" in client.get_task("a").notice


@pytest.mark.parametrize("credits_", [0, 7, 12.5, 10**12])
def test_get_credits(credits_: float) -> None:
    """The balance is a number, whole or not."""
    body = {"code": 1, "data": {"credits": credits_}}
    with fs.FaultServer(fs.answer(200, body)) as server, client_of(server) as client:
        assert client.get_credits() == credits_
    assert server.requests[0].path == "/api/task/get_credits"
    assert server.requests[0].json == {}


@pytest.mark.parametrize("data", [None, [], {}, *({"credits": c} for c in (True, "5", -1, None))])
def test_unusable_balances_are_refused(data: Any) -> None:
    """A balance that is no number at or above 0 is an error, not a zero."""
    body = fs.answer(200, {"code": 1, "data": data})
    with (
        fs.FaultServer(body) as server,
        client_of(server) as client,
        pytest.raises(ServiceError, match="balance"),
    ):
        client.get_credits()


@pytest.mark.parametrize(
    ("behaviour", "kind", "requests"),
    [
        (fs.refused("Invalid API KEY"), AuthenticationError, 1),
        (fs.refused("x", code=2, status=500), AuthenticationError, 1),
        (fs.refused("Invalid API KEY", status=503), AuthenticationError, 1),
        (fs.answer(401), AuthenticationError, 1),
        (fs.refused("Credits not enough"), InsufficientCreditsError, 1),
        (fs.refused("no such task"), RejectedError, 1),
        (fs.refused("no such task", status=404), RejectedError, 1),
        (fs.refused("busy", status=503), ServiceError, 4),
        (fs.answer(503, b"<html>"), ServiceError, 4),
        (fs.answer(429, b""), ServiceError, 4),
        (fs.answer(404, b"<html>"), ServiceError, 1),
        (fs.answer(200, b"<html>"), ServiceError, 1),
        (fs.answer(200, {"code": 9}), ServiceError, 1),
        (fs.reset(after_request=True), ServiceError, 4),
        (fs.raw(b""), ServiceError, 4),
    ],
)
def test_free_calls_fail_by_code_and_repeat_what_may_pass(
    behaviour: fs.Behaviour, kind: type[Exception], requests: int
) -> None:
    """The code decides before the HTTP status; only passing troubles are tried again."""
    with fs.FaultServer(behaviour) as server, client_of(server) as client:
        with pytest.raises(lw.ApiError) as caught:
            client.get_task("a")
        assert type(caught.value) is kind
        assert len(server.requests) == requests


def test_free_call_succeeds_at_any_status() -> None:
    """Code 1 is a success though the HTTP status says otherwise."""
    body = fs.answer(500, {"code": 1, "data": {"credits": 3}})
    with fs.FaultServer(body) as server, client_of(server) as client:
        assert client.get_credits() == 3
        assert len(server.requests) == 1


def test_errors_carry_code_status_and_excerpt() -> None:
    """An error tells the envelope's code, the HTTP status and the beginning of the body."""
    with (
        fs.FaultServer(fs.refused("Invalid image url", status=400)) as server,
        client_of(server) as client,
        pytest.raises(RejectedError) as caught,
    ):
        client.create_task(lw.Ray2Request(prompt="a"))
    assert (caught.value.code, caught.value.http_status) == (0, 400)
    assert caught.value.excerpt == '{"code": 0, "message": "Invalid image url"}'
    assert str(caught.value) == "The service refused the request: Invalid image url"


def test_client_needs_a_key() -> None:
    """Without a key the error says what to set."""
    with pytest.raises(ConfigurationError, match="PIXWITH_API_KEY"):
        lw.PixwithClient()


def test_client_takes_key_and_url_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments come first, then the environment."""
    monkeypatch.setenv("PIXWITH_API_KEY", KEY)
    with lw.PixwithClient() as client:
        assert client.base_url == client.name == "https://api.pixwith.ai"
        assert not client.local
    monkeypatch.setenv("PIXWITH_BASE_URL", "http://localhost:8000/")
    with lw.PixwithClient(name="simulator") as client:
        assert (client.base_url, client.name) == ("http://localhost:8000", "simulator")
        assert client.local


def test_B8_binder_takes_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Binder only a simulator on the same machine is used, and no key of the environment."""
    monkeypatch.setenv("BINDER_LAUNCH_HOST", "https://mybinder.org/")
    monkeypatch.setenv("PIXWITH_API_KEY", KEY)
    for options in (
        {},
        {"api_key": KEY},
        {"api_key": ApiKey(KEY), "base_url": "https://x.example"},
    ):
        with pytest.raises(ConfigurationError, match="Binder"):
            lw.PixwithClient(**options)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="no API key"):
        lw.PixwithClient(base_url="http://127.0.0.1:1")
    with lw.PixwithClient(api_key=ApiKey("sim_1"), base_url="http://127.0.0.1:1") as client:
        assert client.local


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "5", True, None])
def test_timeout_must_be_a_positive_number(timeout: Any) -> None:
    """A time-out that is no time is refused."""
    with pytest.raises(ConfigurationError, match="timeout"):
        lw.PixwithClient(api_key=KEY, base_url="http://127.0.0.1:1", timeout=timeout)


@pytest.mark.parametrize("verify", ["/no/such/file.pem", 5, None])
def test_verify_must_name_certificates(verify: Any) -> None:
    """A path without certificates is refused when the client is made."""
    with pytest.raises(ConfigurationError, match="verify"):
        lw.PixwithClient(api_key=KEY, base_url="http://127.0.0.1:1", verify=verify)


@pytest.mark.parametrize("attempts", [0, -1, 1.5, True, "3"])
def test_attempts_must_be_a_whole_number(attempts: Any) -> None:
    """A number of attempts that is none is refused before anything is sent."""
    with fs.FaultServer() as server, client_of(server) as client:
        with pytest.raises(ConfigurationError, match="attempts"):
            client.create_task(lw.Ray2Request(prompt="a"), attempts=attempts)
        assert server.connections == 0


@pytest.mark.parametrize("task_id", ["", None, 5, b"a"])
def test_task_id_must_be_a_text(task_id: Any) -> None:
    """Asking for nothing is refused before anything is sent."""
    with fs.FaultServer() as server, client_of(server) as client:
        with pytest.raises(ConfigurationError, match="task_id"):
            client.get_task(task_id)
        assert server.connections == 0


def test_client_is_not_copied() -> None:
    """A client holds a key and connections; copies of it are refused."""
    with lw.PixwithClient(api_key=KEY, base_url="http://127.0.0.1:1") as client:
        for how in (copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="make a new one"):
                how(client)


def test_one_tls_context_a_client(tmp_path: Path) -> None:
    """Building a TLS context is slow: all connections of a client share one."""
    with (
        fs.FaultServer(fs.created(), tls=True) as server,
        client_of(server, verify=fs.trusted(tmp_path)) as client,
    ):
        before = client._context
        for _ in range(3):
            client.create_task(lw.Ray2Request(prompt="a"))
        assert client._context is before
        assert before.session_stats()["connect_good"] == 3


def test_client_works_from_many_threads() -> None:
    """Calls from several threads at once each get their own answer."""
    body = fs.answer(200, {"code": 1, "data": {"credits": 3}}, keep=True)
    found: list[float] = []
    with fs.FaultServer(body) as server, client_of(server) as client:
        threads = [
            threading.Thread(target=lambda: found.append(client.get_credits())) for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [3.0] * 20


# Against the simulator: the whole way, over real HTTP ---------------------------------------


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorServer]:
    """Run a simulator in which a video takes a fraction of a second."""
    with SimulatorServer(speed=400, seed=1) as server:
        yield server


@pytest.fixture
def client(simulator: SimulatorServer) -> Iterator[lw.PixwithClient]:
    """Make a client of the simulator."""
    with lw.PixwithClient(api_key=simulator.api_key, base_url=simulator.url) as made:
        yield made


def finished(client: lw.PixwithClient, task_id: str) -> lw.TaskState:
    """Ask until a task has ended."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        state = client.get_task(task_id)
        assert state.notice == ""
        if state.status is not lw.TaskStatus.PROCESSING:
            return state
        time.sleep(0.05)
    raise TimeoutError


def test_whole_way_from_picture_to_video(
    client: lw.PixwithClient, simulator: SimulatorServer, tmp_path: Path
) -> None:
    """Upload a picture, submit, wait, download: one paid call, a whole MP4, a smaller balance."""
    before = client.get_credits()
    start = client.upload_image(Image.new("RGB", (64, 36), "teal"))
    request = lw.Ray2Request(prompt="A cat walking in the garden", start_image=start)
    creates = len(simulator.creates)
    task = client.create_task(request)
    assert task.estimated_time is not None
    state = finished(client, task.task_id)
    assert state.status is lw.TaskStatus.COMPLETED
    path = client.download(state.result_urls[0], tmp_path, f"{task.task_id}-0")
    assert path.name == f"{task.task_id}-0.mp4"
    assert path.stat().st_size > 1000
    assert client.get_credits() < before
    assert simulator.creates[creates:] == [(task.task_id, request.payload())]


def test_A14_simulator_counts_no_create_for_an_invalid_request(
    client: lw.PixwithClient, simulator: SimulatorServer
) -> None:
    """A request that is not valid never reaches the server."""
    before = simulator.requests.total()
    with pytest.raises(lw.RequestError):
        client.create_task(lw.Ray2Request(prompt=" "))
    assert simulator.requests.total() == before


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        ("reject:Invalid image url", RejectedError),
        ("no_credits", InsufficientCreditsError),
        ("bad_key", AuthenticationError),
    ],
)
def test_simulated_refusals(
    outcome: str, kind: type[Exception], client: lw.PixwithClient, simulator: SimulatorServer
) -> None:
    """The simulator's refusals are raised as their own errors, and nothing is created."""
    creates = len(simulator.creates)
    simulator.fail_next(outcome)
    with pytest.raises(RejectedError) as caught:
        client.create_task(lw.Ray2Request(prompt="a"))
    assert type(caught.value) is kind
    assert len(simulator.creates) == creates


@pytest.mark.parametrize("fault", ["hang_up", "reset", "truncated", "garbage"])
def test_A1_accepted_but_unheard_is_unknown_and_paid_once(
    fault: str, client: lw.PixwithClient, simulator: SimulatorServer
) -> None:
    """When the service accepts and the answer is lost, the outcome is unknown, and paid once."""
    creates = len(simulator.creates)
    simulator.inject(fault, path="create")
    with pytest.raises(lw.OutcomeUnknownError):
        client.create_task(lw.Ray2Request(prompt=f"a {fault}"))
    assert len(simulator.creates) == creates + 1


def test_C7_expired_result_is_refreshed_by_asking_again(
    client: lw.PixwithClient, simulator: SimulatorServer, tmp_path: Path
) -> None:
    """An expired address raises ExpiredError; a fresh one comes from get_task, not from create."""
    simulator.fail_next("expired_url")
    task = client.create_task(lw.Ray2Request(prompt="a late one"))
    creates = len(simulator.creates)
    with pytest.raises(ExpiredError):
        client.download(finished(client, task.task_id).result_urls[0], tmp_path, "a")
    fresh = client.get_task(task.task_id)
    assert client.download(fresh.result_urls[0], tmp_path, "a").suffix == ".mp4"
    assert len(simulator.creates) == creates
