"""Downloads: public addresses only, whole or not at all, under a name that nobody else chooses."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ..errors import ExpiredError, MediaError
from ..transport.addresses import follow, rule_for
from ..transport.answers import Answer
from ..transport.deadline import Call
from ..transport.redact import place
from ..transport.session import TOO_LARGE, Session, exchange
from .containers import ending, is_whole

MAX_BYTES = 512 * 2**20
TIMEOUT = 600.0
IDLE = 30.0
REDIRECTS = 5
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
# Windows keeps these names for devices, whatever their ending.
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE | re.ASCII)


def download(
    session: Session,
    url: str,
    folder: Path,
    stem: str,
    *,
    own: str | None = None,
    max_bytes: int = MAX_BYTES,
    timeout: float = TIMEOUT,
    clock: Callable[[], float] = time.monotonic,
) -> Path:
    """Save a video or a picture under ``folder``; the file appears whole or not at all.

    Parameters
    ----------
    session : Session
        Without a key.
    url : str
        Public https, or of the origin ``own``. Up to five redirects are followed, each checked.
    folder : Path
        Made if it does not exist.
    stem : str
        The file's name without ending, such as a task id. A name that could mean anything else
        to a file system is replaced by its hash.
    own : str, optional
        A base URL on this machine whose origin is allowed as well.
    max_bytes : int, default 512 MiB
    timeout : float, default 600
        Seconds for everything; 30 without a byte end it earlier.
    clock : callable
        Stands in for ``time.monotonic``.

    Returns
    -------
    Path
        Absolute. The ending follows from the content: .mp4, .webm, .png or .jpg.

    Raises
    ------
    ExpiredError
        If the address is no longer valid (HTTP 403, 404 or 410).
    MediaError
        If the address may not be used, the file is not complete, too large or of another kind,
        or it cannot be written.
    """
    rule_for(url, own)  # a refused address leaves no trace, not even the folder
    try:
        folder = Path(folder).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".luma-", suffix=".part", dir=folder)
        try:
            with os.fdopen(handle, "w+b") as file:
                end = clock() + timeout
                _fetch(session, url, file, own=own, max_bytes=max_bytes, end=end, clock=clock)
                target = folder / (file_stem(stem) + _checked(file, url))
            _publish(Path(name), target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
        return target
    except OSError as error:
        reason = error.strerror or str(error)
    raise MediaError(f"The file cannot be saved in {folder}: {reason}.")


def file_stem(text: str) -> str:
    """Return a name that is safe on every file system and stays in its folder.

    Examples
    --------
    >>> file_stem("d425ab4dc256f0ebaa84862b9cea8a3d-0")
    'd425ab4dc256f0ebaa84862b9cea8a3d-0'
    >>> file_stem("../../.bashrc")
    'x-1559504cfb836f42'
    """
    if _PLAIN.fullmatch(text) and not _RESERVED.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"x-{digest[:16]}"


def _fetch(
    session: Session,
    url: str,
    file: BinaryIO,
    *,
    own: str | None,
    max_bytes: int,
    end: float,
    clock: Callable[[], float],
) -> None:
    """Fill the file from an address, following redirects with the same checks."""
    for _ in range(REDIRECTS + 1):
        allowed = rule_for(url, own)
        errors: list[OSError] = []
        call = Call(max(end - clock(), 0.001), idle=IDLE, allowed=allowed, clock=clock)
        done = exchange(
            session,
            "GET",
            url,
            call,
            headers={"Connection": "close"},
            limit=max_bytes,
            sink=_writer(file, errors),
        )
        if done.interrupt is not None:
            raise done.interrupt
        if errors:
            raise OSError(errors[0].errno, errors[0].strerror)
        answer = done.answer
        target = answer.header("Location") if _is_redirect(answer.status) else None
        if target is None:
            break
        url = follow(url, target)
    else:
        raise MediaError(f"{place(url)} redirects too often.")
    _check(answer, url, max_bytes)


def _writer(file: BinaryIO, errors: list[OSError]) -> Callable[[bytes], object]:
    """Return a function that writes, and notes why it cannot: a full disk is no network fault."""

    def write(chunk: bytes) -> None:
        try:
            file.write(chunk)
        except OSError as error:
            errors.append(error)
            raise

    return write


def _is_redirect(status: int | None) -> bool:
    return status in (301, 302, 303, 307, 308)


def _check(answer: Answer, url: str, max_bytes: int) -> None:
    if answer.status in (403, 404, 410):
        raise ExpiredError(
            f"{place(url)} is no longer valid (HTTP {answer.status}); "
            "ask for the task again to get a fresh address."
        )
    if answer.failure == TOO_LARGE:
        raise MediaError(f"{place(url)} is larger than {max_bytes / 2**20:.0f} MiB.")
    if answer.failure is not None:
        raise MediaError(f"{place(url)} could not be downloaded: {answer.failure}.")
    if answer.status != 200:
        raise MediaError(f"{place(url)} could not be downloaded: HTTP {answer.status}.")


def _checked(file: BinaryIO, url: str) -> str:
    """Return the ending for a complete file; sync it to the disk."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    kind = ending(file.read(16))
    if kind is None:
        raise MediaError(f"{place(url)} is neither a video nor a picture that can be shown.")
    if not is_whole(file, size):
        raise MediaError(f"{place(url)} is damaged or was cut off after {size} bytes.")
    file.flush()
    os.fsync(file.fileno())
    return kind


def _publish(part: Path, target: Path) -> None:
    """Rename onto the target, replacing a link rather than what it points to."""
    part.replace(target)
    if os.name == "posix":
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
