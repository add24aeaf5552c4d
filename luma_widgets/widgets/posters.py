"""Small still pictures of videos, for the results and the saved notebook."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from pathlib import Path
from typing import Any

MAX_SIDE = 160  # pixels
MAX_CHARACTERS = 6_000
_PREFIX = "data:image/jpeg;base64,"


def poster(path: str | Path) -> str:
    """Return a video's still as a data address, or ``""`` where none can be made.

    The still is a JPEG of at most 160 pixels and 6,000 characters. It needs the ``simulator``
    extra (PyAV and Pillow); without it there are no posters.

    Parameters
    ----------
    path : str or Path
        A video file. Its picture is made once and remembered until the file changes.
    """
    try:
        about = Path(path).stat()
    except OSError:
        return ""
    return _poster(str(path), about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=256)
def _poster(path: str, _changed: int, _size: int) -> str:
    try:
        import av
        import PIL  # noqa: F401 - only to see whether it is there
    except ImportError:
        return ""
    try:
        with av.open(path) as video:
            return _encoded(_frame(video))
    except (av.FFmpegError, OSError, ValueError, StopIteration, IndexError):
        return ""


def _frame(video: Any) -> Any:
    """Return a picture from the first second, which shows more than the first frame."""
    frame = None
    for number, frame in enumerate(video.decode(video=0)):  # noqa: B007 - the last one counts
        if number >= 10:
            break
    if frame is None:
        raise ValueError("no picture")
    return frame.to_image()


def _encoded(image: Any) -> str:
    image = image.convert("RGB")
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    for quality in (78, 65, 50, 35, 20, 8):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, optimize=True)
        text = _PREFIX + base64.b64encode(buffer.getvalue()).decode()
        if len(text) <= MAX_CHARACTERS:
            return text
    return ""
