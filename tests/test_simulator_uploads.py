"""Presigned uploads to the simulator: the policy is kept to the letter."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
import requests
from PIL import Image

from luma_widgets import Ray2Request
from luma_widgets.simulator import SimulatorServer
from luma_widgets.simulator.uploads import MAX_BYTES


class Clock:
    """A clock that stands still until it is told otherwise."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def picture(kind: str = "PNG", size: tuple[int, int] = (64, 36)) -> bytes:
    file = BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(file, kind)
    return file.getvalue()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def simulator(clock: Clock) -> Iterator[SimulatorServer]:
    with SimulatorServer(clock=clock) as server:
        yield server


def call(simulator: SimulatorServer, name: str, body: Any) -> Any:
    headers = {"Api-Key": simulator.api_key}
    url = f"{simulator.url}/api/task/{name}"
    return requests.post(url, json=body, headers=headers, timeout=10).json()


def presigned(simulator: SimulatorServer, name: str = "cat.png") -> tuple[dict[str, str], str]:
    kind = "image/png" if name.endswith("png") else "image/jpeg"
    data = call(simulator, "pre_url", {"image_name": name, "content_type": kind})["data"]
    assert data["upload_url"]["url"] == f"{simulator.url}/uploads"
    return data["upload_url"]["fields"], data["image_url"]


def send(simulator: SimulatorServer, parts: list[tuple[str, Any]]) -> requests.Response:
    """Post parts in this order; a file is (name, bytes)."""
    files = [(name, value if isinstance(value, tuple) else (None, value)) for name, value in parts]
    return requests.post(f"{simulator.url}/uploads", files=files, timeout=10)


def create(simulator: SimulatorServer, *urls: str) -> tuple[int, str]:
    request = Ray2Request(prompt="A cat", image_urls=list(urls))
    answer = call(simulator, "create", request.payload())
    return answer["code"], answer["message"]


FILE = ("file", ("cat.png", picture()))


@pytest.mark.parametrize("name", ["cat.png", "CAT.PNG", "cat.jpg", "a cat.jpeg", "猫.png"])
def test_a_picture_is_uploaded_served_and_used(name: str, simulator: SimulatorServer) -> None:
    """The form answers 204; the address serves the same bytes, without key, and can be used."""
    name = name if name.isascii() and name.islower() else name.lower()
    fields, url = presigned(simulator, name)
    data = picture("PNG" if name.endswith("png") else "JPEG")
    answer = send(simulator, [*fields.items(), ("file", (name, data))])
    assert (answer.status_code, answer.content) == (204, b"")
    served = requests.get(url, timeout=10)
    assert (served.status_code, served.content) == (200, data)
    assert served.headers["Content-Type"] == fields["Content-Type"]
    assert create(simulator, url) == (1, "success")


Change = Callable[[list[tuple[str, Any]]], list[tuple[str, Any]]]


def replaced(name: str, value: Any) -> Change:
    return lambda parts: [(n, value if n == name else v) for n, v in parts]


