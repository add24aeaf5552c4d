"""What a downloaded file really is, and whether all of it is there."""

from __future__ import annotations

import struct
from typing import BinaryIO

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_MAX_BOXES = 100_000


def ending(head: bytes) -> str | None:
    r"""Return the file name ending for the first bytes of a file, or None for other kinds.

    Examples
    --------
    >>> ending(b"\x00\x00\x00\x20ftypisom")
    '.mp4'
    """
    if head[4:8] == b"ftyp":
        return ".mp4"
    if head.startswith(_EBML):
        return ".webm"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return ".png"
    return ".jpg" if head.startswith(b"\xff\xd8\xff") else None


def is_whole(file: BinaryIO, size: int) -> bool:
    """Tell whether a file of one of the known kinds is complete.

    Parameters
    ----------
    file : binary file
        Readable and seekable.
    size : int
        Its length in bytes.
    """
    file.seek(0)
    kind = ending(file.read(16))
    if kind == ".mp4":
        return _mp4(file, size)
    if kind == ".webm":
        return _webm(file, size)
    file.seek(max(size - 64, 0))
    tail = file.read()
    if kind == ".png":
        return tail.endswith(b"IEND\xaeB`\x82")
    return kind == ".jpg" and tail.rstrip(b"\x00").endswith(b"\xff\xd9")


def _mp4(file: BinaryIO, size: int) -> bool:
    """Walk over the top-level boxes; the last one must end where the file ends."""
    kinds: set[bytes] = set()
    at = 0
    for _ in range(_MAX_BOXES):
        if at == size:
            return {b"ftyp", b"moov", b"mdat"} <= kinds
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return False
        length, kind = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:  # the length is in the next eight bytes
            length = struct.unpack(">Q", head[8:16])[0]
        elif length == 0:  # up to the end of the file
            length = size - at
        if length < 8 or at + length > size:
            return False
        kinds.add(kind)
        at += length
    return False


def _webm(file: BinaryIO, size: int) -> bool:
    """Check that the segment, which holds everything, is as long as it says."""
    file.seek(0)
    head = file.read(4096)
    at = 4
    for wanted in (_EBML, _SEGMENT):
        length, used = _ebml_length(head[at:])
        if used == 0:
            return False
        if wanted == _SEGMENT:
            unknown = length == (1 << 7 * used) - 1  # written live, without knowing its length
            return unknown or at + used + length <= size
        at += used + length
        if head[at : at + 4] != _SEGMENT:
            return False
        at += 4
    return False


def _ebml_length(data: bytes) -> tuple[int, int]:
    """Read a variable-length number; returns it and the bytes it took, 0 for none."""
    if not data or data[0] == 0:
        return 0, 0
    used = 9 - data[0].bit_length()
    if len(data) < used:
        return 0, 0
    first = data[0] & ((1 << (8 - used)) - 1)
    return int.from_bytes(bytes([first]) + data[1:used], "big"), used
