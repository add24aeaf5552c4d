"""Work on the planes of video frames, in place: brightness, and two planes of colour."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation

Plane = Any  # a uint8 array of height x width
Planes = list[Plane]


def smooth(value: float, start: float, end: float) -> float:
    """Return 0 up to ``start``, 1 from ``end`` on, and a smooth way between them."""
    part = min(1.0, max(0.0, (value - start) / (end - start)))
    return part * part * (3 - 2 * part)


def video_frame(rgb: Any, size: tuple[int, int]) -> Any:
    """Turn an RGB picture (height x width x 3, uint8) into a frame of the given size."""
    return av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
        *size,
        format="yuv420p",
        interpolation=Interpolation.BICUBIC,
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
    )


def planes_of(frame: Any) -> Planes:
    """Return the planes of a frame; writing to them changes the frame."""
    return [
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in frame.planes
    ]


def blend(target: Planes, source: Planes, weight: float) -> None:
    """Mix a source into a frame; a weight of 1 replaces it."""
    share = round(256 * weight)
    for old, new in zip(target, source, strict=True):
        mixed = old.astype(np.uint16) * (256 - share) + new.astype(np.uint16) * share
        old[:] = (mixed + 128) >> 8


class Overlay:
    """A grey picture with opacity that is laid over many frames.

    Parameters
    ----------
    picture : PIL.Image.Image
        Mode ``LA``, of the frames' size.
    """

    def __init__(self, picture: Any) -> None:
        grey, alpha = (np.asarray(band).astype(np.uint16) for band in picture.split())
        used = np.flatnonzero(alpha.reshape(-1, 2 * alpha.shape[1]).any(axis=1))
        breaks = np.flatnonzero(np.diff(used) > 1) + 1
        self._boxes = [_box(grey, alpha, run) for run in np.split(used, breaks) if len(run)]

    def draw(self, planes: Planes, strength: float = 1.0) -> None:
        """Lay it over a frame; a strength of 0 shows nothing."""
        if strength <= 0:
            return
        for box in self._boxes:
            for plane, (where, level, alpha) in zip(planes, box, strict=True):
                share = alpha if strength >= 1 else (alpha * strength).astype(np.uint16)
                part = plane[where]
                part[:] = (part * (256 - share) + level * share + 128) >> 8


def _box(grey: Any, alpha: Any, run: Any) -> list[tuple[Any, Any, Any]]:
    """Cut out what one run of double rows needs: place, level and opacity for each plane."""
    rows = slice(2 * int(run[0]), 2 * int(run[-1]) + 2)
    columns = np.flatnonzero(alpha[rows].any(axis=0))
    first, last = int(columns[0]) // 2, int(columns[-1]) // 2 + 1
    where = (rows, slice(2 * first, 2 * last))
    opacity = (alpha[where] * 256 + 127) // 255
    level = 16 + grey[where] * 219 // 255
    half = opacity.reshape(opacity.shape[0] // 2, 2, -1, 2).mean(axis=(1, 3)).astype(np.uint16)
    colour = (slice(rows.start // 2, rows.stop // 2), slice(first, last))
    return [(where, level, opacity), (colour, np.uint16(128), half), (colour, np.uint16(128), half)]
