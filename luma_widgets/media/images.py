"""Pictures to upload: JPEG or PNG by content, checked before anything is sent."""

from __future__ import annotations

import hashlib
import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MediaError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BYTES = 10 * 1024 * 1024
MAX_PIXELS = 40_000_000
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
# Start-of-frame markers; C4, C8 and CC are tables and extensions in the same range.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True)
class Picture:
    """A checked picture.

    Parameters
    ----------
    data : bytes
        The file as it will be uploaded.
    content_type : {"image/jpeg", "image/png"}
    width, height : int
        Pixels.
    """

    data: bytes
    content_type: str
    width: int
    height: int

    @property
    def name(self) -> str:
        """A name made from the content: the user's own file name stays on this machine."""
        ending = "jpg" if self.content_type == "image/jpeg" else "png"
        return f"{hashlib.sha256(self.data).hexdigest()[:32]}.{ending}"


def load(source: str | Path | bytes | Image) -> Picture:
    """Read and check a picture.

    Parameters
    ----------
    source : str, Path, bytes or PIL.Image.Image
        A path, the bytes of a file, or a picture of Pillow (saved as PNG, or as JPEG where the
        PNG would be above 10 MB).

    Raises
    ------
    MediaError
        Unless it is a JPEG or PNG of at most 10 MB and 40 megapixels.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return check(bytes(source))
    if isinstance(source, (str, Path)):
        return check(_read(source))
    if type(source).__module__.partition(".")[0] == "PIL" and hasattr(source, "save"):
        return check(_encoded(source))
    raise MediaError("A picture must be a path, the bytes of a JPEG or PNG file, or a PIL image.")


def check(data: bytes) -> Picture:
    """Check the bytes of a picture; raises like :func:`load`."""
    if len(data) > MAX_BYTES:
        raise MediaError(f"The picture has {len(data) / 2**20:.1f} MB; at most 10 MB can be sent.")
    kind, size = _sniffed(data)
    if kind is None:
        raise MediaError("The picture is neither JPEG nor PNG, whatever its name says.")
    if size is None or 0 in size:
        raise MediaError("The picture is damaged: its header gives no size.")
    _check_pixels(*size)
    return Picture(data, kind, *size)


def png_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height from a PNG's header, or None."""
    if len(data) < 24 or data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height from a JPEG's frame header, or None."""
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # filler
            at += 1
        elif marker in _FRAMES:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a length
            at += 2
        else:
            at += 2 + max(int.from_bytes(data[at + 2 : at + 4], "big"), 2)
    return None


def _sniffed(data: bytes) -> tuple[str | None, tuple[int, int] | None]:
    if data.startswith(_PNG):
        return "image/png", png_size(data)
    if data.startswith(_JPEG):
        return "image/jpeg", jpeg_size(data)
    return None, None


def _check_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise MediaError(
            f"The picture has {width} x {height} pixels; at most 40 megapixels can be sent."
        )


def _read(source: str | Path) -> bytes:
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        raise MediaError("This is an address already: use it as start or end image as it is.")
    path = Path(source)
    try:
        # Opening a pipe or a device would wait for ever.
        if not path.is_file():
            raise MediaError(f"There is no file {str(path)!r}.")
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no valid path"
    raise MediaError(f"The file {str(path)!r} cannot be read: {reason}.")


def _encoded(image: Any) -> bytes:
    _check_pixels(*image.size)
    buffer = io.BytesIO()
    keep = image.mode in ("1", "L", "LA", "P", "RGB", "RGBA")
    (image if keep else image.convert("RGB")).save(buffer, "PNG")
    if buffer.tell() > MAX_BYTES:
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "JPEG", quality=95)
    return buffer.getvalue()
