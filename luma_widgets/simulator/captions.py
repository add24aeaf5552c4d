"""The words in a clip: the prompt, the options, and a tag that says it is the simulator's."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from ..request import Ray2Request

Font = Any  # ImageFont.FreeTypeFont, or the plain bitmap font of a Pillow without FreeType
_LONGEST = 600

# Pillow's own font knows Latin letters only. These are tried, by file name, for the others.
_FALLBACKS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSans-Regular.ttf",
    "DejaVuSans.ttf",
    "Arial Unicode.ttf",
    "arialuni.ttf",
    "msyh.ttc",
    "segoeui.ttf",
)


def caption(request: Ray2Request, size: tuple[int, int]) -> Image.Image:
    """Draw the words for a clip.

    Parameters
    ----------
    request : Ray2Request
    size : (int, int)
        Width and height of the clip in pixels.

    Returns
    -------
    PIL.Image.Image
        Mode ``LA``: grey and opacity, to be laid over every frame.
    """
    width, height = size
    unit = min(size) / 540
    picture = Image.new("LA", size, (0, 0))
    draw = ImageDraw.Draw(picture)
    prompt_font = _font_for(request.prompt, round(30 * unit))
    small = _font(round(19 * unit))
    margin = round(28 * unit)
    room = width - 2 * margin
    lines = _wrap(request.prompt, prompt_font, room, most=3 if width >= height else 4)
    options = _wrap(_options(request), small, room, most=3)
    step, small_step = round(38 * unit), round(27 * unit)
    top = height - margin - step * len(lines) - small_step * len(options) - round(6 * unit)
    _shade(picture, top - round(70 * unit))
    for number, line in enumerate(lines):
        draw.text((margin, top + step * number), line, font=prompt_font, fill=(255, 255))
    top += step * len(lines) + round(8 * unit)
    for number, line in enumerate(options):
        draw.text((margin, top + small_step * number), line, font=small, fill=(255, 200))
    return picture


def tag(size: tuple[int, int]) -> Image.Image:
    """Draw the tag that says where a clip comes from, as :func:`caption` draws the words."""
    unit = min(size) / 540
    picture = Image.new("LA", size, (0, 0))
    draw = ImageDraw.Draw(picture)
    font = _font(round(14 * unit))
    text = "S I M U L A T O R"
    wide, high, pad = round(draw.textlength(text, font=font)), round(29 * unit), round(13 * unit)
    right, top = size[0] - round(28 * unit), round(28 * unit)
    box = (right - wide - 2 * pad, top, right, top + high)
    draw.rounded_rectangle(box, radius=high // 2, fill=(0, 125))
    draw.text((right - pad - wide, top + high // 2), text, font=font, fill=(255, 240), anchor="lm")
    return picture


def plain_label(draw: ImageDraw.ImageDraw, text: str, size: tuple[int, int]) -> None:
    """Write one line into the middle of an RGB picture, on a dark strip."""
    unit = min(size) / 540
    font = _font_for(text, round(22 * unit))
    line = _wrap(text, font, size[0] - round(120 * unit), most=1)[0]
    wide, high = draw.textlength(line, font=font) / 2 + 22 * unit, 24 * unit
    x, y = size[0] / 2, size[1] / 2
    box = (x - wide, y - high, x + wide, y + high)
    draw.rounded_rectangle(box, radius=high, fill=(0, 0, 0, 120))
    draw.text((x, y), line, font=font, fill=(255, 255, 255, 240), anchor="mm")


def _options(request: Ray2Request) -> str:
    """Name every option but the prompt, in a short line."""
    words = [request.aspect_ratio, request.resolution, f"{request.duration} s"]
    words.append(f"model {request.model_id}")
    words.append("translated" if request.prompt_optimization else "not translated")
    if request.loop:
        words.append("loop")
    pictures = ("", "start image", "start and end image")[len(request.image_urls)]
    return "  ·  ".join([*words, pictures] if pictures else words)


def _shade(picture: Image.Image, top: int) -> None:
    """Darken the picture towards the bottom, so that white words are legible on any colour."""
    width, height = picture.size
    top = max(0, top)
    column = Image.new("L", (1, height - top))
    for y in range(height - top):
        column.putpixel((0, y), round(185 * min(1.0, 1.35 * y / (height - top)) ** 1.3))
    shade = Image.merge("LA", (Image.new("L", column.size, 0), column))
    picture.paste(shade.resize((width, height - top)), (0, top))


def _wrap(text: str, font: Font, room: int, most: int) -> list[str]:
    """Break a text into lines that fit, between words where there are any."""
    rest = " ".join(text[:_LONGEST].split())
    lines: list[str] = []
    while rest and len(lines) < most:
        length = _fitting(rest, font, room)
        if length < len(rest) and " " in rest[1 : length + 1]:
            length = rest.rindex(" ", 1, length + 1)
        lines.append(rest[:length].strip())
        rest = rest[length:].strip()
    if rest or len(text) > _LONGEST:
        last = lines[-1]
        while last and font.getlength(f"{last}…") > room:
            last = last[:-1]
        lines[-1] = f"{last.rstrip()}…"
    return [line.strip("· ") for line in lines]


def _fitting(text: str, font: Font, room: int) -> int:
    """Return how many characters fit into a line, at least one."""
    low, high = 1, min(len(text), 200)
    while low < high:
        middle = (low + high + 1) // 2
        if font.getlength(text[:middle]) <= room:
            low = middle
        else:
            high = middle - 1
    return low


@lru_cache(maxsize=32)
def _font(size: int) -> Font:
    return ImageFont.load_default(max(8, size))


def _font_for(text: str, size: int) -> Font:
    """Return the font that knows most of the text's characters; Pillow's own if it knows all."""
    characters = {character for character in text[:_LONGEST] if not character.isspace()}
    best = _font(size)
    missing = _missing(best, characters)
    for name in _FALLBACKS if missing else ():
        font = _system_font(name, size)
        unknown = _missing(font, characters) if font else missing
        if unknown < missing:
            best, missing = font, unknown
    return best


@lru_cache(maxsize=32)
def _system_font(name: str, size: int) -> Font:
    try:
        return ImageFont.truetype(name, max(8, size))
    except OSError:
        return None


def _missing(font: Font, characters: set[str]) -> int:
    """Count the characters that a font draws as its sign for "unknown"."""
    unknown = _ink(font, "\U0010fffe")
    return sum(_ink(font, character) == unknown for character in characters)


def _ink(font: Font, character: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(character)
    return mask.size, bytes(mask)
