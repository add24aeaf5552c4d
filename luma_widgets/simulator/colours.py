"""Colours that go together, chosen by a hash: OKLCH, where equal steps look equal."""

from __future__ import annotations

import math
import random

RGB = tuple[float, float, float]


def oklch(lightness: float, chroma: float, hue: float) -> RGB:
    """Return an sRGB colour, each part between 0 and 1.

    Parameters
    ----------
    lightness : float
        0 is black, 1 is white.
    chroma : float
        0 is grey; 0.2 is vivid.
    hue : float
        Turns of the colour wheel; 0 and 1 are the same red.

    Notes
    -----
    The numbers are those of Björn Ottosson's Oklab, https://bottosson.github.io/posts/oklab/.
    """
    a = chroma * math.cos(2 * math.pi * hue)
    b = chroma * math.sin(2 * math.pi * hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        _gamma(4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short),
        _gamma(-1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short),
        _gamma(-0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short),
    )


def pleasant_hue(chance: random.Random) -> float:
    """Draw a hue between green, blue, red and orange: dark yellow looks like mud."""
    return 0.37 + 0.80 * chance.random()


def _gamma(linear: float) -> float:
    value = min(1.0, max(0.0, linear))
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
