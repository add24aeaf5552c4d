"""What a submission will take, said before anything is paid."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preflight:
    """What is known before sending.

    Parameters
    ----------
    videos : int
        How many videos would be made.
    seconds : float or None
        How long they will take one after the other, learned from the log, else estimated by the
        service; None while nothing is known.
    balance : float or None
        Credits; None when it could not be read.
    price : float or None
        Credits for each video as measured with this log; None while it was never measured.

    Examples
    --------
    >>> print(Preflight(videos=4, seconds=120, balance=500, price=None))
    4 videos, about 2 min, balance 500, price unknown
    """

    videos: int
    seconds: float | None
    balance: float | None
    price: float | None

    def __str__(self) -> str:
        count = "1 video" if self.videos == 1 else f"{self.videos} videos"
        time = f"about {spoken(self.seconds)}" if self.seconds else "time unknown"
        balance = "balance unknown" if self.balance is None else f"balance {self.balance:,.10g}"
        price = "price unknown" if self.price is None else f"price measured {self.price:,.10g} each"
        return f"{count}, {time}, {balance}, {price}"


def spoken(seconds: float) -> str:
    """Say a duration as people do: ``42 s``, ``2 min``, ``1.5 h``.

    Examples
    --------
    >>> spoken(41.6), spoken(120), spoken(5400)
    ('42 s', '2 min', '1.5 h')
    """
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.2g} h"
