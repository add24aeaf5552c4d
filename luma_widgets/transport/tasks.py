"""Tasks of the service and their state, read tolerantly from what it answers."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

MAX_URLS = 100


class TaskStatus(IntEnum):
    """The service's own numbers for the state of a task."""

    PROCESSING = 1
    COMPLETED = 2
    FAILED = 3


@dataclass(frozen=True)
class Task:
    """A task that the service accepted.

    Parameters
    ----------
    task_id : str
        Opaque; used exactly as it came.
    estimated_time : int or None
        Seconds, as the service estimates; None where it gave no usable number.
    """

    task_id: str
    estimated_time: int | None


@dataclass(frozen=True)
class TaskState:
    """What the service says of a task.

    Parameters
    ----------
    task_id : str
        The task that was asked for.
    status : TaskStatus
        Anything the service reports that is not known counts as ``PROCESSING``.
    result_urls : tuple of str
        Addresses of the results, at most 100, exactly as they came.
    notice : str
        A sentence when the answer was not as documented, else empty.
    """

    task_id: str
    status: TaskStatus
    result_urls: tuple[str, ...]
    notice: str = ""


def task_state(task_id: str, data: Any) -> TaskState:
    """Read the ``data`` of an answer to task/get. It never raises.

    Examples
    --------
    >>> task_state("t1", {"status": 4}).notice
    'The service reported the unknown status 4; the task counts as running.'
    """
    fields = data if isinstance(data, dict) else {}
    raw = fields.get("status")
    # Exact type: true and 1.0 are not the integer 1, and "2" is not 2.
    status = TaskStatus(raw) if type(raw) is int and raw in set(TaskStatus) else None
    urls, dropped = _urls(fields.get("result_urls"))
    notices = []
    if status is None:
        shown = reprlib.repr(raw) if raw is not None else "nothing"
        notices.append(
            f"The service reported the unknown status {shown}; the task counts as running."
        )
    if dropped:
        notices.append(
            f"The service listed more than {MAX_URLS} results, or some that are no addresses; "
            f"{len(urls)} are used."
        )
    if status is TaskStatus.COMPLETED and not urls:
        notices.append("The service reported the task as completed without any result.")
    other = fields.get("task_id")
    if other is not None and other != task_id:
        notices.append("The service's answer names another task.")
    return TaskState(
        task_id=task_id,
        status=status or TaskStatus.PROCESSING,
        result_urls=urls,
        notice=" ".join(notices),
    )


def _urls(value: Any) -> tuple[tuple[str, ...], bool]:
    """Return the usable addresses, and whether anything was left out."""
    if value is None:
        return (), False
    if not isinstance(value, list):
        return (), True
    urls = tuple(url for url in value if isinstance(url, str) and _storable(url))[:MAX_URLS]
    return urls, len(urls) != len(value)


def _storable(url: str) -> bool:
    return bool(url) and not any("\ud800" <= character <= "\udfff" for character in url)
