"""Submissions whose outcome is unknown: what can be known of them, and the four ways out."""

from __future__ import annotations

from dataclasses import dataclass

from .background.runner import Runner
from .errors import ConfigurationError, ConfirmationNeededError
from .log import OUTCOME_UNKNOWN, Row, State, request_of
from .overview import Overview
from .request import Ray2Request
from .submission import Submission

_UNKNOWN = frozenset({State.UNKNOWN})


@dataclass(frozen=True)
class Doubt:
    """What is known of a submission whose outcome is unknown.

    Parameters
    ----------
    row_id : str
    credits_before, credits_after : float or None
        The balance before it was sent, and a few seconds after; None where it was not read or
        something else was being paid for at the same time.
    credits_now : float
        The balance now.

    Examples
    --------
    >>> print(Doubt("1a20", credits_before=500, credits_after=470, credits_now=470))
    Outcome unknown: this video may have started and been charged. Nothing was sent again.
    Balance before 500, after 470, now 470.
    """

    row_id: str
    credits_before: float | None
    credits_after: float | None
    credits_now: float

    def __str__(self) -> str:
        before, after = _amount(self.credits_before), _amount(self.credits_after)
        return (
            f"{OUTCOME_UNKNOWN} Balance before {before}, after {after}, "
            f"now {_amount(self.credits_now)}."
        )


class Doubts(Overview):
    """The part of an :class:`~luma_widgets.Experiment` that settles unknown outcomes.

    A row leaves ``unknown`` only by a late answer of its own request, or by one of the ways here.
    """

    _runner: Runner

    def check_credits(self, row_id: str) -> Doubt:
        """Read the balance, for free, and set it beside the one before and after.

        Parameters
        ----------
        row_id : str
            The id of a row whose outcome is unknown.

        Raises
        ------
        ConfigurationError
            If its outcome is not unknown, or it belongs to another service.
        ApiError
            If the service cannot be asked.
        """
        row = self._doubtful(row_id)
        return Doubt(
            row_id=row_id,
            credits_before=row["credits_before"],
            credits_after=row["credits_after"],
            credits_now=self.client.get_credits(),
        )

    def resolve(
        self,
        row_id: str,
        *,
        task_id: str | None = None,
        not_created: bool = False,
        submit_again: bool = False,
        confirmed: bool = False,
    ) -> Submission:
        """Settle a submission whose outcome is unknown, in exactly one of three ways.

        :meth:`check_credits` helps to decide.

        Parameters
        ----------
        row_id : str
            The id of its row.
        task_id : str, optional
            Its task, as the service's own pages show it. The service is asked for it, for free;
            when it knows the task, the row is followed as any other.
        not_created : bool, default False
            Nothing was created. The row becomes ``abandoned``; submitting the same request again
            is then a first video, not a second.
        submit_again : bool, default False
            Make another video now, in a new row whose ``retry_of`` is this one. If the first was
            created after all, both are charged.
        confirmed : bool, default False
            ``submit_again`` needs it to be True.

        Returns
        -------
        Submission
            The same one, or the new one of ``submit_again``.

        Raises
        ------
        ConfigurationError
            If its outcome is not unknown, it belongs to another service, the task belongs to
            another row, or not exactly one way was given.
        ConfirmationNeededError
            If ``submit_again`` was not confirmed.
        ApiError
            If the service cannot be asked, or does not know the task.
        """
        if sum((task_id is not None, bool(not_created), bool(submit_again))) != 1:
            raise ConfigurationError(
                "Give exactly one of task_id=, not_created= and submit_again=."
            )
        row = self._doubtful(row_id)
        if task_id is not None:
            return self._adopt(row, task_id)
        if not_created:
            return self._dismiss(row)
        if not confirmed:
            raise ConfirmationNeededError(
                f"Submission {row_id} may have been charged already; submitting it again may be "
                "charged a second time. To do it, pass confirmed=True."
            )
        return self._repeat(row)

    def _adopt(self, row: Row, task_id: str) -> Submission:
        if type(task_id) is not str or not task_id.isprintable() or not task_id.strip():
            raise ConfigurationError("task_id must be the text that names the task.")
        others = [r for r in self.log.rows(task_id=task_id) if r["id"] != row["id"]]
        if others:
            raise ConfigurationError(
                f"Task {task_id} belongs to submission {others[0]['id']} already."
            )
        self.client.get_task(task_id)  # raises unless the service knows it
        changed = self.log.transition(
            row["id"],
            State.PROCESSING,
            since=_UNKNOWN,
            task_id=task_id,
            error=None,
            error_type=None,
        )
        if changed is not None:
            self._runner.follow(changed)
        return self._submission(row["id"])

    def _dismiss(self, row: Row) -> Submission:
        changed = self.log.transition(
            row["id"],
            State.ABANDONED,
            since=_UNKNOWN,
            error="Marked as not created. It can be submitted again.",
            error_type="NotSentError",
        )
        if changed is not None:
            self._runner.tell(changed)
        return self._submission(row["id"])

    def _repeat(self, row: Row) -> Submission:
        # The take is made from the row, so that asking twice makes one more video, not two.
        return self._put(request_of(row), f"again-{row['id']}", retry_of=row["id"])

    def _doubtful(self, row_id: str) -> Row:
        row = self.log.get(row_id)
        if row["state"] != State.UNKNOWN:
            raise ConfigurationError(
                f"The outcome of submission {row_id} is not unknown: it is {row['state']}."
            )
        if row["base_url"] != self.client.name:
            raise ConfigurationError(
                f"Submission {row_id} belongs to {row['base_url']}; open the experiment with a "
                "client of that service."
            )
        return row

    def _submission(self, row_id: str) -> Submission:
        raise NotImplementedError

    def _put(self, request: Ray2Request, take: str, *, retry_of: str) -> Submission:
        raise NotImplementedError


def _amount(value: float | None) -> str:
    return "not known" if value is None else f"{value:,.10g}"
