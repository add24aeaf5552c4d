"""Free calls: repeated with care until there is an answer, the time is up or the quota is used."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from ..config import ApiKey
from ..errors import ApiError, ServiceError
from .answers import Answer, Envelope, read_envelope, refused_key
from .create import refusal
from .deadline import Call
from .redact import clean, excerpt
from .retries import Backoff, RetryQuota, retry_after
from .session import FINAL, KeyAuth, Session, exchange

LOG = logging.getLogger("luma_widgets.reads")

ATTEMPTS = 4
_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}


@dataclass(frozen=True)
class Reader:
    """Makes free calls over one session.

    Parameters
    ----------
    session : Session
    auth : KeyAuth
        Adds the key at the last moment.
    key : ApiKey
        Hidden in every text that comes back.
    backoff : Backoff
    quota : RetryQuota
        Shared by all calls of a client.
    """

    session: Session
    auth: KeyAuth
    key: ApiKey
    backoff: Backoff
    quota: RetryQuota

    def read(self, url: str, body: bytes, timeout: float) -> Any:
        """Return the ``data`` of a successful answer.

        Parameters
        ----------
        url : str
        body : bytes
            JSON.
        timeout : float
            Seconds for all attempts and the waits between them.

        Raises
        ------
        AuthenticationError, InsufficientCreditsError, RejectedError
            If the service refused by its code.
        ServiceError
            If there was no usable answer.
        """
        end = self.backoff.clock() + timeout
        for attempt in range(1, ATTEMPTS + 1):
            call = Call(max(end - self.backoff.clock(), 0.001), clock=self.backoff.clock)
            done = exchange(
                self.session, "POST", url, call, auth=self.auth, headers=_HEADERS, data=body
            )
            if done.interrupt is not None:
                raise done.interrupt
            envelope = read_envelope(done.answer.body) if done.answer.failure is None else None
            if envelope is not None and envelope.code == 1:
                self.quota.succeeded()
                return envelope.data
            wait = self._wait(done.answer, envelope, attempt)
            left = end - self.backoff.clock()
            if wait is None or attempt == ATTEMPTS or wait >= left or not self.quota.take():
                break
            LOG.info("A free call failed (%s); again in %.1f s", _reason(done.answer), wait)
            self.backoff.sleep(wait)
        raise self._error(done.answer, envelope)

    def _wait(self, answer: Answer, envelope: Envelope | None, attempt: int) -> float | None:
        """Return the seconds to wait before the next attempt; None where it would be in vain."""
        if envelope is not None and refused_key(envelope.code, envelope.message):
            return None
        if answer.failure in FINAL or (answer.failure is None and not _transient(answer.status)):
            return None
        own = self.backoff.delay(attempt)
        wished = retry_after(answer.header("Retry-After"))
        return own if wished is None else max(own, wished)

    def _error(self, answer: Answer, envelope: Envelope | None) -> ApiError:
        code = envelope.code if envelope else None
        message = envelope.message if envelope else ""
        words = clean(message, self.key)
        kind: type[ApiError] = ServiceError
        text = f"The service gave no usable answer: {_reason(answer)}."
        if words:
            text = f"{text} It said: {words}"
        refused = code in (0, 2) and not _transient(answer.status)
        if refused or refused_key(code, message, answer.status if code is None else None):
            kind, text = refusal(code, message, words, answer.status)
        return kind(
            text, code=code, http_status=answer.status, excerpt=excerpt(answer.body, self.key)
        )


def _transient(status: int | None) -> bool:
    return status is not None and (status in (408, 425, 429) or status >= 500)


def _reason(answer: Answer) -> str:
    if answer.failure is not None:
        return answer.failure
    if answer.status is not None and 300 <= answer.status < 400:
        return f"HTTP {answer.status}, a redirect, which is never followed with a key"
    return f"HTTP {answer.status}"
