"""The paid call: one request, at most once, and an honest word on what became of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from ..config import ApiKey
from ..errors import (
    ApiError,
    AuthenticationError,
    InsufficientCreditsError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitedError,
    RejectedError,
)
from .answers import (
    Answer,
    Outcome,
    Verdict,
    judge,
    refused_balance,
    refused_key,
)
from .deadline import Call
from .redact import clean, excerpt
from .retries import Backoff
from .session import KeyAuth, Session, exchange
from .tasks import Task

LOG = logging.getLogger("luma_widgets.create")

UNKNOWN = "Outcome unknown: this video may have started and been charged. Nothing was sent again."
_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "Connection": "close",
}


@dataclass(frozen=True)
class Sender:
    """Sends one paid request.

    Parameters
    ----------
    url : str
    auth : KeyAuth
        Adds the key at the last moment.
    key : ApiKey
        Hidden in every text that comes back.
    timeout : float
        Seconds for each attempt.
    backoff : Backoff
    """

    url: str
    auth: KeyAuth
    key: ApiKey
    timeout: float
    backoff: Backoff

    def send(
        self,
        session: Callable[[], Session],
        body: bytes,
        attempts: int,
        before_send: Callable[[], object] | None,
    ) -> Task:
        """Send the request; try again only while provably nothing was sent.

        Parameters
        ----------
        session : callable
            Makes a session for each attempt, and so a new connection: one that was kept open may
            have died idle, which would leave the outcome unknown without need.
        body : bytes
        attempts : int
        before_send : callable or None

        Raises
        ------
        ApiError
            See :meth:`luma_widgets.PixwithClient.create_task`.
        """
        for attempt in range(1, attempts + 1):
            answer, verdict = self._attempt(session, body, before_send)
            if verdict.outcome is not Outcome.NOT_SENT or attempt == attempts:
                break
            LOG.info("Nothing was sent (%s); attempt %d failed", answer.failure, attempt)
            self.backoff.sleep(self.backoff.delay(attempt))
        if verdict.outcome is Outcome.CREATED:
            return Task(verdict.task_id, verdict.estimated_time)
        raise self._error(verdict, answer, attempts)

    def _attempt(
        self,
        session: Callable[[], Session],
        body: bytes,
        before_send: Callable[[], object] | None,
    ) -> tuple[Answer, Verdict]:
        call = Call(self.timeout, before_send=before_send, clock=self.backoff.clock)
        try:
            with session() as fresh:
                done = exchange(
                    fresh, "POST", self.url, call, auth=self.auth, headers=_HEADERS, data=body
                )
            if done.interrupt is not None:
                raise done.interrupt
            return done.answer, judge(done.answer)
        except BaseException as error:  # an interrupt; nothing else gets here once it is sent
            if call.sent:
                error.add_note(UNKNOWN)
            raise

    def _error(self, verdict: Verdict, answer: Answer, attempts: int) -> ApiError:
        words = clean(verdict.message, self.key)
        if verdict.outcome is Outcome.RATE_LIMITED:
            return RateLimitedError(
                "The service is limiting requests (HTTP 429); this one is not sent again by itself."
                + (f" It said: {words}" if words else ""),
                retry_after=verdict.retry_after,
                code=verdict.code,
                http_status=answer.status,
                excerpt=excerpt(answer.body, self.key),
            )
        kind, message = _described(verdict, answer, words, attempts)
        return kind(
            message,
            code=verdict.code,
            http_status=answer.status,
            excerpt=excerpt(answer.body, self.key),
        )


def _described(
    verdict: Verdict, answer: Answer, words: str, attempts: int
) -> tuple[type[ApiError], str]:
    if verdict.outcome is Outcome.NOT_SENT:
        tried = f"{attempts} attempts" if attempts > 1 else "one attempt"
        return NotSentError, f"Nothing was sent after {tried}: {answer.failure}."
    if verdict.outcome is Outcome.REJECTED:
        return refusal(verdict.code, verdict.message, words, answer.status)
    cause = answer.failure or f"the service answered HTTP {answer.status} without a usable result"
    said = f" It said: {words}" if words else ""
    return OutcomeUnknownError, f"{UNKNOWN} The reason: {cause}.{said}"


def refusal(
    code: int | None, message: str, words: str, status: int | None
) -> tuple[type[RejectedError], str]:
    """Choose the error for a refusal, and its text.

    Parameters
    ----------
    code : int or None
        The envelope's code, if there was one.
    message, words : str
        The service's own words, as they came and as they may be shown.
    status : int or None
        HTTP status.
    """
    said = words or f"HTTP {status}, without a reason"
    if refused_key(code, message, status if code is None else None):
        return AuthenticationError, f"The service refused the API key: {said}"
    if refused_balance(message, status if code is None else None):
        return InsufficientCreditsError, f"The balance is too low for this request: {said}"
    return RejectedError, f"The service refused the request: {said}"
