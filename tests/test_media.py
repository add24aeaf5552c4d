"""Downloads and pictures: B2, C4 to C7 and C9 of the fault table, and the happy path."""

from __future__ import annotations

import errno
import io
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from luma_widgets import MediaError, PixwithClient, ServiceError
from luma_widgets.errors import ExpiredError
from luma_widgets.media.containers import is_whole
from luma_widgets.media.download import download, file_stem
from luma_widgets.media.images import MAX_BYTES, load
from luma_widgets.transport.addresses import is_public, rule_for
from luma_widgets.transport.deadline import tls_context
from luma_widgets.transport.retries import Backoff
from luma_widgets.transport.session import Session
from tests import faultserver as fs

CANARY = "key_0canary0canary0canary0canary00"
CONTEXT = tls_context(verify=True)


def box(kind: bytes, body: bytes = b"", *, long: bool = False) -> bytes:
    """Make one box of an MP4 file."""
    if long:
        return struct.pack(">I4sQ", 1, kind, 16 + len(body)) + body
    return struct.pack(">I4s", 8 + len(body), kind) + body


def picture(kind: str = "PNG", size: tuple[int, int] = (6, 4), mode: str = "RGB") -> bytes:
    """Make a small picture."""
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind)
    return buffer.getvalue()


MP4 = box(b"ftyp", b"isom0000") + box(b"moov", b"x" * 50) + box(b"mdat", b"y" * 3000)
WEBM = b"\x1aE\xdf\xa3\x84abcd" + b"\x18S\x80g\x88" + b"clusters"
VIDEO = fs.answer(200, MP4)


def fetch(
    server: fs.FaultServer, folder: Path, path: str = "/a.mp4?sig=s3cret", **more: Any
) -> Path:
    """Download from a fault server that stands for a service on this machine."""
    with Session(CONTEXT) as session:
        return download(session, server.url + path, folder, "task-0", own=server.url, **more)


def left(folder: Path) -> list[str]:
    """List what a folder holds."""
    return sorted(path.name for path in folder.iterdir())


