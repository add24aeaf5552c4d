"""What the background work of one experiment shares: client, log, folder, and how it reports."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ..client import PixwithClient
from ..errors import ApiError, LogError, LumaError
from ..log import RUNNING, ExperimentLog, Row, State
from ..log.spill import Spill
from .polling import Poller

_RETRY_SECONDS = 5.0


@dataclass
class Context:
    """Shared by the sender and the watcher.

    Parameters
    ----------
    client : PixwithClient
    log : ExperimentLog
    folder : Path
        Where results go; created with the first of them.
    on_change : callable
        Called with a row after it has changed, on a background thread.
    on_notice : callable
        Called with a sentence about trouble that no row shows; ``""`` when it is over.

    Attributes
    ----------
    follow : callable
        Set by the watcher; called with a running row that could be written only later.
    """

    client: PixwithClient
    log: ExperimentLog
    folder: Path
    on_change: Callable[[Row], object]
    on_notice: Callable[[str], object]
    follow: Callable[[Row], object] = field(init=False, default=lambda _: None)
    spill: Spill = field(init=False)
    poller: Poller = field(init=False)

    def __post_init__(self) -> None:
        self.spill = Spill(self.log.name)
        self.poller = Poller(self.report)
        self._notice = ""
        self._lock = threading.Lock()

    def move(self, row_id: str, to: State, since: frozenset[State], **values: Any) -> Row | None:
        """Move a row and tell about it; when the log cannot be written, keep on trying.

        Returns
        -------
        dict or None
            The row; None when it was in none of the states, or the log is in trouble.
        """
        try:
            row = self.log.transition(row_id, to, since=since, **values)
        except LogError as error:
            self._keep(row_id, to, since, values, error)
            return None
        if row is not None:
            self.on_change(row)
        elif "task_id" in values:
            self._homeless(row_id, values)
        return row

    def measure(self, row_id: str) -> None:
        """Note the balance after a task that was alone; see Sender for the one before."""
        with contextlib.suppress(LumaError):
            row = self.log.get(row_id)
            if row["credits_before"] is None or not self.log.was_alone(row):
                return
            changed = self.log.annotate(row_id, credits_after=self.client.get_credits())
            if changed is not None:
                self.on_change(changed)

    def report(self, error: BaseException) -> None:
        """Show an unexpected error of the background work; the work goes on."""
        self.notice(f"Something went wrong in the background: {type(error).__name__}: {error}")

    def notice(self, text: str) -> None:
        """Show a sentence, once."""
        with self._lock:
            if text == self._notice:
                return
            self._notice = text
        self.on_notice(text)

    def _keep(
        self,
        row_id: str,
        to: State,
        since: frozenset[State],
        values: dict[str, Any],
        error: LogError,
    ) -> None:
        text = f"{error} The answer for submission {row_id} is kept and written as soon as it goes."
        if task_id := values.get("task_id"):
            answer = {"id": row_id, "task_id": task_id, **values}
            place = self.spill.keep(answer)
            text = f"{error} The service accepted submission {row_id} as task {task_id}; "
            text += f"that is kept in {place}." if place else "write this task id down."
        self.notice(text)
        retry = partial(self._again, row_id, to, since, values)
        self.poller.add(f"write {row_id}", retry, _RETRY_SECONDS)

    def _again(
        self, row_id: str, to: State, since: frozenset[State], values: dict[str, Any]
    ) -> float | None:
        try:
            row = self.log.transition(row_id, to, since=since, **values)
        except LogError:
            return _RETRY_SECONDS
        self.notice("")
        if row is None:
            return None
        self.on_change(row)
        if row["state"] in RUNNING:
            self.follow(row)
        return None

    def _homeless(self, row_id: str, values: dict[str, Any]) -> None:
        """Keep a task id whose row was given up before the answer came."""
        place = self.spill.keep({"id": row_id, **values})
        kept = f"it is kept in {place}" if place else "write it down"
        self.notice(
            f"The service accepted submission {row_id} after it was given up, as task "
            f"{values['task_id']}; {kept}."
        )


def words(error: BaseException) -> dict[str, Any]:
    """Return the columns that keep an error: its name, its message, the answer's beginning."""
    return {
        "error_type": type(error).__name__,
        "error": str(error) or type(error).__name__,
        "excerpt": error.excerpt if isinstance(error, ApiError) else None,
    }
