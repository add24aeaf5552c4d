"""Pictures that come from the browser in pieces, checked before anything is done with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..errors import MediaError

MAX_BYTES = 10_000_000
MAX_PIECE = 1 << 20
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


@dataclass
class Inbox:
    r"""Puts the pieces of one picture together. A new id begins a new picture.

    Examples
    --------
    >>> inbox = Inbox()
    >>> inbox.add("a1", 0, 5, b"\xff\xd8\xff") is None
    True
    >>> len(inbox.add("a1", 3, 5, b"--"))
    5
    """

    _key: str = ""
    _data: bytearray = field(default_factory=bytearray)

    @property
    def received(self) -> int:
        """Bytes that have come so far."""
        return len(self._data)

    def add(self, key: str, offset: Any, size: Any, piece: Any) -> bytes | None:
        """Take a piece; return the whole picture once it is complete, else None.

        Raises
        ------
        MediaError
            For a piece that does not fit, a picture above 10 MB, or one that is no JPEG or PNG.
        """
        if offset == 0:
            self._key, self._data = key, bytearray()
        piece = bytes(piece)
        if key != self._key or offset != len(self._data):
            raise MediaError("The upload was interrupted; choose the file again.")
        if type(size) is not int or not 0 < size <= MAX_BYTES or len(piece) > MAX_PIECE:
            raise MediaError("The picture is too large; 10 MB is the most.")
        self._data += piece
        if not piece or len(self._data) > size:
            raise MediaError("The upload was interrupted; choose the file again.")
        if not self._data.startswith(_BEGINNINGS):
            raise MediaError("Only JPEG and PNG pictures can be used.")
        if len(self._data) < size:
            return None
        whole, self._data = bytes(self._data), bytearray()
        return whole
