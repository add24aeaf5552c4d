"""An upload to Amazon's storage, as moto plays it: the happy path of row C9."""

from __future__ import annotations

import http.client
import io
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import boto3
import pytest
from botocore.config import Config
from PIL import Image

import luma_widgets as lw
from tests import faultserver as fs

KEY = "key_00moto00moto00moto00moto00moto00"
BUCKET = "pictures"
SERVE = """
import sys, threading
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.readline()
server.stop()
"""


def ask(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    """Make a plain HTTP request to the storage."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.fixture
def storage() -> Iterator[int]:
    """Return the port of a storage with a bucket."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        port = int(process.stdout.readline())
        assert ask(port, "PUT", f"/{BUCKET}")[0] == 200
        yield port
        process.communicate("\n", timeout=20)


def amazon() -> Any:
    """Return Amazon's own library; it only signs here."""
    return boto3.client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )


def presigned(url: str) -> dict[str, Any]:
    """Let Amazon's library sign an upload of at most 10 MB."""
    conditions = [["content-length-range", 1, 10_000_000], {"Content-Type": "image/png"}]
    form: dict[str, Any] = amazon().generate_presigned_post(
        BUCKET, "a/cat.png", {"Content-Type": "image/png"}, conditions, ExpiresIn=600
    )
    return {"url": f"{url}/{BUCKET}", "fields": form["fields"]}


class Front(fs.FaultServer):
    """The service, with the storage behind the same address: other local ones are refused."""

    def __init__(self, storage: int) -> None:
        super().__init__(self._behave)
        self._storage = storage

    def _behave(self, connection: fs.Connection) -> None:
        while (request := connection.read()) is not None:
            if request.path == "/api/task/pre_url":
                data = {"upload_url": presigned(self.url), "image_url": f"{self.url}/a/cat.png"}
                body = fs.json.dumps({"code": 1, "message": "success", "data": data}).encode()
                connection.send(fs.head(200, len(body)) + body)
                continue
            kind = request.headers["content-type"]
            status, body = ask(
                self._storage, request.method, request.path, request.body, Content_Type=kind
            )
            connection.send(fs.head(status, len(body)) + body)


def test_C9_a_presigned_upload_arrives_whole(storage: int) -> None:
    """Every signed field is sent, the file last and whole, and no key goes with it."""
    buffer = io.BytesIO()
    Image.effect_noise((300, 200), 90).save(buffer, "PNG")
    with (
        Front(storage) as server,
        lw.PixwithClient(KEY, base_url=server.url) as client,
    ):
        address = client.upload_image(buffer.getvalue())
        wanted, upload = server.requests
        assert wanted.json["content_type"] == "image/png"
        assert address == f"{server.url}/a/cat.png"
        assert upload.path == f"/{BUCKET}"
        assert "api-key" not in upload.headers
        fields = presigned(server.url)["fields"]
        assert {"policy", "x-amz-signature", "key"} <= fields.keys()
        for name in fields:
            assert upload.body.count(f'name="{name}"'.encode()) == 1
        assert upload.body.rfind(b'; name="') == upload.body.find(b'; name="file"')
    signed = amazon().generate_presigned_url(
        "get_object", {"Bucket": BUCKET, "Key": "a/cat.png"}, ExpiresIn=600
    )
    status, stored = ask(storage, "GET", signed.partition("amazonaws.com")[2])
    assert (status, stored) == (200, buffer.getvalue())
