"""The ledger: one row for each intent to make a video, and the only way to change it.

Every change is one durable transaction that names the states it may start from. A paid request is
sent only for a row that is on disk as ``sending`` and belongs to the sender.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, func, select

from .. import __version__
from ..request import Ray2Request
from . import schema
from .database import Database
from .owners import Lease
from .rows import (
    Guard,
    Row,
    T,
    change_rows,
    insert_row,
    intent_key,
    new_id,
    now_us,
    paid_videos,
    select_row,
)
from .states import NEVER_PAID, OUTCOME_UNKNOWN, STEPS, State

_BLANK = {
    **dict.fromkeys(("error", "error_type", "excerpt", "sent_at", "credits_before")),
    "credits_after": None,
    "attempts": 0,
}
# What becomes of the rows of a process that is gone.
_LOST = {
    "state": State.UNKNOWN,
    "error_type": "OutcomeUnknownError",
    "error": f"{OUTCOME_UNKNOWN} The program that sent it ended before the answer came.",
}
_WAITING = {"state": State.QUEUED, "owner": None}
_NEVER_LEFT = {
    "state": State.ABANDONED,
    "error_type": "NotSentError",
    "error": "The program ended before this was sent; nothing was charged.",
}


class Ledger:
    """The writing half of a log.

    Parameters
    ----------
    where : str or Path
        A file, or an SQLAlchemy URL of a PostgreSQL database.

    Raises
    ------
    LogError
        If it cannot be opened or trusted.
    """

    def __init__(self, where: str | os.PathLike[str]) -> None:
        self._database = Database(where)
        self._lease = Lease(self._clock)

    def prepare(
        self,
        request: Ray2Request,
        *,
        experiment: str,
        base_url: str,
        take: int | str = 0,
        unless_open: Collection[State] = (),
        guard: Guard | None = None,
        **extra: Any,
    ) -> tuple[Row, bool]:
        """Put an intent on disk, or find the row that has it already.

        Parameters
        ----------
        request : Ray2Request
            A complete request.
        experiment, base_url : str
            Part of the intent, with the request's fingerprint and the take.
        take : int or str, default 0
            Tells repeats of the same request apart.
        unless_open : collection of State
            If a row of the same request is in one of these states, return that row instead.
        guard : callable, optional
            Called in the same transaction, before the row is written, with what was paid for in
            the session and the experiment; what it raises is passed on.
        **extra
            Values for ``sweep``, ``variables`` or ``retry_of``.

        Returns
        -------
        tuple of (dict, bool)
            The row, and whether this call prepared it. Nothing may be sent when it is False.

        Raises
        ------
        RequestError
            If the request is incomplete.
        LogError
            If it cannot be written.
        """
        fingerprint = request.fingerprint
        key = intent_key(experiment, base_url, fingerprint, take)
        with self._database.writing() as connection:
            owner = self._lease.hold(connection)
            found = select_row(connection, T.c.intent_key == key)
            if found and found["state"] not in NEVER_PAID:
                return found, False
            same = (T.c.fingerprint == fingerprint) & (T.c.base_url == base_url)
            running = select_row(connection, same & T.c.state.in_(list(unless_open)))
            if running:
                return running, False
            if guard is not None:
                guard(self._paid(connection, experiment, base_url))
            if found:
                again = {**_BLANK, "state": State.PREPARED, "owner": owner, **extra}
                where = T.c.id == found["id"]
                return change_rows(connection, where, NEVER_PAID, again)[0], True
            values = {
                "id": new_id(),
                "created_at": now_us(),
                "state": State.PREPARED,
                **request.values(),
                "experiment": experiment,
                "base_url": base_url,
                "version": __version__,
                "take": str(take),
                "fingerprint": fingerprint,
                "intent_key": key,
                "attempts": 0,
                "owner": owner,
                **extra,
            }
            return insert_row(connection, values), True

    def transition(
        self,
        row_id: str,
        to: State,
        *,
        since: Collection[State] | None = None,
        mine: bool = False,
        **values: Any,
    ) -> Row | None:
        """Move a row to another state, if it is in one that allows the step.

        Parameters
        ----------
        row_id : str
        to : State
        since : collection of State, optional
            The states to start from; by default every one that :data:`~.states.STEPS` allows.
        mine : bool, default False
            Only if this process owns the row.
        **values
            Other columns to write with it.

        Returns
        -------
        dict or None
            The row as it is now; None when it was not in such a state, and nothing changed.
        """
        allowed = frozenset(s for s, steps in STEPS.items() if to in steps)
        sources = allowed if since is None else allowed & frozenset(since)
        with self._database.writing() as connection:
            where = T.c.id == row_id
            if mine:
                where &= T.c.owner == self._lease.hold(connection)
            rows = change_rows(connection, where, sources, {"state": to, **values})
            return rows[0] if rows else None

    def begin_sending(self, row_id: str, credits_before: float | None = None) -> Row | None:
        """Claim a prepared row of this process for one attempt; durable when it returns.

        Parameters
        ----------
        row_id : str
        credits_before : float, optional
            The balance, where nothing else is being paid for.

        Returns
        -------
        dict or None
            The row, now ``sending``; None when it is not this process's to send.
        """
        return self.transition(
            row_id,
            State.SENDING,
            mine=True,
            sent_at=now_us(),
            attempts=T.c.attempts + 1,
            credits_before=credits_before,
        )

    def is_mine_to_send(self, row_id: str) -> bool:
        """Re-read a row from disk: whether it is still ``sending`` and this process's own."""
        with self._database.reading() as connection:
            row = select_row(connection, T.c.id == row_id)
        return bool(
            row and row["state"] == State.SENDING and row["owner"] == self._lease.owner().id
        )

    def annotate(self, row_id: str, **values: Any) -> Row | None:
        """Write columns that do not move a row: rating, note, tags, credits, files.

        Returns
        -------
        dict or None
            The row as it is now; None when there is no such row.
        """
        with self._database.writing() as connection:
            rows = change_rows(connection, T.c.id == row_id, frozenset(State), values)
            return rows[0] if rows else None

    def recover(self) -> list[Row]:
        """Settle the unsent rows of processes that are gone. Never sends anything.

        Returns
        -------
        list of dict
            The rows that changed: ``sending`` became ``unknown``; ``prepared`` went back to
            ``queued`` for a cell of a sweep, and became ``abandoned`` otherwise.
        """
        with self._database.writing() as connection:
            self._lease.hold(connection)
            dead = self._lease.dead(connection)
            if not dead:
                return []
            theirs = T.c.owner.in_(dead)
            changed = []
            for state, where, values in (
                (State.SENDING, theirs, _LOST),
                (State.PREPARED, theirs & T.c.sweep.is_not(None), _WAITING),
                (State.PREPARED, theirs, _NEVER_LEFT),
            ):
                changed += change_rows(connection, where, {state}, values)
            self._lease.forget(connection, dead)
            return changed

    def renew_lease(self) -> None:
        """Say that this process still works; needed only while something is being sent."""
        with self._database.writing() as connection:
            self._lease.hold(connection)

    def remember_upload(self, base_url: str, digest: str, url: str) -> None:
        """Note the address that an uploaded image has with a service.

        Parameters
        ----------
        base_url : str
        digest : str
            SHA-256 of the image's bytes.
        url : str
        """
        table = schema.uploads
        here = (table.c.base_url == base_url) & (table.c.digest == digest)
        with self._database.writing() as connection:
            connection.execute(table.delete().where(here))
            connection.execute(table.insert().values(base_url=base_url, digest=digest, url=url))

    def close(self) -> None:
        """Close the connections of this process."""
        self._database.close()

    def _paid(
        self, connection: Connection, experiment: str, base_url: str
    ) -> dict[str, dict[tuple[str, int], int]]:
        """Count what was paid for: by this program, and in an experiment."""
        here = T.c.base_url == base_url
        session = T.c.owner.in_(self._lease.names_of_this_process())
        scopes = {"session": here & session, "experiment": here & (T.c.experiment == experiment)}
        return paid_videos(connection, scopes)

    def _clock(self, connection: Connection) -> float:
        """Seconds since 1970 by the database's clock; a SQLite file has this machine's."""
        if self._database.is_sqlite:
            return time.time()
        return float(connection.scalar(select(func.extract("epoch", func.now()))) or 0)
