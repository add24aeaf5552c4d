"""What the studio asks before it pays, and what it says about limits."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..experiment import Experiment
from ..limits import SpendLimits, Spent
from .form import Click

_OPEN = "The same request is in progress, or its outcome is unknown."
_FIRST = "This is the first paid request of this session."


@dataclass(frozen=True)
class Cost:
    """What one press of Generate pays for.

    Parameters
    ----------
    videos : int
    price : float or None
        Credits for each as measured; None while it was never measured.
    balance : float or None
        Credits; None while it is not known.

    Examples
    --------
    >>> print(Cost(videos=6, price=30, balance=500))
    This pays for 6 videos, 30 credits each as measured. Your balance is 500.
    >>> print(Cost(videos=1, price=None, balance=None))
    This pays for 1 video; its price was not measured yet. Your balance is not known.
    """

    videos: int
    price: float | None
    balance: float | None

    def __str__(self) -> str:
        one = self.videos == 1
        count = "1 video" if one else f"{self.videos} videos"
        if self.price is None:
            price = f"; {'its' if one else 'their'} price was not measured yet"
        else:
            price = f", {self.price:,.10g} credits {'' if one else 'each '}as measured"
        return f"This pays for {count}{price}. {self._balance()}"

    def above(self, videos: int | None, credits: float | None) -> bool:  # noqa: A002
        """Tell whether it is above a number of videos or of credits; None is no bound.

        With a bound of credits, an unknown price is above it.
        """
        if videos is not None and self.videos > videos:
            return True
        return credits is not None and (
            self.price is None or not self.videos * self.price <= credits
        )

    def _balance(self) -> str:
        if self.balance is None:
            return "Your balance is not known."
        short = self.price is not None and self.videos * self.price > self.balance
        return f"Your balance is {self.balance:,.10g}{', which does not cover it' * short}."


def question(
    experiment: Experiment,
    click: Click,
    *,
    balance: float | None,
    above_videos: int | None,
    above_credits: float | None,
) -> tuple[str, str] | None:
    """Say what to ask before a press of Generate is carried out, all in one question.

    Parameters
    ----------
    experiment : Experiment
    click : Click
    balance : float or None
        Credits, as last read.
    above_videos, above_credits : int, float or None
        A press that pays for more is asked about; None is no bound.

    Returns
    -------
    tuple of str or None
        The question and the words on the button that agrees; None where nothing is asked: on the
        simulator unless the same request is open, and on the service once something was paid for
        in this session, within the bounds.
    """
    again = bool(experiment.open_with(click.request))
    if experiment.simulated:
        return (f"{_OPEN} Make another video of it?", "Make another") if again else None
    request = click.request
    price = experiment.log.measured_price(
        experiment.client.name, request.resolution, request.duration
    )
    cost = Cost(click.repeats, price, balance)
    first = not experiment.spent("session").videos
    if not (again or first or cost.above(above_videos, above_credits)):
        return None
    said = [_OPEN] * again + [_FIRST] * first + [f"{cost} Go on?"]
    return " ".join(said), f"Pay for {'1 video' if cost.videos == 1 else f'{cost.videos} videos'}"


def limits_in_words(experiment: Experiment) -> str:
    """Say which limits hold and how much of them is used; ``""`` on the simulator.

    For example ``"Limits: 20 videos a session (3 used)"``.
    """
    if experiment.simulated:
        return ""
    limits, session = experiment.limits, experiment.spent("session")
    if not limits:
        return f"Limits: none ({session} paid for in this session)"
    spent = {"session": session, "experiment": experiment.spent("experiment")}
    parts = []
    for field in fields(limits):
        value = getattr(limits, field.name)
        if value is not None:
            scope, _, unit = field.name.partition("_")
            alone = SpendLimits(**{field.name: value})
            parts.append(f"{alone} ({_used(spent[scope], unit)})")
    return f"Limits: {', '.join(parts)}"


def _used(spent: Spent, unit: str) -> str:
    if unit == "videos":
        return f"{spent.videos:,} used"
    used = f"{spent.credits:,.10g} used"
    return f"{used}, {spent.unpriced} of unknown price not counted" if spent.unpriced else used
