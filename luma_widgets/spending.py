"""What an experiment and this program have paid for, and the check against their limits."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Literal

from .limits import SpendLimits, Spent
from .log import ExperimentLog
from .log.rows import Guard
from .request import Ray2Request

Scope = Literal["session", "experiment"]
Setting = tuple[str, int]


class Spending:
    """Counts paid videos by their setting, and holds submissions to the limits.

    Parameters
    ----------
    log : ExperimentLog
    experiment, base_url : str
        Whose rows count.
    limits : SpendLimits
    """

    def __init__(
        self, log: ExperimentLog, experiment: str, base_url: str, limits: SpendLimits
    ) -> None:
        self._log = log
        self._experiment = experiment
        self._base_url = base_url
        self._limits = limits

    def spent(self, scope: Scope) -> Spent:
        """Return what was paid for, or may have been, in a scope."""
        paid = self._log.paid_videos(self._experiment, self._base_url)[scope]
        return _priced(paid, self._prices())

    def guard(self, request: Ray2Request) -> Guard | None:
        """Return what the log calls before it prepares a row, or None where there is no limit.

        It is called within the transaction, so that no other submission can come between, and
        raises SpendLimitError to stop the one that would pass a limit.
        """
        if not self._limits:
            return None
        # Read before the transaction: a query of its own within it could wait for itself.
        prices = self._prices()
        price = prices[request.resolution, request.duration]

        def check(paid: Mapping[str, Mapping[Setting, int]]) -> None:
            for scope, videos in paid.items():
                self._limits.check(scope, _priced(videos, prices).plus(1, price))

        return check

    def _prices(self) -> dict[Setting, float | None]:
        """Return the measured price of every setting that a request can have."""
        choices = {field.name: field.choices for field in Ray2Request.fields()}
        settings = product(choices["resolution"], choices["duration"])
        return {s: self._log.measured_price(self._base_url, *s) for s in settings}


def _priced(videos: Mapping[Setting, int], prices: Mapping[Setting, float | None]) -> Spent:
    total = Spent()
    for setting, count in videos.items():
        total = total.plus(count, prices.get(setting))
    return total
