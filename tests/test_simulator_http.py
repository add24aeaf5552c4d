"""The simulator's HTTP side: who may talk to it, and how it starts and stops."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from luma_widgets import ConfigurationError, MissingDependencyError, Ray2Request
from luma_widgets.simulator import SimulatorServer

BODY = json.dumps(Ray2Request(prompt="A cat walking in the garden").payload())
JSON_TYPE = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorServer]:
    with SimulatorServer(credits=1e9) as server:
        yield server


def ask(
    simulator: SimulatorServer,
    path: str = "/api/task/create",
    *,
    method: str = "POST",
    body: str | bytes = BODY,
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """Send exactly these headers, the key and nothing else but what HTTP needs."""
    port = int(simulator.url.rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        sent = {**JSON_TYPE, "Api-Key": simulator.api_key, **(headers or {})}
        connection.request(method, path, body, {k: v for k, v in sent.items() if v})
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        connection.close()


def raw(simulator: SimulatorServer, data: bytes) -> bytes:
    port = int(simulator.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1",
        "localhost",
        "127.0.0.1:1",
        "0.0.0.0:{port}",
        "[::1]:{port}",
        "127.0.0.1.evil.example:{port}",
        "localhost.:{port}",
        "evil.example:{port}",
        "LOCALHOST:{port}",
        " ",
    ],
)
def test_E4_other_host_names_are_refused(host: str, simulator: SimulatorServer) -> None:
    """Only 127.0.0.1 and localhost with the simulator's own port are answered."""
    port = simulator.url.rpartition(":")[2]
    before = len(simulator.creates)
    status, _, body = ask(simulator, headers={"Host": host.format(port=port)})
    assert status == 403
    assert json.loads(body)["code"] == 0
    assert len(simulator.creates) == before


def test_E4_localhost_is_answered(simulator: SimulatorServer) -> None:
    """The name localhost with the right port works."""
    host = simulator.url.removeprefix("http://").replace("127.0.0.1", "localhost")
    assert ask(simulator, headers={"Host": host})[0] == 200


def test_E4_two_host_names_are_refused(simulator: SimulatorServer) -> None:
    """Two Host headers, or none, are refused."""
    host = simulator.url.removeprefix("http://").encode()
    for hosts in (b"", b"Host: %s\r\nHost: %s\r\n" % (host, host)):
        answer = raw(simulator, b"GET / HTTP/1.1\r\n%sConnection: close\r\n\r\n" % hosts)
        assert answer.startswith(b"HTTP/1.1 403 ")


def test_E4_it_listens_on_loopback_only(simulator: SimulatorServer) -> None:
    """The socket is bound to 127.0.0.1, so another address of this machine is refused."""
    port = int(simulator.url.rpartition(":")[2])
    assert simulator.url == f"http://127.0.0.1:{port}"
    with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.2", port), 2):
        pass


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/jsonp",
        "text/json",
    ],
)
def test_E4_other_content_types_are_refused(content_type: str, simulator: SimulatorServer) -> None:
    """What a form of another site can send without asking is answered 415."""
    before = len(simulator.creates)
    assert ask(simulator, headers={"Content-Type": content_type})[0] == 415
    assert len(simulator.creates) == before


def test_credits_need_no_body(simulator: SimulatorServer) -> None:
    """The balance can be asked for with an empty object, or with nothing at all."""
    for body, headers in (("{}", {}), ("", {}), ("", {"Content-Type": ""})):
        status, _, answer = ask(simulator, "/api/task/get_credits", body=body, headers=headers)
        assert (status, json.loads(answer)["code"]) == (200, 1)
    assert (
        ask(simulator, "/api/task/get_credits", body="", headers={"Content-Type": "a/b"})[0] == 415
    )


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X"]
)
def test_other_methods_are_refused(method: str, simulator: SimulatorServer) -> None:
    """The calls are POST only, and the answer says so."""
    status, headers, _ = ask(simulator, method=method)
    assert (status, headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "path",
    [
        "/api/task/create/",
        "/api/task",
        "/api/task/list",
        "/x",
        "/uploads/a",
        "/results/x/1.mp4",
        "/uploads/../x",
        "/%2e%2e/etc/passwd",
        "/api/task/create%00",
    ],
)
def test_other_paths_are_not_found(path: str, simulator: SimulatorServer) -> None:
    """There is nothing but the contract, without redirects."""
    status, headers, _ = ask(simulator, path)
    assert status in (404, 405)
    assert "Location" not in headers


def test_E4_no_answer_lets_other_sites_read(simulator: SimulatorServer) -> None:
    """Good and bad answers carry no CORS header, and each says that it is the simulator's."""
    origin = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for path, method in (
        ("/", "GET"),
        ("/api/task/create", "OPTIONS"),
        ("/x", "GET"),
        ("/", "POST"),
    ):
        _, headers, _ = ask(simulator, path, method=method, headers=origin)
        assert not [name for name in headers if name.lower().startswith("access-control")]
        assert headers["X-Simulator"] == "luma_widgets"


