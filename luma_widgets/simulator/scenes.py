"""The moving pictures of the simulator: dunes, glowing orbs and northern lights.

A scene is drawn small, in floating point, and enlarged while it becomes video: soft shapes lose
nothing by that, and it takes a quarter of the time.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from math import cos, pi, sin
from typing import Any

import numpy as np

from .colours import RGB, oklch

Array = Any  # a float32 array of 3 x height x width, colours between 0 and 1
Draw = Callable[[float], Array]
Point = tuple[float, float]  # in the canvas's x and y


def over(picture: Array, colour: RGB, alpha: Array) -> None:
    """Lay a colour over a picture, in place."""
    kept = 1 - alpha
    for number, part in enumerate(colour):
        picture[number] *= kept
        picture[number] += alpha * part


def add_light(picture: Array, colour: RGB, light: Array) -> None:
    """Add light of a colour to a picture, in place; what is bright already takes less of it."""
    for number, part in enumerate(colour):
        picture[number] += light * part * (1 - picture[number])


class Canvas:
    """Coordinates of a picture: ``y`` from 0 (top) to 1, ``x`` from 0 to its width in heights.

    Parameters
    ----------
    size : (int, int)
        Width and height in pixels.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        width, height = size
        unit = min(width, height)
        self.unit = unit
        self.width, self.height = width / unit, height / unit
        self.x = np.linspace(0, self.width, width, dtype=np.float32)[None, :]
        self.y = np.linspace(0, self.height, height, dtype=np.float32)[:, None]
        self.shape = (3, height, width)

    def gradient(self, *stops: RGB) -> Array:
        """Return a picture that runs through colours from top to bottom."""
        where = self.y[:, 0] / self.height * (len(stops) - 1)
        rows = [np.interp(where, range(len(stops)), part) for part in zip(*stops, strict=True)]
        column = np.asarray(rows, dtype=np.float32)[:, :, None]
        return np.ascontiguousarray(np.broadcast_to(column, self.shape))

    def glow(self, picture: Array, colour: RGB, at: Point, radius: float, strength: float) -> None:
        """Lay a soft spot of a colour over a picture."""
        rows, columns = self._near(at, 2.4 * radius)
        down = strength * np.exp(-(((self.y[rows] - at[1]) / radius) ** 2))
        across = np.exp(-(((self.x[:, columns] - at[0]) / radius) ** 2))
        over(picture[:, rows, columns], colour, down * across)

    def disc(self, picture: Array, colour: RGB, at: Point, radius: float, strength: float) -> None:
        """Lay a disc with a smooth edge over a picture."""
        rows, columns = self._near(at, radius + 2 / self.unit)
        distance = np.hypot(self.x[:, columns] - at[0], self.y[rows] - at[1])
        inside = np.clip((radius - distance) * self.unit + 0.5, 0, 1)
        over(picture[:, rows, columns], colour, strength * inside)

    def hill(self, picture: Array, colour: RGB, top: float, ridge: Array) -> None:
        """Fill a picture below a line; ``top`` is how high the line gets, to leave out the rest."""
        rows = slice(max(0, int(top * self.unit) - 2), None)
        inside = np.clip((self.y[rows] - ridge) * self.unit + 0.5, 0, 1)
        over(picture[:, rows], colour, inside)

    def _near(self, at: Point, reach: float) -> tuple[slice, slice]:
        """Return the rows and columns that are within reach of a point."""
        x, y = at
        across, down = (
            slice(max(0, int((part - reach) * self.unit)), max(0, int((part + reach) * self.unit)))
            for part in (x, y)
        )
        return down, across


def scene(size: tuple[int, int], *, hue: float, chance: random.Random, turns: float) -> Draw:
    """Choose and set up a scene.

    Parameters
    ----------
    size : (int, int)
        Width and height in pixels.
    hue : float
        The main colour, in turns.
    chance : random.Random
        Decides all the rest.
    turns : float
        How often the motion comes round in the clip; an integer makes it end where it began.

    Returns
    -------
    callable
        Time from 0 to 1 -> the picture.
    """
    make = chance.choice([_dunes, _orbs, _lights])
    return make(Canvas(size), hue, chance, turns)


