"""The only place that creates tasks: one request for each row that was claimed for it."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from functools import partial

from .context import Context, words
from .errors import LogError, LumaError, NotSentError, RateLimitedError, RejectedError
from .log import OUTCOME_UNKNOWN, Row, State
from .request import Ray2Request
from .threads import DaemonPool

ATTEMPTS = 3
_RENEW_SECONDS = 15.0
_ANSWERED = frozenset({State.SENDING, State.UNKNOWN})


class Sender:
    """Carries rows from ``prepared`` to ``processing``, or to the state that says why not.

    Parameters
    ----------
    context : Context
    on_accepted : callable
        Called with a row that has a task id now.
    measure : bool, default True
        Read the balance before a task that runs alone, so that its price can be known.
    """

    def __init__(
        self, context: Context, on_accepted: Callable[[Row], object], *, measure: bool = True
    ) -> None:
        self._context = context
        self._on_accepted = on_accepted
        self._measure = measure
        self._pool = DaemonPool("send", 4, context.report)
        self._busy: set[str] = set()

    @property
    def busy(self) -> frozenset[str]:
        """The ids of the rows whose request is on its way."""
        return frozenset(self._busy)

    def start(self, row_id: str) -> None:
        """Send a prepared row in the background."""
        self._pool.submit(partial(self.send, row_id))

    def close(self) -> None:
        """Take no more rows."""
        self._pool.close()

    def send(self, row_id: str) -> None:
        """Send a prepared row: at most one request that can reach the service.

        An attempt of which provably nothing left is repeated, three times in all.
        """
        before = self._balance_if_alone()
        for attempt in range(1, ATTEMPTS + 1):
            row = self._context.log.begin_sending(row_id)
            if row is None:
                return  # cancelled, or another process's
            self._context.on_change(row)
            self._busy.add(row_id)
            self._context.poller.add("lease", self._renew_lease, _RENEW_SECONDS)
            try:
                again = self._attempt(row, before, last=attempt == ATTEMPTS)
            finally:
                self._busy.discard(row_id)
            if not again:
                return
            time.sleep(random.uniform(0.1, 0.3) * 2**attempt)  # noqa: S311

    def settle_unknown(self) -> None:
        """Mark what is on its way as unknown: nobody will be there to hear the answer."""
        for row_id in self.busy:
            note = {"error_type": "OutcomeUnknownError", "error": OUTCOME_UNKNOWN}
            self._context.move(row_id, State.UNKNOWN, frozenset({State.SENDING}), **note)

    def _attempt(self, row: Row, before: float | None, *, last: bool) -> bool:
        """Make one request. Return whether it should be made again."""
        row_id = row["id"]
        try:
            task = self._context.client.create_task(
                request_of(row), attempts=1, before_send=partial(self._check, row_id)
            )
        except _TakenError:
            return False
        except BaseException as error:
            to = _outcome(error, last=last)
            self._context.move(row_id, to, _ANSWERED, **words(error))
            if not isinstance(error, Exception):
                raise
            return to is State.PREPARED
        accepted = self._context.move(
            row_id,
            State.PROCESSING,
            _ANSWERED,
            task_id=task.task_id,
            estimated_time=task.estimated_time,
            credits_before=before,
            error=None,
            error_type=None,
        )
        if accepted is not None:
            self._on_accepted(accepted)
        return False

    def _check(self, row_id: str) -> None:
        """Look at the row once more; called just before the first byte is written."""
        if not self._context.log.is_mine_to_send(row_id):
            raise _TakenError

    def _balance_if_alone(self) -> float | None:
        """Read the balance when nothing else runs; a price can be told from such a task only."""
        client = self._context.client
        with contextlib.suppress(LumaError):
            if self._measure and not self._context.log.count_open(client.name, besides=1):
                return client.get_credits()
        return None

    def _renew_lease(self) -> float | None:
        if not self._busy:
            return None
        with contextlib.suppress(LogError):
            self._context.log.renew_lease()
        return _RENEW_SECONDS


class _TakenError(Exception):
    """The row is no longer this process's to send; nothing was written."""


def _outcome(error: BaseException, *, last: bool) -> State:
    """Say what an attempt without a task id leaves behind."""
    if isinstance(error, RateLimitedError):
        return State.NOT_SENT
    # A LogError comes from the last look at the row: before the first byte.
    if isinstance(error, NotSentError | LogError):
        return State.NOT_SENT if last else State.PREPARED
    if isinstance(error, RejectedError):
        return State.REJECTED
    return State.UNKNOWN


def request_of(row: Row) -> Ray2Request:
    """Build the request of a row; an option that is NULL there was not known to its writer."""
    fields = Ray2Request.fields()
    return Ray2Request(**{f.name: row[f.name] for f in fields if row[f.name] is not None})
