"""Every exception of luma_widgets, in one tree.

::

    LumaError
    ├── RequestError (TraitError, ValueError)      the request itself is wrong; nothing was sent
    ├── ConfigurationError (ValueError)            key, address or setting is wrong
    ├── MissingDependencyError (ImportError)       an optional package is not installed
    ├── ConfirmationNeededError                    code must say that it means it
    ├── SpendLimitError                            a limit on paid videos would be passed
    ├── LogError                                   the log cannot be read, written or trusted
    ├── ApiError                                   the service, or the way to it, failed
    │   ├── RejectedError                          the service refused; nothing was created
    │   │   ├── AuthenticationError                the API key was refused
    │   │   └── InsufficientCreditsError           the balance does not pay for it
    │   ├── NotSentError (ConnectionError)         nothing reached the service
    │   │   └── RateLimitedError                   the service answered 429 to a paid call
    │   ├── OutcomeUnknownError                    a paid call may or may not have been accepted
    │   └── ServiceError                           a free call failed
    ├── TaskFailedError                            the service reports the task as failed
    └── MediaError                                 an image or a video cannot be used
        └── ExpiredError                           a result's address is no longer valid

Each message says what was wrong, where, and what to do. None of these objects ever holds the API
key, a request or a response object: they can be pickled, logged and shown whole.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from dataclasses import dataclass

from traitlets import TraitError

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80  # keyword arguments came with Python 3.12


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, or probably unintended, in a request.

    Parameters
    ----------
    field : str
        The argument it concerns, such as ``"duration"``.
    value : object
        What was given, unchanged; ``...`` where something is missing.
    message : str
        What is wrong and what is allowed, as the end of a sentence that begins with the field.

    Examples
    --------
    >>> print(Problem("duration", "5", "must be 5 or 9 (seconds)"))
    duration: must be 5 or 9 (seconds); got '5'
    """

    field: str
    value: object
    message: str

    def __str__(self) -> str:
        got = "" if self.value is ... else f"; got {_SHORT.repr(self.value)}"
        return f"{self.field}: {self.message}{got}"


class LumaError(Exception):
    """Base class of every error that luma_widgets raises on purpose."""


class RequestError(LumaError, TraitError, ValueError):
    """The request is wrong. Nothing was sent.

    Parameters
    ----------
    problems : iterable of Problem
        Every problem that was found, in the order of the fields.

    Attributes
    ----------
    problems : tuple of Problem
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return str(self.problems[0])
        lines = "\n".join(f"- {problem}" for problem in self.problems)
        return f"The request has {len(self.problems)} problems:\n{lines}"


class ConfigurationError(LumaError, ValueError):
    """A key, an address or a setting is wrong or missing."""


class MissingDependencyError(LumaError, ImportError):
    """An optional package is not installed; the message names the pip command that brings it."""


class ConfirmationNeededError(LumaError):
    """The studio would ask here. Code does not prompt: the message names the argument to pass."""


class SpendLimitError(LumaError):
    """A limit on paid videos or credits would be passed. Nothing was sent."""


class LogError(LumaError):
    """The log cannot be opened, read, written or trusted. Nothing was sent."""


class ApiError(LumaError):
    """The service, or the way to it, failed.

    Parameters
    ----------
    message : str
        What happened, where, and what to do.
    code : int, optional
        The ``code`` of the answer's envelope, when there was one.
    http_status : int, optional
        The HTTP status, when there was an answer.
    excerpt : str, optional
        The beginning of the answer's body (at most 2,048 characters), without secrets.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        http_status: int | None = None,
        excerpt: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.http_status = http_status
        self.excerpt = excerpt


class RejectedError(ApiError):
    """The service refused the call. Nothing was created and nothing was charged."""


class AuthenticationError(RejectedError):
    """The service refused the API key."""


class InsufficientCreditsError(RejectedError):
    """The balance does not pay for the request."""


class NotSentError(ApiError, ConnectionError):
    """Nothing of the request reached the service. Sending it again is safe."""


class RateLimitedError(NotSentError):
    """The service answered 429 to a paid call; it is not sent again by itself.

    Parameters
    ----------
    retry_after : float, optional
        Seconds to wait, as the service asked for, between 0 and 60.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        code: int | None = None,
        http_status: int | None = None,
        excerpt: str | None = None,
    ) -> None:
        super().__init__(message, code=code, http_status=http_status, excerpt=excerpt)
        self.retry_after = retry_after


class OutcomeUnknownError(ApiError):
    """A paid call may have been accepted and charged, or not. It was not sent again."""


class ServiceError(ApiError):
    """A free call failed, after its own retries. It is safe to repeat."""


class TaskFailedError(LumaError):
    """The service reports that the task failed."""


class MediaError(LumaError):
    """An image or a video cannot be read, checked, uploaded or downloaded."""


class ExpiredError(MediaError):
    """A result has a new address; asking for the task again, which is free, gives it."""
