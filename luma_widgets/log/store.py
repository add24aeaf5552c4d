"""The log as people use it: rows and a DataFrame over the ledger."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, func, select

from ..errors import LogError
from . import schema
from .ledger import Ledger
from .rows import Row, T, select_row, select_rows
from .states import OPEN, State

if TYPE_CHECKING:
    from pandas import DataFrame


class ExperimentLog(Ledger):
    """The durable record of every submission, and its DataFrame.

    Parameters
    ----------
    where : str or Path, default "luma.sqlite"
        A file, or an SQLAlchemy URL of a PostgreSQL database. A new file is created, readable by
        its owner only.

    Raises
    ------
    LogError
        If the log is damaged, locked, of another program or of a newer version; it is left as it
        is, and the message says what to do.

    Examples
    --------
    >>> log = ExperimentLog("experiments.sqlite")
    >>> len(log.df)
    0
    >>> log.close()
    """

    def __init__(self, where: str | os.PathLike[str] = "luma.sqlite") -> None:
        super().__init__(where)
        self._frame: Any = None
        self._frame_lock = threading.Lock()

    @property
    def name(self) -> str:
        """The file or address, without a password."""
        return self._database.name

    @property
    def path(self) -> Path | None:
        """The file, or None for a database server."""
        return self._database.path

    @property
    def df(self) -> DataFrame:
        """Every submission as a row of a new DataFrame, oldest first; see :mod:`.frame`."""
        return self.frame()

    def frame(self, experiment: str | None = None) -> DataFrame:
        """Return the rows as a DataFrame.

        Parameters
        ----------
        experiment : str, optional
            Only the rows of this experiment.

        Returns
        -------
        pandas.DataFrame
            One row a submission; times in UTC, ``elapsed`` in seconds.
        """
        from .frame import LogFrame

        with self._frame_lock:
            self._frame = self._frame or LogFrame(self._raw)
        return self._frame.read(experiment)  # type: ignore[no-any-return]

    def get(self, row_id: str) -> Row:
        """Return one row.

        Raises
        ------
        LogError
            If there is no row with this id.
        """
        with self._database.reading() as connection:
            row = select_row(connection, T.c.id == row_id)
        if row is None:
            raise LogError(f"There is no submission {row_id!r} in {self.name}.")
        return row

    def rows(
        self,
        *,
        experiment: str | None = None,
        since: int = 0,
        states: Iterable[State] | None = None,
        fingerprint: str | None = None,
        task_id: str | None = None,
    ) -> list[Row]:
        """Return rows, oldest first.

        Parameters
        ----------
        experiment, fingerprint, task_id : str, optional
            Only rows that have these.
        since : int, default 0
            Only rows that changed after this revision.
        states : iterable of State, optional
            Only rows in one of these.

        Returns
        -------
        list of dict
            Every column by name; times in microseconds since 1970 UTC.
        """
        where: ColumnElement[bool] = T.c.revision > since
        if experiment is not None:
            where &= T.c.experiment == experiment
        if states is not None:
            where &= T.c.state.in_(list(states))
        if fingerprint is not None:
            where &= T.c.fingerprint == fingerprint
        if task_id is not None:
            where &= T.c.task_id == task_id
        with self._database.reading() as connection:
            return select_rows(connection, where)

    def revision(self) -> int:
        """Return the number of the latest change; 0 for an empty log."""
        with self._database.reading() as connection:
            return connection.scalar(select(func.max(T.c.revision))) or 0

    def count_open(self, base_url: str, besides: int = 0) -> int:
        """Count the rows of a service on which something is going on.

        Parameters
        ----------
        base_url : str
        besides : int, default 0
            How many rows to leave out of the count; the result is never negative.
        """
        where = (T.c.base_url == base_url) & T.c.state.in_(list(OPEN))
        query = select(func.count()).select_from(T).where(where)
        with self._database.reading() as connection:
            return max(0, (connection.scalar(query) or 0) - besides)

    def was_alone(self, row: Row) -> bool:
        """Tell whether no other task was sent to the same service since this row was made."""
        others = (T.c.base_url == row["base_url"]) & (T.c.id != row["id"])
        later = others & (T.c.sent_at >= row["created_at"])
        with self._database.reading() as connection:
            return connection.scalar(select(T.c.id).where(later).limit(1)) is None

    def paid_videos(self, experiment: str, base_url: str) -> dict[str, dict[tuple[str, int], int]]:
        """Count the videos that were paid for, or may have been.

        Returns
        -------
        dict
            Under ``"session"`` (by this program) and ``"experiment"``, the number of videos for
            each (resolution, duration).
        """
        with self._database.reading() as connection:
            return self._paid(connection, experiment, base_url)

    def measured_price(self, base_url: str, resolution: str, duration: int) -> float | None:
        """Return the credits that a setting cost when it was last measured, or None.

        Parameters
        ----------
        base_url, resolution : str
        duration : int
            Seconds.
        """
        like = (T.c.base_url == base_url) & (T.c.resolution == resolution)
        like &= (T.c.duration == duration) & (T.c.state == State.STORED)
        paid = T.c.credits_before - T.c.credits_after
        query = select(paid).where(like & (paid >= 0)).order_by(T.c.seq.desc()).limit(1)
        with self._database.reading() as connection:
            return connection.scalar(query)

    def typical_elapsed(self, base_url: str, resolution: str, duration: int) -> float | None:
        """Return the median seconds of the last 20 videos of a setting, or None before the third.

        Parameters
        ----------
        base_url, resolution : str
        duration : int
            Seconds.
        """
        like = (T.c.base_url == base_url) & (T.c.resolution == resolution)
        like &= (T.c.duration == duration) & T.c.state.in_([State.STORED, State.COMPLETED])
        times = (
            select(T.c.finished_at - T.c.sent_at)
            .where(like & T.c.finished_at.is_not(None))
            .order_by(T.c.seq.desc())
            .limit(20)
        )
        with self._database.reading() as connection:
            found = sorted(connection.scalars(times))
        return found[len(found) // 2] / 1e6 if len(found) >= 3 else None

    def uploaded(self, base_url: str, digest: str) -> str | None:
        """Return the address of an image that was uploaded to a service before, or None."""
        table = schema.uploads
        here = (table.c.base_url == base_url) & (table.c.digest == digest)
        with self._database.reading() as connection:
            return connection.scalar(select(table.c.url).where(here))

    def _raw(self, columns: list[str], since: int) -> list[Any]:
        """Return plain tuples of the rows after a revision, for the DataFrame."""
        wanted = [T.c[name] for name in columns]
        query = select(*wanted).where(T.c.revision > since).order_by(T.c.seq)
        with self._database.reading() as connection:
            return list(connection.execute(query))