def _dunes(canvas: Canvas, hue: float, chance: random.Random, turns: float) -> Draw:
    """Hills behind hills under a low sun."""
    accent = chance.uniform(0.10, 0.22)  # peach to gold: a sun is warm whatever the sky
    sky = canvas.gradient(
        oklch(0.42, 0.10, hue - 0.06), oklch(0.70, 0.11, hue), oklch(0.88, 0.08, accent)
    )
    sun_x, sun_size = chance.uniform(0.25, 0.75) * canvas.width, chance.uniform(0.07, 0.12)
    layers = []
    for number in range(5):
        near = number / 4
        colour = oklch(0.70 - 0.50 * near, 0.10 - 0.03 * near, hue + 0.05 * near)
        wave = [(chance.uniform(1.6, 3.2) * f, chance.uniform(0, 2 * pi)) for f in (1, 2.3)]
        layers.append((0.52 + 0.36 * near, 0.035 + 0.045 * near, wave, colour))

    def draw(time: float) -> Array:
        phase = 2 * pi * turns * time
        picture = sky.copy()
        sun = sun_x, canvas.height * (0.34 + 0.05 * sin(phase))
        canvas.glow(picture, oklch(0.93, 0.10, accent), sun, sun_size * 3.2, 0.55)
        canvas.disc(picture, oklch(0.97, 0.06, accent), sun, sun_size, 1.0)
        for base, height, ((f, p), (g, q)), colour in layers:
            ridge = 0.7 * np.sin(f * canvas.x + p + phase) + 0.3 * np.sin(g * canvas.x + q + phase)
            middle = canvas.height * base
            canvas.hill(picture, colour, middle - height, middle + height * ridge)
        return picture

    return draw


def _orbs(canvas: Canvas, hue: float, chance: random.Random, turns: float) -> Draw:
    """Lights that circle one another in the dusk, and a few pale discs."""
    ground = canvas.gradient(
        oklch(0.24, 0.09, hue + 0.06), oklch(0.34, 0.13, hue), oklch(0.22, 0.10, hue - 0.10)
    )
    orbs, bright = [], []
    for _ in range(7):
        middle = chance.uniform(0.1, 0.9) * canvas.width, chance.uniform(0.1, 0.8) * canvas.height
        tint = hue + chance.choice([-0.14, -0.07, 0.0, 0.08, 0.45])
        colour = oklch(0.72, 0.15, tint)
        swing = chance.uniform(0.10, 0.30), chance.uniform(0.08, 0.25), chance.uniform(0, 2 * pi)
        bright.append(oklch(0.88, 0.09, tint))
        orbs.append((middle, colour, swing, chance.uniform(0.16, 0.34), chance.choice([-1, 1])))

    def draw(time: float) -> Array:
        phase = 2 * pi * turns * time
        picture = ground.copy()
        for number, ((x, y), colour, (wide, high, start), radius, way) in enumerate(orbs):
            at_x, at_y = x + wide * cos(start + way * phase), y + high * sin(start + phase)
            canvas.glow(picture, colour, (at_x, at_y), radius, 0.75)
            if number % 2:
                canvas.disc(picture, bright[number], (at_x, at_y), radius * 0.62, 0.25)
        return picture

    return draw


def _lights(canvas: Canvas, hue: float, chance: random.Random, turns: float) -> Draw:
    """Curtains of northern light over a dark ridge, with stars."""
    sky = canvas.gradient(
        oklch(0.13, 0.05, hue - 0.10), oklch(0.22, 0.08, hue - 0.04), oklch(0.36, 0.10, hue + 0.08)
    )
    for _ in range(90):
        y, x = (int(chance.random() ** k * n) for k, n in zip((1.4, 1), sky.shape[1:], strict=True))
        sky[:, y, x] += chance.uniform(0.15, 0.6)
    curtains = []
    for number in range(3):
        colour = oklch(0.80, 0.15, hue + (0.0, 0.12, -0.14)[number])
        wave = [(chance.uniform(1.2, 2.6) * f, chance.uniform(0, 2 * pi)) for f in (1, 2.7, 9)]
        curtains.append((colour, canvas.height * chance.uniform(0.32, 0.55), wave))
    ridge = np.sin(chance.uniform(2, 4) * canvas.x + chance.uniform(0, 2 * pi))
    ground = canvas.height * (0.80 + 0.05 * ridge)

    def draw(time: float) -> Array:
        phase = 2 * pi * turns * time
        picture = sky.copy()
        for colour, level, ((f, p), (g, q), (h, r)) in curtains:
            foot = level + 0.13 * np.sin(f * canvas.x + p + phase)
            foot = foot + 0.05 * np.sin(g * canvas.x + q - phase)
            up = foot - canvas.y
            rays = 0.62 + 0.38 * np.sin(h * canvas.x + r + 2 * phase + 2 * np.sin(p + f * canvas.x))
            add_light(
                picture, colour, rays * np.clip(up * 14 + 1, 0, 1) * np.exp(-3.4 * np.abs(up))
            )
        canvas.hill(picture, oklch(0.10, 0.03, hue), canvas.height * 0.75, ground)
        return picture

    return draw