def test_download_saves_a_whole_file(tmp_path: Path) -> None:
    """The file has the stem's name, an ending from its content, and the bytes that were sent."""
    with fs.FaultServer(VIDEO) as server:
        path = fetch(server, tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "task-0.mp4"
    assert path.read_bytes() == MP4
    assert left(path.parent) == ["task-0.mp4"]


@pytest.mark.parametrize(
    ("data", "suffix"),
    [(MP4, ".mp4"), (WEBM, ".webm"), (picture("PNG"), ".png"), (picture("JPEG"), ".jpg")],
    ids=["mp4", "webm", "png", "jpg"],
)
def test_C5_ending_follows_from_the_content(data: bytes, suffix: str, tmp_path: Path) -> None:
    """Whatever the address and the headers claim."""
    lying = fs.answer(200, data, {"Content-Type": "application/x-msdownload"})
    with fs.FaultServer(lying) as server:
        assert fetch(server, tmp_path, "/evil.exe").suffix == suffix


def test_B2_no_key_goes_to_storage_or_cdn(tmp_path: Path) -> None:
    """Downloads and uploads carry no key, while the calls beside them do."""
    target = {"url": "", "fields": {"policy": "p0licy"}}
    data = {"upload_url": target, "image_url": "https://cdn.example/a.png"}
    script = [fs.answer(200, {"code": 1, "data": data}), fs.answer(204), VIDEO]
    with fs.FaultServer(*script) as server:
        target["url"] = f"{server.url}/bucket"
        script[0] = fs.answer(200, {"code": 1, "data": data})
        server.script = script
        with PixwithClient(api_key=CANARY, base_url=server.url) as client:
            assert client.upload_image(picture()) == "https://cdn.example/a.png"
            client.download(f"{server.url}/a.mp4", tmp_path, "a")
        first, upload, video = server.requests
    assert first.headers["api-key"] == CANARY
    assert CANARY not in str(upload.headers) + str(video.headers)
    assert CANARY.encode() not in upload.body


@pytest.mark.parametrize(
    "behaviour",
    [
        fs.answer(200, MP4[:-1000], length=len(MP4)),
        fs.answer(200, MP4[:-1000]),
        fs.raw(b"HTTP/1.1 200 OK\r\n\r\n" + MP4[:-1]),
        fs.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
        fs.answer(200, box(b"ftyp", b"isom") + box(b"mdat", b"y" * 100)),
        fs.answer(200, picture("PNG")[:-2]),
        fs.answer(200, picture("JPEG")[:-2]),
        fs.answer(200, WEBM[:-1]),
        fs.answer(200, b""),
        fs.answer(200, b"<html>Sign in</html>"),
        fs.answer(200, b"MZ\x90\x00"),
        fs.answer(206, MP4),
        fs.answer(500, MP4),
        fs.reset(after_request=True),
    ],
)
def test_C4_damaged_download_leaves_nothing(behaviour: fs.Behaviour, tmp_path: Path) -> None:
    """A cut-off or foreign file raises MediaError, leaves no file and shows no signature."""
    with fs.FaultServer(behaviour) as server, pytest.raises(MediaError) as caught:
        fetch(server, tmp_path)
    assert left(tmp_path) == []
    assert "s3cret" not in str(caught.value)


def test_C4_damaged_download_keeps_the_old_file(tmp_path: Path) -> None:
    """A file that was there before stays as it was."""
    (tmp_path / "task-0.mp4").write_bytes(b"old")
    with fs.FaultServer(fs.answer(200, MP4[:-1])) as server, pytest.raises(MediaError):
        fetch(server, tmp_path)
    assert (tmp_path / "task-0.mp4").read_bytes() == b"old"


def test_C4_killed_download_leaves_no_finished_file(tmp_path: Path) -> None:
    """After kill -9 in the middle there is no file under the final name."""
    code = (
        "import sys; from pathlib import Path; from luma_widgets import PixwithClient\n"
        "url, folder = sys.argv[1:]\n"
        "PixwithClient('k', base_url=url).download(url + '/a', Path(folder), 'task-0')"
    )
    with fs.FaultServer(fs.drip(MP4[100:], start=fs.head(200, len(MP4)) + MP4[:100])) as server:
        process = subprocess.Popen([sys.executable, "-c", code, server.url, str(tmp_path)])
        assert server.arrived.wait(20)
        time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
    assert not (tmp_path / "task-0.mp4").exists()


def test_C4_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full, the error says so and the part is removed."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with fs.FaultServer(VIDEO) as server, pytest.raises(MediaError, match="No space left"):
        fetch(server, tmp_path)
    assert left(tmp_path) == []


def test_C2_download_is_capped(tmp_path: Path) -> None:
    """An endless file ends at the limit and leaves nothing."""
    with fs.FaultServer(fs.endless()) as server, pytest.raises(MediaError, match="larger than 1 M"):
        fetch(server, tmp_path, max_bytes=1 << 20)
    assert left(tmp_path) == []


def test_C3_dripping_download_meets_its_deadline(tmp_path: Path) -> None:
    """A file that comes a byte at a time ends with the deadline."""
    began = time.monotonic()
    with (
        fs.FaultServer(fs.drip(MP4, start=fs.head(200, len(MP4)))) as server,
        pytest.raises(MediaError, match="time ran out"),
    ):
        fetch(server, tmp_path, timeout=0.3)
    assert time.monotonic() - began < 1.5


NAMES = ["../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "..", ".", "", "con", "NUL", "COM1"]
NAMES += [
    "a\x00b",
    "\u202egnp.exe",
    "x" * 300,
    "-" * 65,
    "a b",
    "ä",
    "\ud800",
    "a:b",
    "~",
    ".hidden",
]


@pytest.mark.parametrize("stem", NAMES)
def test_C5_hostile_names_become_a_hash(stem: str, tmp_path: Path) -> None:
    """A name that could leave the folder or confuse a file system is replaced."""
    with fs.FaultServer(VIDEO) as server, Session(CONTEXT) as session:
        path = download(session, f"{server.url}/a", tmp_path, stem, own=server.url)
    assert path.parent == tmp_path
    assert path.name.startswith("x-")
    assert left(tmp_path) == [path.name]


@given(st.text(max_size=100))
def test_C5_any_name_is_safe(text: str) -> None:
    """The name holds letters, digits, dashes and underscores only, and is the same each time."""
    stem = file_stem(text)
    assert stem == file_stem(text)
    assert 1 <= len(stem) <= 64
    assert all(c.isascii() and (c.isalnum() or c in "-_") for c in stem)


def test_C5_link_in_the_folder_is_replaced_not_followed(tmp_path: Path) -> None:
    """A symbolic link under the final name is replaced; what it points to stays."""
    outside = tmp_path / "precious"
    outside.write_bytes(b"precious")
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "task-0.mp4").symlink_to(outside)
    with fs.FaultServer(VIDEO) as server:
        path = fetch(server, folder)
    assert outside.read_bytes() == b"precious"
    assert not path.is_symlink()
    assert path.read_bytes() == MP4


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://cdn.example/a",
        "http://cdn.example/a.mp4",
        "https://127.0.0.1/a",
        "https://localhost/a",
        "https://[::1]/a",
        "https://[::ffff:10.0.0.1]/a",
        "https://10.1.2.3/a",
        "https://169.254.169.254/latest/meta-data",
        "https://0.0.0.0/",
        "https://192.168.1.1/",
        "https://100.64.0.1/",
        "https://224.0.0.1/",
        "https://user:pw@cdn.example/a",
        "https://",
        "https://[broken/",
        "https://cdn.example:99999/",
        "https://cdn.example/a b",
        "javascript:alert(1)",
        "data:video/mp4;base64,AAAA",
        "",
        None,
        5,
    ],
    ids=str,
)
def test_C6_only_public_https(url: Any, tmp_path: Path) -> None:
    """Other schemes, private addresses and malformed ones are refused before connecting."""
    with Session(CONTEXT) as session, pytest.raises(MediaError) as caught:
        download(session, url, tmp_path, "a", own="http://127.0.0.1:1")
    assert "pw" not in str(caught.value)
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("169.254.1.1", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("255.255.255.255", False),
        ("224.0.0.251", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("2002:7f00:1::", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::5db8:d70e", True),
        ("nonsense", False),
    ],
)
def test_C6_public_addresses(address: str, public: bool) -> None:
    """Private, local and disguised addresses are told from public ones."""
    assert is_public(address) is public


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.3", "10.0.0.1", "::1"])
def test_C6_name_that_leads_inside_is_caught_at_connect(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A public name that resolves to a private address is not connected to."""
    real = socket.getaddrinfo
    with fs.FaultServer(VIDEO, tls=True) as server:

        def resolve(_: Any, port: int, *rest: Any) -> Any:
            return [*real("93.184.215.14", port, *rest), *real(address, server.port, *rest)]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        url = f"https://rebound.example:{server.port}/a"
        with Session(CONTEXT) as session, pytest.raises(MediaError, match="private network"):
            download(session, url, tmp_path, "a", own="http://127.0.0.1:1")
        assert server.connections == 0


def test_C6_redirects_are_checked_again(tmp_path: Path) -> None:
    """A redirect to another address of this machine is refused, one within the origin followed."""
    with fs.FaultServer(VIDEO, host="127.0.0.3") as other:
        with (
            fs.FaultServer(fs.redirect(302, f"{other.url}/a?sig=s3cret")) as server,
            pytest.raises(MediaError) as caught,
        ):
            fetch(server, tmp_path)
        assert other.connections == 0
    assert "s3cret" not in str(caught.value)
    with fs.FaultServer(fs.redirect(307, "/b.mp4"), VIDEO) as server:
        assert fetch(server, tmp_path).read_bytes() == MP4
        assert [request.path for request in server.requests] == ["/a.mp4?sig=s3cret", "/b.mp4"]


def test_C6_redirects_end(tmp_path: Path) -> None:
    """After five redirects it is enough."""
    with fs.FaultServer(fs.redirect(302, "/again")) as server:
        with pytest.raises(MediaError, match="too often"):
            fetch(server, tmp_path)
        assert len(server.requests) == 6


@pytest.mark.parametrize(
    "target", ["http://[broken", "https://10.0.0.1/", "file:///etc/passwd", "//"]
)
def test_C6_hostile_redirect_targets_are_refused(target: str, tmp_path: Path) -> None:
    """A redirect to a malformed, private or local address ends the download."""
    with fs.FaultServer(fs.redirect(302, target)) as server, pytest.raises(MediaError):
        fetch(server, tmp_path)
    assert left(tmp_path) == []


def test_C6_private_names_are_refused_behind_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy is not asked for a name that leads into a private network as far as is known."""
    real = socket.getaddrinfo

    def resolve(host: Any, *rest: Any, **more: Any) -> Any:
        return real("10.0.0.1" if host == "inside.example" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with fs.FaultServer(fs.proxy()) as proxy, Session(CONTEXT, {"https": proxy.url}) as session:
        with pytest.raises(MediaError, match="private network"):
            download(session, "https://inside.example/a", tmp_path, "a")
        assert proxy.connections == 0


def test_C6_own_origin_counts_only_on_this_machine(tmp_path: Path) -> None:
    """With the real service as base URL nothing on this machine can be fetched."""
    with (
        PixwithClient(api_key="k", base_url="https://api.pixwith.ai") as client,
        pytest.raises(MediaError),
    ):
        client.download("http://127.0.0.1:8000/a.mp4", tmp_path / "new", "a")
    assert left(tmp_path) == []
    for here in ("127.0.0.1", "localhost", "[::1]"):
        assert rule_for(f"http://{here}:8000/a", "http://127.0.0.1:8000")("127.0.0.1")
    with pytest.raises(MediaError):
        rule_for("http://127.0.0.1:8001/a", "http://127.0.0.1:8000")


@pytest.mark.parametrize("status", [403, 404, 410])
def test_C7_expired_address_is_told_apart(status: int, tmp_path: Path) -> None:
    """An address that is no longer valid raises its own error; a fresh one works."""
    with fs.FaultServer(fs.answer(status, b"<Error>expired</Error>"), VIDEO) as server:
        with pytest.raises(ExpiredError, match="ask for the task again"):
            fetch(server, tmp_path)
        assert fetch(server, tmp_path).name == "task-0.mp4"


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (MP4, True),
        (box(b"ftyp") + box(b"mdat", b"y", long=True) + box(b"moov"), True),
        (box(b"ftyp") + box(b"moov") + b"\x00\x00\x00\x00mdat" + b"y" * 9, True),
        (MP4 + b"\x00", False),
        (box(b"ftyp") + box(b"moov") + struct.pack(">I4s", 7, b"mdat"), False),
        (box(b"ftyp") + box(b"moov") + struct.pack(">I4sQ", 1, b"mdat", 2**63), False),
        (b"\x1aE\xdf\xa3\x84abcd\x18S\x80g\x01\xff\xff\xff\xff\xff\xff\xff" + b"live", True),
        (b"\x1aE\xdf\xa3\xff", False),
        (b"\x1aE\xdf\xa3", False),
        (b"nonsense", False),
    ],
)
def test_C4_containers(data: bytes, whole: bool) -> None:
    """Complete files are told from damaged ones by their structure."""
    assert is_whole(io.BytesIO(data), len(data)) is whole


@given(st.binary(max_size=60), st.sampled_from([MP4[:8], WEBM[:4], b"\xff\xd8\xff", b""]))
def test_C4_containers_never_raise(data: bytes, start: bytes) -> None:
    """Any bytes get an answer."""
    assert is_whole(io.BytesIO(start + data), len(start + data)) in (True, False)


# Pictures to upload ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("how", ["path", "str", "bytes", "PIL"])
def test_pictures_are_taken_in_each_form(kind: str, how: str, tmp_path: Path) -> None:
    """A path, a text, bytes or a PIL image; the type follows from the content."""
    data = picture(kind)
    path = tmp_path / "my private name.txt"
    path.write_bytes(data)
    sources = {"path": path, "str": str(path), "bytes": data, "PIL": Image.open(io.BytesIO(data))}
    loaded = load(sources[how])
    assert (loaded.width, loaded.height) == (6, 4)
    assert "private" not in loaded.name
    expected = "png" if how == "PIL" or kind == "PNG" else "jpg"
    assert loaded.name.endswith(f".{expected}")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F", "HSV"])
def test_pil_images_of_every_mode(mode: str) -> None:
    """A PIL image of any mode becomes a PNG that opens again."""
    loaded = load(Image.new(mode, (5, 3)))
    assert Image.open(io.BytesIO(loaded.data)).size == (5, 3)


def test_pil_image_too_big_as_png_becomes_jpeg() -> None:
    """Where the PNG would be above 10 MB, JPEG is used."""
    loaded = load(Image.frombytes("RGB", (2200, 1600), os.urandom(2200 * 1600 * 3)))
    assert loaded.content_type == "image/jpeg"


HUGE = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 60_000, 60_000)
HUGE_JPEG = b"\xff\xd8\xff\xc0\x00\x11\x08" + struct.pack(">HH", 60_000, 60_000) + b"\x03" * 9


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"GIF89a....", "neither JPEG nor PNG"),
        (b"<svg/>", "neither JPEG nor PNG"),
        (b"", "neither JPEG nor PNG"),
        (HUGE, "60000 x 60000"),
        (HUGE_JPEG, "60000 x 60000"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "damaged"),
        (b"\xff\xd8\xff\xd9" + b"\x00" * 50, "damaged"),
        (HUGE.replace(struct.pack(">I", 60_000), b"\x00" * 4), "damaged"),
        (picture() + b"\x00" * MAX_BYTES, "at most 10 MB"),
        ("https://cdn.example/a.png", "address already"),
        ("/no/such/file.png", "no file"),
        ("/tmp", "no file"),  # noqa: S108 - any folder will do
        ("/dev/zero", "no file"),
        ("a\x00b", "no"),
        (5, "must be a path"),
        (None, "must be a path"),
    ],
    ids=range(17),
)
def test_C9_bad_pictures_are_refused(source: Any, words: str) -> None:
    """Other formats, false headers and sizes are refused before anything is sent."""
    with fs.FaultServer() as server:
        with (
            PixwithClient(api_key="k", base_url=server.url) as client,
            pytest.raises(MediaError, match=words),
        ):
            client.upload_image(source)
        assert server.connections == 0


