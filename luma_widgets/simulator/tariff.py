"""What a video costs and how long it takes **in the simulator**.

These numbers are inventions of the simulator, made up so that a balance goes down and time passes.
They are not the service's prices or times, which are not public: never show them as such.
"""

from __future__ import annotations

import math
import random
from typing import Any

from ..request import Ray2Request

BASE_PRICE = 30
"""Simulator credits for 5 s at 540p. The other settings are multiples of it."""

_DURATION_PRICE: dict[Any, int] = {5: 1, 9: 2}
_RESOLUTION_PRICE: dict[Any, int] = {"540p": 1, "720p": 2}
_DURATION_TIME: dict[Any, float] = {5: 1.0, 9: 1.6}
_RESOLUTION_TIME: dict[Any, float] = {"540p": 1.0, "720p": 1.5}


def price(request: Ray2Request) -> int:
    """Return the simulator's own price, in simulator credits.

    Examples
    --------
    >>> price(Ray2Request(duration=9, resolution="720p"))
    120
    """
    times = _DURATION_PRICE[request.duration] * _RESOLUTION_PRICE[request.resolution]
    return BASE_PRICE * times


def seconds(request: Ray2Request, base: float) -> float:
    """Return how long the simulator says a video takes, before ``speed``.

    Parameters
    ----------
    base : float
        Seconds for 5 s at 540p.
    """
    return base * _DURATION_TIME[request.duration] * _RESOLUTION_TIME[request.resolution]


def estimate(seconds: float, speed: float) -> int:
    """Return the estimate that is reported: whole seconds, already divided by ``speed``."""
    return max(1, math.ceil(seconds / speed))


def actual(seconds: float, speed: float, spread: float, chance: random.Random) -> float:
    """Draw how long one task really takes.

    Parameters
    ----------
    seconds : float
        The typical time before ``speed``; half of the tasks take longer.
    spread : float
        Standard deviation of the logarithm; 0 makes every task take exactly the typical time.
    """
    factor = math.exp(chance.gauss(0, spread)) if spread else 1.0
    return seconds / speed * min(4.0, max(0.25, factor))
