"""Follows accepted tasks to their files. Every call here is free and may be repeated."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..client import TaskState, TaskStatus
from ..errors import AuthenticationError, LumaError, MediaError
from ..log import RUNNING, Row, State
from ..log.rows import now_us
from ..threads import DaemonPool
from .context import Context, words
from .polling import LOCAL_PACE, Pace

TASK = "task "  # begins the names of the jobs that ask for tasks
_FETCH_ATTEMPTS = 5
_POLLED = frozenset({State.PROCESSING, State.STALLED})


@dataclass
class _Watch:
    """A task that is followed: when it was sent (microseconds), its estimate (seconds)."""

    row_id: str
    task_id: str
    sent_at: int
    estimate: float
    state: str
    failures: int = 0
    noted: bool = False

    def __post_init__(self) -> None:
        # The wall clock is asked once: when it jumps, no task becomes overdue by it.
        self._began = time.monotonic() - max(0.0, (now_us() - self.sent_at) / 1e6)

    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def now(self) -> int:
        """Return the time in microseconds, as a clock would show it that was right when sending."""
        return self.sent_at + int(self.elapsed() * 1e6)


class Watcher:
    """Polls tasks and stores their results.

    Parameters
    ----------
    context : Context
    pace : Pace, optional
        How often to ask; by default that of the vendor's advice, faster for a local simulator.
    """

    def __init__(self, context: Context, pace: Pace | None = None) -> None:
        self._context = context
        self._pace = pace or (LOCAL_PACE if context.client.local else Pace())
        self._pool = DaemonPool("fetch", 2, context.report)
        self._fetching: set[str] = set()
        self._given_up: set[str] = set()
        context.follow = self.watch

    def watch(self, row: Row) -> None:
        """Follow a row that has a task id; one that is followed already stays as it is."""
        if row["state"] == State.COMPLETED:
            self._fetch_later(row)
            return
        watch = _Watch(
            row_id=row["id"],
            task_id=row["task_id"],
            sent_at=row["sent_at"] or row["created_at"],
            estimate=float(row["estimated_time"] or 0),
            state=row["state"],
        )
        delay = max(0.0, watch.estimate - watch.elapsed())
        self._context.poller.add(f"{TASK}{watch.row_id}", partial(self._ask, watch), delay)

    def gave_up(self, row_id: str) -> bool:
        """Tell whether the results of a task could not be fetched, after several tries."""
        return row_id in self._given_up

    def close(self) -> None:
        """Take no more downloads."""
        self._pool.close()

    def join(self, timeout: float) -> None:
        """Wait for the downloads that were under way, for some seconds at most."""
        self._pool.join(timeout)

    def _ask(self, watch: _Watch) -> float | None:
        """Ask once; return the seconds until the next question, None when it is settled."""
        try:
            answer = self._context.client.get_task(watch.task_id)
        except LumaError as error:
            watch.failures += 1
            watch.noted = True
            self._context.notice(_trouble(watch, error))
            wait = min(60.0, self._pace.shortest * 2.0 ** min(watch.failures, 8))
            return None if self._wait(watch) is None else wait
        if watch.noted or answer.notice:
            self._context.notice(answer.notice)
        watch.failures, watch.noted = 0, bool(answer.notice)
        if answer.status is TaskStatus.COMPLETED and answer.result_urls:
            return self._completed(watch, answer)
        if answer.status is TaskStatus.FAILED:
            return self._failed(watch)
        return self._wait(watch)

    def _wait(self, watch: _Watch) -> float | None:
        elapsed = watch.elapsed()
        if not self._pace.is_overdue(elapsed, watch.estimate):
            return self._pace.wait(elapsed, watch.estimate)
        if watch.state != State.STALLED:
            since = frozenset({State.PROCESSING})
            row = self._context.move(watch.row_id, State.STALLED, since)
            if row is None and self._is_settled(watch.row_id):
                return None
            watch.state = State.STALLED
        return self._pace.stalled

    def _completed(self, watch: _Watch, answer: TaskState) -> float | None:
        row = self._context.move(
            watch.row_id,
            State.COMPLETED,
            _POLLED,
            result_urls=list(answer.result_urls),
            finished_at=watch.now(),
        )
        if row is not None:
            self._fetch_later(row)
        return None

    def _failed(self, watch: _Watch) -> float | None:
        self._context.measure(watch.row_id)
        self._context.move(
            watch.row_id,
            State.FAILED,
            _POLLED,
            finished_at=watch.now(),
            error_type="TaskFailedError",
            error="The service reports that this video failed. It gives no reason.",
        )
        return None

    def _is_settled(self, row_id: str) -> bool:
        """Tell whether another process has moved the row on."""
        with contextlib.suppress(LumaError):
            return self._context.log.get(row_id)["state"] not in RUNNING
        return False

    # Downloading -------------------------------------------------------------------------

    def _fetch_later(self, row: Row) -> None:
        if row["id"] not in self._fetching:
            self._fetching.add(row["id"])
            self._given_up.discard(row["id"])
            self._pool.submit(partial(self._fetch, row))

    def _fetch(self, row: Row) -> None:
        """Download the results; on trouble try again later, with fresh addresses."""
        try:
            files = self._download(row)
        except (LumaError, OSError) as error:
            self._fetching.discard(row["id"])
            self._fetch_failed(row, error)
            return
        names = [str(file.relative_to(self._context.folder.parent)) for file in files]
        since = frozenset({State.COMPLETED})
        self._context.measure(row["id"])
        self._context.move(row["id"], State.STORED, since, files=names, error=None, error_type=None)
        self._fetching.discard(row["id"])

    def _download(self, row: Row) -> list[Path]:
        urls = row["result_urls"]
        try:
            return self._download_all(row["task_id"], urls)
        except MediaError:
            # Addresses expire. Asking for the task again is free and gives fresh ones.
            state = self._context.client.get_task(row["task_id"])
        return self._download_all(row["task_id"], list(state.result_urls) or urls)

    def _download_all(self, task_id: str, urls: list[str]) -> list[Path]:
        folder = self._context.folder
        folder.mkdir(mode=0o700, exist_ok=True)
        download = self._context.client.download
        return [download(url, folder, f"{task_id}-{n}") for n, url in enumerate(urls)]

    def _fetch_failed(self, row: Row, error: Exception) -> None:
        """Say so in the row, which stays completed, and try again a few times."""
        tries = row.get("tries", 0) + 1
        with contextlib.suppress(LumaError):
            changed = self._context.log.annotate(row["id"], **words(error))
            if changed is not None:
                self._context.on_change(changed)
        if tries < _FETCH_ATTEMPTS:
            again = partial(self._fetch_again, {**row, "tries": tries})
            self._context.poller.add(
                f"files {row['id']} {tries}", again, self._pace.longest * 2**tries
            )
            return
        self._given_up.add(row["id"])
        self._context.notice(
            f"The results of task {row['task_id']} cannot be fetched: {error} "
            "Opening the experiment again, or its resume(), tries again."
        )

    def _fetch_again(self, row: Row) -> None:
        self._fetch_later(row)


def _trouble(watch: _Watch, error: LumaError) -> str:
    if isinstance(error, AuthenticationError):
        return f"The service refuses the API key, so results cannot be fetched: {error}"
    return f"Task {watch.task_id} cannot be asked for at present: {error}"