@given(st.binary(max_size=200), st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]))
def test_C9_any_bytes_are_loaded_or_refused(data: bytes, start: bytes) -> None:
    """The header parsers end on any input."""
    try:
        loaded = load(start + data)
    except MediaError:
        return
    assert loaded.width * loaded.height > 0


def upload(server: fs.FaultServer, data: Any, *script: fs.Behaviour) -> str:
    """Upload a picture to a server that gives ``data`` as its answer to pre_url."""
    server.script = [fs.answer(200, {"code": 1, "data": data}), *script]
    backoff = Backoff(sleep=lambda _: None)
    with PixwithClient(api_key=CANARY, base_url=server.url, backoff=backoff) as client:
        return client.upload_image(picture())


def target(url: str, **changes: Any) -> dict[str, Any]:
    """Return an answer to pre_url."""
    fields = {"key": "a/b.png", "policy": "p0licy", "x-amz-signature": "s3cret", "odd": 'q"\r\n: x'}
    form = {"url": url, "fields": fields}
    return {"upload_url": form, "image_url": "https://cdn.example/b.png", **changes}


def test_upload_sends_the_form_as_given_with_the_file_last() -> None:
    """All fields unchanged and in order, then the picture under the name file."""
    with fs.FaultServer() as server:
        url = upload(server, target(f"{server.url}/bucket"), fs.answer(204))
        wanted, sent = server.requests
    assert url == "https://cdn.example/b.png"
    assert wanted.json["content_type"] == "image/png"
    assert wanted.json["image_name"].endswith(".png")
    boundary = sent.headers["content-type"].partition("boundary=")[2].encode()
    parts = sent.body.split(b"--" + boundary)[1:-1]
    names = [part.split(b'name="')[1].split(b'"')[0] for part in parts]
    assert names == [b"key", b"policy", b"x-amz-signature", b"odd", b"file"]
    values = [part.split(b"\r\n\r\n", 1)[1][:-2] for part in parts]
    assert values == [b"a/b.png", b"p0licy", b"s3cret", b'q"\r\n: x', picture()]
    assert b"Content-Type: image/png" in parts[-1]


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/x", "https://10.0.0.1/x", "file:///etc/passwd", "http://cdn.example/"],
)
def test_C9_upload_goes_to_public_hosts_only(url: str) -> None:
    """A hostile upload address is refused; nothing of the form is shown."""
    with fs.FaultServer() as server:
        with pytest.raises(MediaError) as caught:
            upload(server, target(f"{url}?x-amz-signature=s3cret"))
        assert len(server.requests) == 1
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"upload_url": "https://x.example", "image_url": "https://x.example/a"},
        target("https://x.example", image_url="javascript:alert(1)"),
        target("https://x.example", image_url=None),
        target("https://x.example", upload_url={"url": "https://x.example", "fields": {"a": 5}}),
        target(
            "https://x.example", upload_url={"url": "https://x.example", "fields": {"file": ""}}
        ),
        target("https://x.example", upload_url={"url": 5, "fields": {}}),
    ],
    ids=range(9),
)
def test_C9_odd_upload_targets_are_refused(data: Any) -> None:
    """An answer that is not as documented ends the upload before the picture is sent."""
    with fs.FaultServer() as server:
        with pytest.raises(ServiceError, match="upload address"):
            upload(server, data)
        assert len(server.requests) == 1


def test_upload_that_is_refused_shows_no_secret() -> None:
    """The storage's refusal is one attempt and an error without policy and signature."""
    with fs.FaultServer() as server:
        with pytest.raises(MediaError) as caught:
            upload(server, target(f"{server.url}/b?sig=s3cret"), fs.answer(403, b"p0licy s3cret"))
        assert len(server.requests) == 2
    assert "HTTP 403" in str(caught.value)
    assert not any(word in str(caught.value) for word in ("p0licy", "s3cret"))


def test_upload_is_repeated_when_the_storage_is_busy() -> None:
    """Uploads are free: a 503 or a broken connection is tried again, at most three times."""
    with fs.FaultServer() as server:
        script = (fs.answer(503), fs.reset(after_request=True), fs.answer(204))
        assert upload(server, target(f"{server.url}/b"), *script)
        assert len(server.requests) == 4


def test_upload_redirect_is_not_followed() -> None:
    """A storage that redirects the form is refused."""
    with fs.FaultServer() as server, pytest.raises(MediaError, match="HTTP 307"):
        upload(server, target(f"{server.url}/b"), fs.redirect(307, "/c"))