def other_policy(parts: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Put a policy that allows everything under the old signature."""
    policy = json.loads(base64.b64decode(dict(parts)["policy"]))
    policy["conditions"] = []
    return replaced("policy", base64.b64encode(json.dumps(policy).encode()).decode())(parts)


CHANGES: dict[str, tuple[Change, int]] = {
    **{
        f"without {name}": ((lambda parts, n=name: [p for p in parts if p[0] != n]), 403)
        for name in (
            "key",
            "Content-Type",
            "x-amz-algorithm",
            "x-amz-credential",
            "x-amz-date",
            "policy",
            "x-amz-signature",
        )
    },
    "without file": (lambda parts: parts[:-1], 400),
    "file first": (lambda parts: [parts[-1], *parts[:-1]], 400),
    "field after file": (lambda parts: [*parts, ("x", "y")], 400),
    "two files": (lambda parts: [FILE, *parts], 400),
    "file of another name": (lambda parts: [*parts[:-1], ("image", FILE[1])], 400),
    "file as text": (lambda parts: [*parts[:-1], ("file", "text")], 400),
    "extra field": (lambda parts: [("acl", "public-read"), *parts], 403),
    "field twice": (lambda parts: [parts[0], *parts], 400),
    "other key": (replaced("key", "uploads/x.png"), 403),
    "climbing key": (replaced("key", "../../etc/passwd"), 403),
    "other content type": (replaced("Content-Type", "text/html"), 403),
    "other date": (replaced("x-amz-date", "20200101T000000Z"), 403),
    "other signature": (replaced("x-amz-signature", "0" * 64), 403),
    "empty signature": (replaced("x-amz-signature", ""), 403),
    "signature of other letters": (replaced("x-amz-signature", "é"), 403),
    "other policy": (other_policy, 403),
    "broken policy": (replaced("policy", "%%%"), 403),
    "empty policy": (replaced("policy", ""), 403),
    "too large": (replaced("file", ("cat.png", b"x" * (MAX_BYTES + 1))), 400),
    "empty": (replaced("file", ("cat.png", b"")), 400),
    "nothing": (lambda _: [("x", "y")], 400),
}


@pytest.mark.parametrize("name", CHANGES)
def test_C9_changed_forms_are_refused(name: str, simulator: SimulatorServer) -> None:
    """Each departure from the signed policy is refused, in S3's words, and stores nothing."""
    change, status = CHANGES[name]
    fields, url = presigned(simulator)
    answer = send(simulator, change([*fields.items(), FILE]))
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("application/xml")
    assert b"<Error><Code>" in answer.content
    assert requests.get(url, timeout=10).status_code == 404


def test_C9_the_largest_allowed_file_is_taken(simulator: SimulatorServer) -> None:
    """Exactly 10 MiB goes through."""
    fields, _ = presigned(simulator)
    answer = send(simulator, [*fields.items(), ("file", ("a.png", b"x" * MAX_BYTES))])
    assert answer.status_code == 204


def test_C9_a_policy_expires(simulator: SimulatorServer, clock: Clock) -> None:
    """After 10 minutes the same form is refused."""
    fields, _ = presigned(simulator)
    clock.now += 599
    assert send(simulator, [*fields.items(), FILE]).status_code == 204
    clock.now += 1
    answer = send(simulator, [*fields.items(), FILE])
    assert (answer.status_code, b"expired" in answer.content) == (403, True)


def test_C9_another_simulators_signature_is_refused(simulator: SimulatorServer) -> None:
    """A policy signed elsewhere is worth nothing here."""
    with SimulatorServer() as other:
        fields, _ = presigned(other)
    assert send(simulator, [*fields.items(), FILE]).status_code == 403


def test_B2_the_key_is_refused_with_uploads(simulator: SimulatorServer) -> None:
    """A client that sends its key to the storage is told so."""
    fields, _ = presigned(simulator)
    answer = requests.post(
        f"{simulator.url}/uploads",
        data=fields,
        files=[FILE],
        headers={"Api-Key": simulator.api_key},
        timeout=10,
    )
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 415),
        ("multipart/form-data", 415),
        ("multipart/form-data; boundary=x", 400),
    ],
)
def test_bodies_that_are_no_forms_are_refused(
    content_type: str, status: int, simulator: SimulatorServer
) -> None:
    """Only a whole multipart form is looked at."""
    for body in (
        b"",
        b"{}",
        b"--x\r\nContent-Disposition: form-data; name=key\r\n\r\nabc",
        b"--x--",
    ):
        answer = requests.post(
            f"{simulator.url}/uploads", body, headers={"Content-Type": content_type}, timeout=10
        )
        assert answer.status_code == status


def huge_png() -> bytes:
    """Make a PNG of a few bytes that claims 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        sum_ = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + sum_

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + data + chunk(b"IEND", b"")


def large_png() -> bytes:
    """Make a sound PNG of a few kilobytes with 48 million pixels."""
    file = BytesIO()
    Image.new("1", (8000, 6000)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"<script>",
        b"GIF89a" + bytes(50),
        huge_png(),
        large_png(),
        picture()[:60],
        b"\xff\xd8\xff" + bytes(99),
    ],
    ids=["html", "gif", "huge", "large", "cut off", "noise"],
)
def test_C9_what_is_no_picture_cannot_be_used(data: bytes, simulator: SimulatorServer) -> None:
    """Storage takes any bytes, as S3 does; a create with them is refused and not charged."""
    fields, url = presigned(simulator)
    assert send(simulator, [*fields.items(), ("file", ("cat.png", data))]).status_code == 204
    assert create(simulator, url) == (0, "Invalid image format")
    assert simulator.creates == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/uploads/none.png",
        "http://localhost:8888/secret",
        "http://10.0.0.1/a.png",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/a.png",
        "http://[fd00::1]/a.png",
        "http://0.0.0.0/a.png",
    ],
)
def test_C6_private_addresses_are_no_pictures(url: str, simulator: SimulatorServer) -> None:
    """An address that the service could not read is refused."""
    assert create(simulator, url) == (0, "Invalid image url")


def test_a_promised_upload_that_never_came_is_refused(simulator: SimulatorServer) -> None:
    """The address of a presigned upload is no picture before the upload."""
    _, url = presigned(simulator)
    assert create(simulator, url) == (0, "Invalid image url")


def test_uploads_survive_a_restart(tmp_path: Any) -> None:
    """An address of an upload still works in a create after a restart on another port."""
    with SimulatorServer(state=tmp_path / "state") as simulator:
        fields, url = presigned(simulator)
        assert send(simulator, [*fields.items(), FILE]).status_code == 204
    with SimulatorServer(state=tmp_path / "state") as simulator:
        assert create(simulator, url, "https://example.com/end.png") == (1, "success")
