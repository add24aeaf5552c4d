"""When to try again: back-off with jitter, a server's own wish, and a quota for outages."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST = 60.0
_SECONDS = re.compile(r"(\d+)(\.\d{1,9})?", re.ASCII)


def retry_after(value: str | None, now: Callable[[], datetime] | None = None) -> float | None:
    """Read a ``Retry-After`` header.

    Parameters
    ----------
    value : str or None
        Seconds or an HTTP date.
    now : callable, optional
        Stands in for the clock.

    Returns
    -------
    float or None
        Seconds between 0 and 60; None where there is no value, or one that means nothing.

    Examples
    --------
    >>> retry_after("99999999"), retry_after("1.5"), retry_after("-5"), retry_after("nan")
    (60.0, 1.5, None, None)
    """
    text = (value or "").strip()
    if not text or len(text) > 100:
        return None
    number = _SECONDS.fullmatch(text)
    if number:
        return LONGEST if len(number.group(1)) > 9 else min(float(text), LONGEST)
    try:
        date = parsedate_to_datetime(text)
        there = date if date.tzinfo else date.replace(tzinfo=UTC)
        wait = (there - (now or _now)()).total_seconds()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return min(max(wait, 0.0), LONGEST)


@dataclass(frozen=True)
class Backoff:
    """How long to wait between attempts.

    Parameters
    ----------
    first : float, default 0.5
        Seconds before the second attempt, at most; each further wait is up to twice as long.
    longest : float, default 8.0
        Seconds, the most one wait takes without a server's wish.
    sleep, random, clock : callable
        Stand in for the real ones in tests.
    """

    first: float = 0.5
    longest: float = 8.0
    sleep: Callable[[float], object] = time.sleep
    random: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic

    def delay(self, attempt: int) -> float:
        """Return the seconds to wait after the given attempt (1 for the first).

        Half of it is chance, so that clients that failed together do not come back together.
        """
        most = min(self.first * 2.0 ** (attempt - 1), self.longest)
        return most * (0.5 + 0.5 * self.random())


class RetryQuota:
    """A stock of retries that all calls of a client share.

    In an outage every call fails; if each were repeated, a thousand running tasks would multiply
    the traffic to a service that is already down. Each retry takes one from the stock, each
    success gives a fraction back.

    Parameters
    ----------
    stock : float, default 20
    refund : float, default 0.1
        What a success gives back.
    """

    def __init__(self, stock: float = 20.0, refund: float = 0.1) -> None:
        self._most = stock
        self._left = stock
        self._refund = refund
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take one retry; False when the stock is empty."""
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True

    def succeeded(self) -> None:
        """Note a success."""
        with self._lock:
            self._left = min(self._most, self._left + self._refund)


def _now() -> datetime:
    return datetime.now(UTC)
