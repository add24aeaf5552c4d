"""The running submissions, a line each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import traitlets

from ..log import OPEN, Row, State
from .cards import task_card
from .parts import Buffers, Part, script, style

MAX_LINES = 50


class QueueView(Part):
    """Shows what is running: prompt, options, state, progress against the estimate.

    Progress moves in the browser, from start and estimate; no message is sent for it.

    Parameters
    ----------
    cancel : callable, optional
        Called with a row's id when its Cancel button is pressed; returns whether it was in time.
        Only what is not sent yet can be cancelled.
    estimate : callable, optional
        Takes a row and returns the seconds it will probably take, or None.

    Examples
    --------
    >>> queue = QueueView()
    >>> queue.update([])
    >>> queue.tasks
    []
    """

    _esm = script("queue")
    _css = style("queue")
    tasks = traitlets.List(traitlets.Dict()).tag(sync=True)
    more = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        *,
        cancel: Callable[[str], bool] | None = None,
        estimate: Callable[[Row], float | None] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._cancel = cancel
        self._estimate = estimate or (lambda row: row["estimated_time"])
        self._running: dict[str, Row] = {}

    def update(self, rows: Iterable[Row]) -> None:
        """Take in new or changed rows; those that do not run any more disappear."""
        for row in rows:
            self._running.pop(row["id"], None)
            if row["state"] in OPEN or row["state"] == State.QUEUED:
                self._running[row["id"]] = row
        shown = sorted(self._running.values(), key=lambda row: row["id"])
        with self.hold_sync():
            self.tasks = [task_card(row, self._estimate(row)) for row in shown[:MAX_LINES]]
            self.more = max(0, len(shown) - MAX_LINES)

    def clear(self) -> None:
        """Show nothing, before rows of another experiment come."""
        self._running.clear()
        self.update([])

    def _on_hello(self, _content: dict[str, Any], _buffers: Buffers) -> None:
        # The browser's clock may be wrong, or the page older than the state: it asks for ours.
        self.send({"type": "clock", "now": time.time() * 1000})

    def _on_cancel(self, content: dict[str, Any], _buffers: Buffers) -> None:
        row_id = content.get("id")
        if self._cancel is None or row_id not in self._running:
            return
        if not self._cancel(row_id):
            text = "It was too late to cancel: the request had been sent."
            self.send({"type": "message", "text": text, "tone": "warn"})
