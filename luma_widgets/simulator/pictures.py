"""Pictures that clips begin and end with: uploads as they are, others as placeholders."""

from __future__ import annotations

import random
from io import BytesIO
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 40_000_000
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"


def is_picture(data: bytes) -> bool:
    """Tell whether bytes are a jpg or png of at most 40 million pixels that can be decoded."""
    try:
        load(data, (16, 16))
    except Exception:  # noqa: BLE001 - a hostile file can make a decoder raise anything
        return False
    return True


def load(data: bytes, size: tuple[int, int]) -> Image.Image:
    """Decode a picture and crop it to a size, around its middle.

    Parameters
    ----------
    data : bytes
        The content of a jpg or png file.
    size : (int, int)
        Width and height in pixels.

    Raises
    ------
    Exception
        Of many kinds, if it is none or broken; ValueError if it claims more than 40 million pixels.
    """
    from PIL import Image, ImageOps

    picture = ImageOps.exif_transpose(_opened(data))
    if picture.mode != "RGB":
        rgba = picture.convert("RGBA")
        picture = Image.new("RGB", rgba.size, (24, 24, 28))
        picture.paste(rgba, mask=rgba.getchannel("A"))
    return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)


def placeholder(url: str, size: tuple[int, int]) -> Image.Image:
    """Draw a stand-in for a picture that is somewhere else; the same for the same address.

    Parameters
    ----------
    url : str
    size : (int, int)
        Width and height in pixels.
    """
    import numpy as np
    from PIL import Image, ImageDraw

    from .captions import plain_label
    from .colours import pleasant_hue
    from .scenes import scene

    chance = random.Random(f"picture {url}")  # noqa: S311 - pictures are no secret
    draw = scene(size, hue=pleasant_hue(chance), chance=chance, turns=1)
    pixels = (draw(chance.random()) * 255).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    pen = ImageDraw.Draw(picture, "RGBA")
    inset = min(size) // 42
    box = (inset, inset, size[0] - inset - 1, size[1] - inset - 1)
    pen.rounded_rectangle(box, radius=inset, outline=(255, 255, 255, 200), width=2)
    plain_label(pen, f"Picture from {urlsplit(url).hostname}", size)
    return picture


def _opened(data: bytes) -> Image.Image:
    """Open by content. ``Image.open`` would warn about, or try, every format there is."""
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile

    if data.startswith(_PNG):
        picture: Image.Image = PngImageFile(BytesIO(data))
    elif data.startswith(_JPEG):
        picture = JpegImageFile(BytesIO(data))
    else:
        raise ValueError("neither jpg nor png")
    if picture.width * picture.height > MAX_PIXELS:
        raise ValueError("too many pixels")
    return picture
