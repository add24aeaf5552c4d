"""What a card does about an unknown outcome: the four ways out, off the main thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ..doubts import Doubts
from ..errors import ConfigurationError
from ..log import Row
from ..threads import start_daemon
from .cards import amount
from .parts import in_words

_LONGEST = 200  # characters of a task id; the service's have 32
_SETTLED = {
    "task": "The task was found. It is followed as any other now.",
    "none": "Marked as not created. The same request can be sent again.",
    "again": "Submitted again, as another video.",
}


class WaysOut:
    """Carries out what a person chose for a row whose outcome is unknown.

    Parameters
    ----------
    experiment_of : callable
        Takes a row and returns the experiment that can settle it.
    tell : callable
        Takes the answer for the page: ``id`` and ``way``, then ``now`` (the balance), ``text``
        (it is settled) or ``error``. It is called on a background thread.
    """

    def __init__(
        self,
        experiment_of: Callable[[Row], Doubts],
        tell: Callable[[dict[str, Any]], object],
    ) -> None:
        self._experiment_of = experiment_of
        self._tell = tell
        self._lock = threading.Lock()
        self._busy: set[str] = set()

    def take(self, row: Row, content: dict[str, Any]) -> None:
        """Begin one of the ways, in a thread of its own, unless one of this row is under way.

        Parameters
        ----------
        row : dict
        content : dict
            What the page sent: ``way`` is ``"check"``, ``"task"`` (with ``task_id``), ``"none"``
            or ``"again"`` (with ``confirmed``).
        """
        way = content.get("way")
        if not isinstance(way, str) or (way != "check" and way not in _SETTLED):
            return
        with self._lock:
            if row["id"] in self._busy:
                return
            self._busy.add(row["id"])
        start_daemon("way-out", lambda: self._run(row, way, content))

    def _run(self, row: Row, way: str, content: dict[str, Any]) -> None:
        answer = {"type": "settled", "id": row["id"], "way": way}
        try:
            answer.update(self._go(row, way, content))
        except Exception as error:  # noqa: BLE001 - a thread has no caller; it is shown
            answer["error"] = in_words(error)
        finally:
            with self._lock:
                self._busy.discard(row["id"])
        self._tell(answer)

    def _go(self, row: Row, way: str, content: dict[str, Any]) -> dict[str, str]:
        experiment, row_id = self._experiment_of(row), row["id"]
        if way == "check":
            return {"now": amount(experiment.check_credits(row_id).credits_now)}
        if way == "task":
            experiment.resolve(row_id, task_id=_task_id(content.get("task_id")))
        elif way == "none":
            experiment.resolve(row_id, not_created=True)
        else:
            confirmed = content.get("confirmed") is True
            experiment.resolve(row_id, submit_again=True, confirmed=confirmed)
        return {"text": _SETTLED[way]}


def _task_id(typed: object) -> str:
    text = typed.strip() if isinstance(typed, str) else ""
    if not 0 < len(text) <= _LONGEST or not text.isprintable():
        raise ConfigurationError("Enter the task id as the service's own pages show it.")
    return text
