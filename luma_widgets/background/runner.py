"""The background work of one experiment as one thing: start it, pick up what is left, stop it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..client import PixwithClient
from ..errors import LogError
from ..log import RUNNING, ExperimentLog, Row, State
from .context import Context
from .sender import Sender
from .watcher import TASK, Watcher

_LOOK_SECONDS = 1.0


class Runner:
    """Sends prepared rows, follows tasks to their files, and notices what other programs change.

    Parameters
    ----------
    client : PixwithClient
    log : ExperimentLog
    folder : Path
        Where results go.
    on_revision : callable
        Called with the log's revision after it has grown, on a background thread.
    on_notice : callable
        Called with a sentence about trouble that no row shows; ``""`` when it is over.
    measure : bool
        Whether to read the balance before and after tasks that run alone.
    """

    def __init__(
        self,
        client: PixwithClient,
        log: ExperimentLog,
        folder: Path,
        *,
        on_revision: Callable[[int], object],
        on_notice: Callable[[str], object],
        measure: bool,
    ) -> None:
        self._client = client
        self._log = log
        self._on_revision = on_revision
        self._on_notice = on_notice
        self._context = Context(client, log, folder, self.tell, on_notice)
        self._watcher = Watcher(self._context)
        self._sender = Sender(self._context, self._watcher.watch, measure=measure)
        self._context.poller.add("log", self._look, _LOOK_SECONDS)

    def start(self, row: Row) -> None:
        """Send a row that has just been prepared."""
        self.tell(row)
        self._sender.start(row["id"])

    def tell(self, row: Row) -> None:
        """Say that a row has changed."""
        self._on_revision(int(row["revision"]))

    def follow(self, row: Row) -> None:
        """Follow a row that has a task id now."""
        self.tell(row)
        self._watcher.watch(row)

    @property
    def following(self) -> int:
        """How many tasks are followed."""
        return sum(key.startswith(TASK) for key in self._context.poller.names())

    def gave_up(self, row_id: str) -> bool:
        """Tell whether the files of a finished video could not be fetched, after several tries."""
        return self._watcher.gave_up(row_id)

    def recover(self) -> bool:
        """Settle the rows of programs that are gone; return whether there were any."""
        changed = self._log.recover()
        for row in changed:
            self.tell(row)
        return bool(changed)

    def resume(self) -> int:
        """Settle, take in the answers that were spilled, and follow every task of this service.

        Returns
        -------
        int
            How many tasks are followed now that were not before.
        """
        self.recover()
        for kept in self._context.spill.answers():
            self._absorb(kept)
        rows = self._log.rows(states=RUNNING)
        mine = [row for row in rows if row["base_url"] == self._client.name]
        before = self.following
        for row in mine:
            self._watcher.watch(row)
        others = sorted({row["base_url"] for row in rows} - {self._client.name})
        if others:
            count = len(rows) - len(mine)
            tasks = (
                "1 unfinished task belongs" if count == 1 else f"{count} unfinished tasks belong"
            )
            self._on_notice(
                f"{tasks} to {', '.join(others)}; open the experiment with a client of that "
                "service to follow them."
            )
        return self.following - before

    def close(self, timeout: float) -> None:
        """Stop; give up what waits to be sent, and settle what is on its way as ``unknown``.

        Parameters
        ----------
        timeout : float
            Seconds to wait for answers that are due.
        """
        deadline = time.monotonic() + timeout
        self._sender.close()
        while self._sender.busy and time.monotonic() < deadline:
            time.sleep(0.02)
        self._sender.settle()
        self._context.poller.close()
        self._watcher.close()
        for part in (self._sender, self._context.poller, self._watcher):
            part.join(min(1.0, max(0.0, deadline - time.monotonic())))

    def _look(self) -> float:
        """See whether another program, or another experiment here, has changed the log."""
        with contextlib.suppress(LogError):
            self._on_revision(self._log.revision())
        return _LOOK_SECONDS

    def _absorb(self, kept: dict[str, Any]) -> None:
        """Put an answer into the log that the log could not take when it came."""
        row = self._log.transition(
            str(kept.get("id")),
            State.PROCESSING,
            since=frozenset({State.UNKNOWN}),
            task_id=kept.get("task_id"),
            estimated_time=kept.get("estimated_time"),
            error=None,
            error_type=None,
        )
        if row is not None:
            self.tell(row)
