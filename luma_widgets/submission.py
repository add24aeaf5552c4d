"""A handle on one row of the log: watch it, wait for it, cancel it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

from . import errors
from .log import DONE, Row, State, request_of
from .request import Ray2Request


class Home(Protocol):
    """What a submission asks of the experiment that it belongs to."""

    def row(self, row_id: str) -> Row:
        """Read a row of the log."""

    def wait_for_change(self, timeout: float | None = None) -> None:
        """Wait until a row may have changed."""

    def gave_up(self, row_id: str) -> bool:
        """Tell whether the files of a finished video could not be fetched."""

    def cancel(self, row_id: str) -> bool:
        """Take a row back that has not been sent."""


class Submission:
    """One intent to make a video, as the log has it now.

    Parameters
    ----------
    experiment : Experiment
    row_id : str
        The id of its row.

    Examples
    --------
    >>> submission = experiment.submit(request)
    >>> submission.wait().files
    [PosixPath('...luma-files/...-0.mp4')]
    """

    def __init__(self, experiment: Home, row_id: str) -> None:
        self._experiment = experiment
        self.id = row_id

    @property
    def row(self) -> Row:
        """The row, read from the log: every column by name."""
        return self._experiment.row(self.id)

    @property
    def state(self) -> str:
        """Where it stands, such as ``"processing"`` or ``"stored"``."""
        return str(self.row["state"])

    @property
    def task_id(self) -> str | None:
        """The service's name for the task; None while there is none."""
        task_id: str | None = self.row["task_id"]
        return task_id

    @property
    def files(self) -> list[Path]:
        """The downloaded files, as absolute paths; empty before ``stored``."""
        return [Path(file) for file in self.row["files"]]

    @property
    def error(self) -> str | None:
        """What went wrong, in words; None when nothing did."""
        text: str | None = self.row["error"]
        return text

    @property
    def request(self) -> Ray2Request:
        """A new request with the options of this row."""
        return request_of(self.row)

    def wait(self, timeout: float | None = None) -> Submission:
        """Wait until the files are here. Interrupting it changes nothing.

        Parameters
        ----------
        timeout : float, optional
            Seconds; by default there is no limit.

        Returns
        -------
        Submission
            This one, in the state ``stored``.

        Raises
        ------
        RejectedError, NotSentError, OutcomeUnknownError, TaskFailedError
            The row's own error, when it ends otherwise.
        MediaError
            When the video is finished but its files cannot be fetched, after several tries;
            :meth:`Experiment.resume` tries again, for free.
        TimeoutError
            When the time is over; the submission goes on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            row = self.row
            if row["state"] == State.STORED:
                return self
            if row["state"] in DONE:
                break
            if row["state"] == State.COMPLETED and self._experiment.gave_up(self.id):
                raise errors.MediaError(row["error"] or "The files cannot be fetched.")
            rest = None if deadline is None else deadline - time.monotonic()
            if rest is not None and rest <= 0:
                raise TimeoutError(
                    f"Submission {self.id} is still {row['state']} after {timeout} seconds. "
                    "It goes on; wait again, or look at exp.df later."
                )
            self._experiment.wait_for_change(rest)
        raise row_error(row)

    def cancel(self) -> bool:
        """Take it back, if it has not been sent yet.

        Returns
        -------
        bool
            False when it was sent already; a sent task cannot be cancelled.
        """
        return self._experiment.cancel(self.id)

    def __repr__(self) -> str:
        row = self.row
        task = f", task {row['task_id']}" if row["task_id"] else ""
        return f"<Submission {self.id}: {row['state']}{task}>"


def row_error(row: Row) -> errors.LumaError:
    """Build the error that a row ended with."""
    text = row["error"] or f"Submission {row['id']} ended as {row['state']}."
    if row["state"] == State.FAILED:
        return errors.TaskFailedError(text)
    usual: type[errors.ApiError] = {
        State.UNKNOWN: errors.OutcomeUnknownError,
        State.REJECTED: errors.RejectedError,
    }.get(row["state"], errors.NotSentError)
    # The log keeps the name of the class; take it only if it says more than the state does.
    named = getattr(errors, row["error_type"] or "", usual)
    kind = named if isinstance(named, type) and issubclass(named, usual) else usual
    return kind(text, excerpt=row["excerpt"])
