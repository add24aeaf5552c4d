"""Clips: real MP4 files (H.264, 4:2:0, 12 frames a second) of the right size and length."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from ..request import Ray2Request
from .captions import caption, tag
from .colours import pleasant_hue
from .frames import Overlay, Planes, blend, planes_of, smooth, video_frame
from .pictures import load, placeholder
from .scenes import Draw, scene

RATE = 12
"""Frames a second."""


def pixel_size(aspect_ratio: str, resolution: str) -> tuple[int, int]:
    """Return width and height in pixels; the resolution names the shorter side.

    Examples
    --------
    >>> pixel_size("16:9", "540p"), pixel_size("9:21", "720p")
    ((960, 540), (720, 1680))
    """
    wide, high = (int(part) for part in aspect_ratio.split(":"))
    short = int(resolution.removesuffix("p"))
    unit = short / min(wide, high)
    return 2 * round(wide * unit / 2), 2 * round(high * unit / 2)


def render_clip(
    request: Ray2Request, *, take: str = "", pictures: Mapping[str, bytes] | None = None
) -> bytes:
    """Render the clip for a request.

    The prompt decides the main colour, the whole request the scene, ``take`` the details: so clips
    of one prompt look alike, and no two takes are the same.

    Parameters
    ----------
    request : Ray2Request
    take : str, default ""
        Whatever tells repeats of the same request apart, such as a task id.
    pictures : mapping of str to bytes, optional
        The content of image addresses that is known (jpg or png). For other addresses a
        placeholder is drawn; nothing is ever fetched.

    Returns
    -------
    bytes
        An MP4 file whose index comes first.
    """
    size = pixel_size(request.aspect_ratio, request.resolution)
    known = pictures or {}
    ends = [_still(url, known.get(url), size) for url in request.image_urls]
    start, end = (ends[0] if ends else None), (ends[-1] if len(ends) > 1 else None)
    if request.loop and end is None:
        end = start
    return _encode(_frames(request, take, size, start, end), size)


def _frames(
    request: Ray2Request,
    take: str,
    size: tuple[int, int],
    start: Planes | None,
    end: Planes | None,
) -> Iterator[Any]:
    count = request.duration * RATE
    # A loop's last frame comes just before its first one; any other clip ends at time 1.
    last = count if request.loop else count - 1
    words, label = Overlay(caption(request, size)), Overlay(tag(size))
    draw = _scene(request, take, size)
    grain = _grain(_drawn_size(size)[::-1])
    for number in range(count):
        time = number / last
        frame = video_frame(_pixels(draw(time), grain), size)
        planes = planes_of(frame)
        if start is not None:
            blend(planes, start, 1 - smooth(time, 0.02, 0.40))
        if end is not None:
            blend(planes, end, smooth(time, 0.60, 0.98))
        words.draw(planes, _strength(time, start is not None, end is not None))
        label.draw(planes)  # at all times, so that no frame passes for the service's
        yield frame


def _strength(time: float, start: bool, end: bool) -> float:
    """Return how clearly the words are seen: given pictures are shown without them at first."""
    shown = smooth(time, 0.0, 0.12) if start else 1.0
    return shown * (1 - smooth(time, 0.92, 1.0)) if end else shown


def _scene(request: Ray2Request, take: str, size: tuple[int, int]) -> Draw:
    prompt = random.Random(f"prompt {request.prompt}")  # noqa: S311 - pictures are no secret
    whole = random.Random(f"request {request.fingerprint} {take}")  # noqa: S311
    hue = pleasant_hue(prompt) + whole.uniform(-0.04, 0.04)
    turns = round(request.duration / 5) * (1 if request.loop else 0.62)
    return scene(_drawn_size(size), hue=hue, chance=whole, turns=turns)


def _drawn_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the smaller size in which scenes are drawn."""
    factor = 256 / min(size)
    return round(size[0] * factor), round(size[1] * factor)


def _pixels(picture: Any, grain: Any) -> Any:
    picture *= 255
    picture += grain
    return np.ascontiguousarray(picture.clip(0, 255).astype(np.uint8).transpose(1, 2, 0))


def _grain(shape: tuple[int, int]) -> Any:
    """Return a little noise: without it, 256 levels show as bands in smooth skies."""
    return np.random.default_rng(1).uniform(0.1, 0.9, shape).astype(np.float32)


def _still(url: str, data: bytes | None, size: tuple[int, int]) -> Planes:
    picture = placeholder(url, size) if data is None else load(data, size)
    return [plane.copy() for plane in planes_of(video_frame(np.asarray(picture), size))]


def _encode(frames: Iterator[Any], size: tuple[int, int]) -> bytes:
    """Write the file. The index can be moved to the front only in a real file."""
    with tempfile.TemporaryDirectory(prefix="luma-simulator-") as folder:
        path = Path(folder) / "clip.mp4"
        with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
            container.metadata["comment"] = "Rendered by the luma_widgets simulator"
            stream = container.add_stream("libx264", rate=RATE)
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
            stream.options = {"preset": "ultrafast", "crf": "23"}
            for name in ("color_primaries", "color_trc", "colorspace", "color_range"):
                setattr(stream.codec_context, name, 1)  # BT.709, limited range
            for number, frame in enumerate(frames):
                frame.pts, frame.time_base = number, Fraction(1, RATE)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path.read_bytes()
