"""The only place that creates tasks: one request for each row that was claimed for it."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from functools import partial

from ..errors import (
    ConfigurationError,
    LogError,
    LumaError,
    NotSentError,
    RateLimitedError,
    RejectedError,
    RequestError,
)
from ..log import OUTCOME_UNKNOWN, Row, State, request_of
from ..threads import DaemonPool
from .context import Context, words

ATTEMPTS = 3
_RENEW_SECONDS = 15.0
_CHARGED_SECONDS = 3.0
_ANSWERED = frozenset({State.SENDING, State.UNKNOWN})
_UNCLAIMED = frozenset({State.PREPARED})
_CLOSED = "The experiment was closed before this was sent; nothing was charged."


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
        self._waiting: set[str] = set()
        self._busy: set[str] = set()
        self._closed = False

    @property
    def busy(self) -> frozenset[str]:
        """The ids of the rows that wait to be sent, or whose request is on its way."""
        return frozenset(self._waiting | self._busy)

    def start(self, row_id: str) -> None:
        """Send a prepared row in the background."""
        self._waiting.add(row_id)
        self._pool.submit(partial(self._send, row_id))

    def close(self) -> None:
        """Take no more rows."""
        self._pool.close()

    def send(self, row_id: str) -> None:
        """Send a prepared row: at most one request that can reach the service.

        An attempt of which provably nothing left is repeated, three times in all.
        """
        before = self._balance_if_alone()
        for attempt in range(1, ATTEMPTS + 1):
            if self._closed:
                self._give_up(row_id)
                return
            row = self._context.log.begin_sending(row_id, before)
            if row is None:
                return  # cancelled, or another process's
            self._context.on_change(row)
            self._busy.add(row_id)
            self._waiting.discard(row_id)
            self._context.poller.add("lease", self._renew_lease, _RENEW_SECONDS)
            try:
                again = self._attempt(row, last=attempt == ATTEMPTS)
                if again:
                    self._waiting.add(row_id)
            finally:
                self._busy.discard(row_id)
            if not again:
                return
            time.sleep(random.uniform(0.1, 0.3) * 2**attempt)  # noqa: S311

    def settle(self) -> None:
        """Send nothing any more: what waits is given up, what is on its way becomes unknown."""
        self._closed = True
        for row_id in tuple(self._waiting):
            self._give_up(row_id)
        for row_id in tuple(self._busy):
            note = {"error_type": "OutcomeUnknownError", "error": OUTCOME_UNKNOWN}
            self._context.move(row_id, State.UNKNOWN, frozenset({State.SENDING}), **note)

    def join(self, timeout: float) -> None:
        """Wait for the threads to end, for some seconds at most."""
        self._pool.join(timeout)

    def _send(self, row_id: str) -> None:
        try:
            self.send(row_id)
        except LogError as error:
            # The log could not take the claim, so nothing was sent.
            self._context.move(row_id, State.NOT_SENT, _UNCLAIMED, **words(error))
        finally:
            self._waiting.discard(row_id)

    def _give_up(self, row_id: str) -> None:
        note = {"error_type": "NotSentError", "error": _CLOSED}
        self._context.move(row_id, State.ABANDONED, _UNCLAIMED, **note)

    def _attempt(self, row: Row, *, last: bool) -> bool:
        """Make one request. Return whether it should be made again."""
        row_id = row["id"]
        try:
            task = self._context.client.create_task(
                request_of(row), attempts=1, before_send=partial(self._check, row_id)
            )
        except _TakenError:
            if self._closed:
                note = {"error_type": "NotSentError", "error": _CLOSED}
                self._context.move(row_id, State.NOT_SENT, _ANSWERED, **note)
            return False
        except BaseException as error:
            to = _outcome(error, last=last or self._closed)
            self._context.move(row_id, to, _ANSWERED, **words(error))
            if to is State.UNKNOWN:
                # A few seconds later the balance shows whether something was charged.
                measure = partial(self._context.measure, row_id)
                self._context.poller.add(f"balance {row_id}", measure, _CHARGED_SECONDS)
            if not isinstance(error, Exception):
                raise
            return to is State.PREPARED
        accepted = self._context.move(
            row_id,
            State.PROCESSING,
            _ANSWERED,
            task_id=task.task_id,
            estimated_time=task.estimated_time,
            error=None,
            error_type=None,
        )
        if accepted is not None:
            self._on_accepted(accepted)
        return False

    def _check(self, row_id: str) -> None:
        """Look at the row once more; called just before the first byte is written."""
        if self._closed or not self._context.log.is_mine_to_send(row_id):
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
    # The request or the settings were wrong, which is seen before there is a connection.
    if isinstance(error, RequestError | ConfigurationError):
        return State.NOT_SENT
    if isinstance(error, RejectedError):
        return State.REJECTED
    return State.UNKNOWN