def test_E5_the_front_page_says_simulator(simulator: SimulatorServer) -> None:
    """A person who opens the address reads what it is."""
    status, headers, body = ask(simulator, "/", method="GET", body="")
    assert status == 200
    assert headers["Content-Type"].startswith("text/html")
    assert b"simulator" in body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"task_id": NaN}',
        b'{"task_id": "a", "task_id": "b"}',
        b'{"task_id": 1e999}',
        b'{"task_id": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b"[" * 40 + b"]" * 40,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'"\xff"',
        b"\xef\xbb\xbf{}",
        b'{"task_id": "a"} {}',
        '{"task_id": "a"}'.encode("utf-16"),
    ],
)
@pytest.mark.parametrize("name", ["create", "get", "get_credits", "pre_url"])
def test_malformed_json_is_code_0(name: str, body: bytes, simulator: SimulatorServer) -> None:
    """What is no strict JSON is answered with HTTP 200, code 0 and a message."""
    status, _, answer = ask(simulator, f"/api/task/{name}", body=body)
    envelope = json.loads(answer)
    if name == "get_credits" and not body:
        assert envelope["code"] == 1
        return
    assert (status, envelope["code"]) == (200, 0)
    assert 0 < len(envelope["message"]) <= 1000


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"Content-Length: 99999999999", b"413"),
        (b"Content-Length: " + b"9" * 60, b"413"),
        (b"Content-Length: -1", b"400"),
        (b"Content-Length: +5", b"400"),
        (b"Content-Length: 5\r\nContent-Length: 6", b"400"),
        (b"Transfer-Encoding: chunked", b"411"),
    ],
)
def test_bodies_of_unclear_or_great_length_are_refused(
    headers: bytes, status: bytes, simulator: SimulatorServer
) -> None:
    """Nothing is read whose length is not known beforehand to be small."""
    answer = raw(simulator, b"POST /api/task/create HTTP/1.1\r\n" + headers + b"\r\n\r\n")
    assert answer.split()[1] == status
    assert b"X-Simulator: luma_widgets" in answer


def test_a_connection_serves_many_requests(simulator: SimulatorServer) -> None:
    """HTTP/1.1 connections stay open between requests."""
    port = int(simulator.url.rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.connect()
    here = connection.sock.getsockname()
    for _ in range(3):
        connection.request("GET", "/")
        assert connection.getresponse().read()
        assert connection.sock.getsockname() == here
    connection.close()


def test_start_and_close_can_be_repeated() -> None:
    """A second start or close does nothing, and the port is free afterwards."""
    simulator = SimulatorServer()
    with pytest.raises(ConfigurationError):
        _ = simulator.url
    simulator.start()
    url = simulator.url
    assert simulator.start().url == url
    simulator.close()
    simulator.close()
    assert not simulator.running
    with SimulatorServer(port=int(url.rpartition(":")[2])) as again:
        assert again.url == url
        with pytest.raises(ConfigurationError, match="Port"):
            SimulatorServer(port=int(url.rpartition(":")[2])).start()


def test_closing_takes_less_than_a_second_with_open_connections() -> None:
    """Idle and waiting clients do not hold the simulator up."""
    simulator = SimulatorServer().start()
    port = int(simulator.url.rpartition(":")[2])
    simulator.inject("delay", seconds=30)
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    head = b"POST /api/task/create HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
    clients[0].sendall(head)
    while not simulator.requests["create"]:
        time.sleep(0.01)
    began = time.monotonic()
    simulator.close()
    assert time.monotonic() - began < 1
    for client in clients:
        client.close()
    deadline = time.monotonic() + 2
    while any(t.name.startswith("Thread") and t.is_alive() for t in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_clients_that_go_away_leave_no_trace(
    simulator: SimulatorServer, capfd: pytest.CaptureFixture[str]
) -> None:
    """Broken, rude and nonsensical connections print nothing, and the next one is served."""
    port = int(simulator.url.rpartition(":")[2])
    starts = [b"", b"POST", b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n", b"A" * 70_000]
    starts.append(b"POST /api/task/create HTTP/1.1\r\nContent-Length: 500\r\n\r\n{")
    for start in starts:
        for linger in (0, 1):
            client = socket.create_connection(("127.0.0.1", port), 5)
            client.sendall(start)
            if linger:  # leave with RST instead of FIN
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
    assert ask(simulator, "/", method="GET", body="")[0] == 200
    time.sleep(0.2)
    assert capfd.readouterr() == ("", "")


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_running_simulator_does_not_keep_python_alive() -> None:
    """A program that forgets to close it ends at once and prints nothing."""
    done = run("from luma_widgets.simulator import SimulatorServer as S; s = S(); s.start()")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_nothing_heavy_is_imported_before_a_clip_is_made() -> None:
    """Making and starting a simulator loads neither av nor Pillow, and making one no werkzeug."""
    done = run(
        "import sys\n"
        "from luma_widgets.simulator import SimulatorServer\n"
        "simulator = SimulatorServer()\n"
        "assert not {'av', 'PIL', 'numpy', 'werkzeug', 'sqlite3'} & set(sys.modules)\n"
        "with simulator: pass\n"
        "assert not {'av', 'PIL', 'numpy'} & set(sys.modules)\n"
    )
    assert done.returncode == 0, done.stderr


def test_a_missing_package_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, starting says what to install."""
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "luma-widgets\[simulator\]"'):
        SimulatorServer().start()


@pytest.mark.parametrize(
    "options",
    [
        {"speed": 0},
        {"speed": float("nan")},
        {"credits": -1},
        {"estimated_time": 0},
        {"spread": -1},
        {"api_key": f"key_{'1' * 32}"},
        {"api_key": "sim_x"},
    ],
)
def test_wrong_settings_are_refused(options: dict[str, Any]) -> None:
    """A setting that makes no sense, or a key that could be a real one, is refused at once."""
    with pytest.raises(ConfigurationError) as caught:
        SimulatorServer(**options)
    assert "1" * 32 not in str(caught.value)
