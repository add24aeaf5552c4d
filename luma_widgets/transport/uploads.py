"""The upload of a picture to the storage that the service names: one form, the file last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from urllib3.filepost import encode_multipart_formdata

from ..errors import MediaError, RequestError, ServiceError
from ..media.images import Picture
from ..request import Ray2Request
from .addresses import rule_for
from .answers import Answer
from .deadline import Call
from .redact import place
from .retries import Backoff
from .session import FINAL, TIMED_OUT, Session, exchange

ATTEMPTS = 3
TIMEOUT = 300.0  # ten megabytes over a slow line
_MAX_FIELDS = 50
_MAX_FIELD = 1 << 16


@dataclass(frozen=True)
class Target:
    """Where a picture goes, and the address it will have.

    Parameters
    ----------
    url : str
        Of the storage.
    fields : mapping of str
        To be sent as they are: policy, signature and the like. Never shown.
    image_url : str
        What to use as start or end image afterwards.
    """

    url: str
    fields: Mapping[str, str] = field(repr=False)
    image_url: str


def read_target(data: Any) -> Target:
    """Read the ``data`` of an answer to task/pre_url.

    Raises
    ------
    ServiceError
        If it is not as documented. The message quotes nothing of it.
    """
    outer = data if isinstance(data, dict) else {}
    form = outer.get("upload_url")
    form = form if isinstance(form, dict) else {}
    url, image_url = form.get("url"), outer.get("image_url")
    fields: Any = form.get("fields")
    usable = isinstance(url, str) and isinstance(image_url, str)
    if not usable or not _usable(fields) or not _is_image_url(image_url):
        raise ServiceError("The service answered without a usable upload address.", code=1)
    return Target(url=str(url), fields=dict(fields), image_url=str(image_url))


def send(
    session: Session,
    target: Target,
    picture: Picture,
    *,
    own: str | None,
    timeout: float,
    backoff: Backoff,
) -> None:
    """Upload a picture. The session holds no key.

    Parameters
    ----------
    session : Session
    target : Target
    picture : Picture
    own : str or None
        A base URL on this machine whose origin may be the storage.
    timeout : float
        Seconds without progress that end an attempt; a whole attempt may take 300.
    backoff : Backoff

    Raises
    ------
    MediaError
        If the storage may not be used, refused the picture or did not answer.
    """
    allowed = rule_for(target.url, own)
    parts: list[tuple[str, Any]] = list(target.fields.items())
    parts.append(("file", (picture.name, picture.data, picture.content_type)))
    body, content_type = encode_multipart_formdata(parts)
    for attempt in range(1, ATTEMPTS + 1):
        call = Call(max(timeout, TIMEOUT), idle=timeout, allowed=allowed, clock=backoff.clock)
        headers = {"Content-Type": content_type, "Connection": "close"}
        done = exchange(session, "POST", target.url, call, headers=headers, data=body)
        if done.interrupt is not None:
            raise done.interrupt
        status = done.answer.status
        if status is not None and 200 <= status < 300:
            return
        if attempt == ATTEMPTS or not _may_pass(done.answer):
            break
        backoff.sleep(backoff.delay(attempt))
    raise MediaError(
        f"The picture could not be uploaded to {place(target.url)}: {_why(done.answer)}."
    )


def _may_pass(answer: Answer) -> bool:
    """Tell whether another attempt has a chance; one that ran out of time has had its."""
    if answer.status is not None:
        return answer.status >= 500 or answer.status == 429
    return answer.failure not in FINAL and not (answer.sent and answer.failure == TIMED_OUT)


def _why(answer: Answer) -> str:
    return f"HTTP {answer.status}" if answer.status is not None else str(answer.failure)


def _usable(fields: Any) -> bool:
    """Tell whether form fields can be sent as given; "file" is the name of the picture itself."""
    return (
        isinstance(fields, dict)
        and len(fields) <= _MAX_FIELDS
        and all(
            isinstance(text, str) and _encodable(text) for pair in fields.items() for text in pair
        )
        and "file" not in fields
    )


def _encodable(text: str) -> bool:
    return len(text) <= _MAX_FIELD and not any("\ud800" <= c <= "\udfff" for c in text)


def _is_image_url(url: Any) -> bool:
    try:
        Ray2Request(start_image=url)
    except RequestError:
        return False
    return True
