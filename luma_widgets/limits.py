"""Hard limits on what code may spend: checked before anything is sent, never asked about."""

from __future__ import annotations

from dataclasses import dataclass, fields

from .errors import ConfigurationError, SpendLimitError


@dataclass(frozen=True)
class Spent:
    """What was paid for, or may have been.

    Parameters
    ----------
    videos : int, default 0
    credits : float, default 0.0
        The sum over the videos whose price was measured.
    unpriced : int, default 0
        How many of the videos have no known price; they are not in ``credits``.
    """

    videos: int = 0
    credits: float = 0.0
    unpriced: int = 0

    def plus(self, videos: int, price: float | None) -> Spent:
        """Return the sum with some videos of one price; None where it is not known."""
        if price is None:
            return Spent(self.videos + videos, self.credits, self.unpriced + videos)
        return Spent(self.videos + videos, self.credits + videos * price, self.unpriced)

    def __str__(self) -> str:
        videos = "1 video" if self.videos == 1 else f"{self.videos} videos"
        if self.unpriced == self.videos:
            return videos
        known = f"{videos}, {self.credits:,.10g} credits"
        return f"{known} and {self.unpriced} of unknown price" if self.unpriced else known


@dataclass(frozen=True)
class SpendLimits:
    """How much may be paid for before :class:`~luma_widgets.SpendLimitError` is raised.

    Every video that was paid for, or may have been, counts; what was refused or not sent does not.
    Limits in credits count the videos whose price was measured. The simulator has no limits.

    Parameters
    ----------
    session_videos, session_credits : int, float or None, default None
        For this program, from its start, over all experiments of the log. None is no limit.
    experiment_videos, experiment_credits : int, float or None, default None
        For the experiment, over all programs that write its log.

    Raises
    ------
    ConfigurationError
        If a limit is negative or no number.

    Examples
    --------
    >>> SpendLimits(session_videos=20)
    SpendLimits(session_videos=20, session_credits=None, experiment_videos=None, ...)
    >>> print(SpendLimits(session_videos=20, experiment_credits=500))
    20 videos a session, 500 credits an experiment
    """

    session_videos: int | None = None
    session_credits: float | None = None
    experiment_videos: int | None = None
    experiment_credits: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            kinds = (int,) if field.name.endswith("videos") else (int, float)
            if value is not None and (type(value) not in kinds or not value >= 0):
                raise ConfigurationError(
                    f"{field.name} must be None or a number of at least 0; got {value!r}."
                )

    def check(self, scope: str, after: Spent) -> None:
        """Raise if a sum is above the limit of its scope.

        Parameters
        ----------
        scope : {"session", "experiment"}
        after : Spent
            What would have been spent with the submission that is to be sent.

        Raises
        ------
        SpendLimitError
            With the limit, what was spent, and the argument that allows more.
        """
        for unit, amount in (("videos", after.videos), ("credits", after.credits)):
            limit = getattr(self, f"{scope}_{unit}")
            if limit is not None and amount > limit:
                raise SpendLimitError(
                    f"This would pay for {after} in this {scope}; the limit is {limit:,.10g} "
                    f"{unit[:-1] if limit == 1 else unit}. Nothing was sent. To allow more, open "
                    "the experiment with "
                    f"limits=SpendLimits({scope}_{unit}=...)."
                )

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) is not None for field in fields(self))

    def __str__(self) -> str:
        parts = []
        for field in fields(self):
            value = getattr(self, field.name)
            scope, _, unit = field.name.partition("_")
            if value is not None:
                article = "an" if scope == "experiment" else "a"
                noun = unit[:-1] if value == 1 else unit
                parts.append(f"{value:,.10g} {noun} {article} {scope}")
        return ", ".join(parts) or "no limit"
