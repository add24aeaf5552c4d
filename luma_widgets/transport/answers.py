"""What an answer means: strict JSON, the service's envelope, and the verdict on a paid call."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ..strictjson import load_json
from .retries import retry_after

_UNDECIDED = (408, 409, 425, 429)  # 4xx that do not say that the request was looked at


@dataclass(frozen=True)
class Answer:
    """What came back from one attempt: an answer, a part of one, or nothing.

    Parameters
    ----------
    sent : bool
        Whether a byte of the request may have left this machine.
    status : int, optional
        HTTP status, when the head of an answer arrived.
    headers : mapping
        The answer's headers; names in any case.
    body : bytes
        What was received of the body, decoded.
    failure : str, optional
        What went wrong, as the end of a sentence; None for a complete answer.
    """

    sent: bool
    status: int | None = None
    # A server may echo the key: neither shows in tracebacks that print variables.
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    failure: str | None = None

    def header(self, name: str) -> str | None:
        """Return a header's value, whatever the case of its name."""
        wanted = name.lower()
        return next((v for k, v in self.headers.items() if k.lower() == wanted), None)


@dataclass(frozen=True)
class Envelope:
    """The service's wrapping of every answer: ``{"code": ..., "message": ..., "data": ...}``.

    ``code`` is None where it is missing or not an integer; ``message`` is read from ``msg`` too.
    """

    code: int | None
    message: str = field(repr=False)
    data: Any = field(repr=False)


class Outcome(Enum):
    """What a paid call came to."""

    CREATED = "created"
    REJECTED = "rejected"
    RATE_LIMITED = "rate limited"
    NOT_SENT = "not sent"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Verdict:
    """The judgement of one attempt at a paid call.

    Parameters
    ----------
    outcome : Outcome
    task_id : str
        For ``CREATED``; otherwise empty.
    estimated_time : int, optional
        Seconds, for ``CREATED``, when the service gave a usable number.
    code : int, optional
        The envelope's code.
    message : str
        The service's own words, as they came; may be empty.
    retry_after : float, optional
        Seconds, for ``RATE_LIMITED``.
    """

    outcome: Outcome
    task_id: str = ""
    estimated_time: int | None = None
    code: int | None = None
    message: str = field(default="", repr=False)
    retry_after: float | None = None


def read_envelope(body: bytes) -> Envelope | None:
    """Read an answer's envelope; None unless the body is a strict JSON object."""
    try:
        value = _json(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    code = value.get("code")
    words = (value.get(name) for name in ("message", "msg"))
    return Envelope(
        code=code if type(code) is int else None,
        message=next((text for text in words if isinstance(text, str)), ""),
        data=value.get("data"),
    )


def judge(answer: Answer) -> Verdict:
    """Judge one attempt at a paid call. The first rule that matches wins.

    1. Nothing was written: not sent.
    2. An envelope with code 1 and a task id, at any HTTP status: created.
    3. 2xx or 4xx with code 0 or 2, completely received: rejected.
    4. 429: rate limited, which counts as not sent.
    5. Another 4xx that refuses the request, without an envelope: rejected.
    6. Everything else: unknown.

    Examples
    --------
    >>> judge(Answer(sent=True, status=502, body=b"<html>")).outcome
    <Outcome.UNKNOWN: 'unknown'>
    """
    if not answer.sent:
        return Verdict(Outcome.NOT_SENT)
    envelope = read_envelope(answer.body)
    created = envelope and _created(envelope)
    if created:
        return created
    status = answer.status or 0
    code = envelope.code if envelope else None
    message = envelope.message if envelope else ""
    whole = answer.failure is None
    if whole and code in (0, 2) and status // 100 in (2, 4):
        return Verdict(Outcome.REJECTED, code=code, message=message)
    if status == 429:
        wait = retry_after(answer.header("Retry-After"))
        return Verdict(Outcome.RATE_LIMITED, code=code, message=message, retry_after=wait)
    if whole and status // 100 == 4 and status not in _UNDECIDED and _bare(answer.body):
        return Verdict(Outcome.REJECTED, message=message)
    return Verdict(Outcome.UNKNOWN, code=code, message=message)


def refused_key(code: int | None, message: str, status: int | None = None) -> bool:
    """Tell whether a refusal is about the API key."""
    return code == 2 or status == 401 or message.strip().casefold().startswith("invalid api key")


def refused_balance(message: str, status: int | None = None) -> bool:
    """Tell whether a refusal is about the balance."""
    words = message.casefold()
    return status == 402 or "credits not enough" in words or "insufficient credits" in words


def _created(envelope: Envelope) -> Verdict | None:
    data = envelope.data if isinstance(envelope.data, dict) else {}
    task_id = data.get("task_id")
    if envelope.code != 1 or not isinstance(task_id, str) or not task_id or _lone(task_id):
        return None
    seconds = data.get("estimated_time")
    usable = type(seconds) is int and 0 <= seconds < 2**31
    return Verdict(
        Outcome.CREATED,
        task_id=task_id,
        estimated_time=seconds if usable else None,
        code=1,
        message=envelope.message,
    )


def _bare(body: bytes) -> bool:
    """Tell that a body holds no envelope, not even one that cannot be read or trusted."""
    try:
        value = _json(body)
    except (ValueError, RecursionError):
        return b'"code"' not in body
    return not (isinstance(value, dict) and "code" in value)


def _json(body: bytes) -> Any:
    """Read an answer; a byte order mark, which some servers add, changes nothing."""
    return load_json(body.removeprefix(codecs.BOM_UTF8))


def _lone(text: str) -> bool:
    """Tell whether a text holds lone surrogates, which no log could store."""
    return any("\ud800" <= character <= "\udfff" for character in text)
