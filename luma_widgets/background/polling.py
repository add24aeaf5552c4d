"""One scheduler for every running task: a single clock thread, and a few that ask."""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..threads import DaemonPool, start_daemon

Job = Callable[[], "float | None"]
_AFTER_ERROR = 60.0
_LONGEST = 86_400.0


@dataclass(frozen=True)
class Pace:
    """How long to wait before asking for a task again.

    The vendor's advice is to wait for the estimated time first, then to ask every 5 to 10 seconds.

    Parameters
    ----------
    shortest, longest : float, default 5.0 and 10.0
        Seconds between two questions once the estimate is over.
    overdue : float, default 600.0
        Seconds after which a task counts as stalled; at least ten times its estimate.
    stalled : float, default 60.0
        Seconds between two questions for a stalled task.

    Examples
    --------
    >>> Pace().wait(elapsed=2, estimate=42), Pace().wait(elapsed=60, estimate=42)
    (40, 5.0)
    """

    shortest: float = 5.0
    longest: float = 10.0
    overdue: float = 600.0
    stalled: float = 60.0

    def wait(self, elapsed: float, estimate: float) -> float:
        """Return the seconds until the next question.

        Parameters
        ----------
        elapsed : float
            Seconds since the task was created.
        estimate : float
            Seconds it is expected to take.
        """
        if elapsed < estimate:
            return max(self.shortest, estimate - elapsed)
        return min(self.longest, max(self.shortest, (elapsed - estimate) / 4))

    def is_overdue(self, elapsed: float, estimate: float) -> bool:
        """Tell whether a task takes so long that a person should know."""
        return elapsed > max(self.overdue, 10 * estimate)


# The embedded simulator is on this machine and may run at many times the service's speed.
LOCAL_PACE = Pace(shortest=0.2, longest=1.0)


class Poller:
    """Runs jobs when they are due, each again and again until it says that it is done.

    Parameters
    ----------
    on_error : callable
        Called with what a job raised by mistake; that job is tried again after a minute.
    workers : int, default 3
        Threads that run jobs, beside the one that watches the clock.
    clock : callable, default time.monotonic
        Seconds; never jumps with the wall clock.
    """

    def __init__(
        self,
        on_error: Callable[[BaseException], object],
        *,
        workers: int = 3,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_error = on_error
        self._clock = clock
        self._pool = DaemonPool("poll", workers, on_error)
        self._due: list[tuple[float, int, str]] = []
        self._numbers = itertools.count()
        self._jobs: dict[str, Job] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def add(self, key: str, job: Job, delay: float = 0.0) -> bool:
        """Run a job after some seconds; a key that is known already stays as it is.

        Parameters
        ----------
        key : str
            Names the job.
        job : callable
            Returns the seconds until it should run again, or None when it is done.
        delay : float, default 0.0
            Seconds until its first run.

        Returns
        -------
        bool
            Whether the key is new.
        """
        with self._changed:
            if key in self._jobs or self._closed:
                return False
            self._jobs[key] = job
            self._push(key, delay)
            if self._thread is None or not self._thread.is_alive():
                self._thread = start_daemon("poller", self._watch)
            return True

    def names(self) -> list[str]:
        """Return the names of the jobs."""
        with self._changed:
            return list(self._jobs)

    def close(self) -> None:
        """Stop. Jobs that are running end by themselves."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._pool.close()

    def join(self, timeout: float) -> None:
        """Wait until the jobs that were running have ended, for some seconds at most."""
        self._pool.join(timeout)

    def _push(self, key: str, delay: float) -> None:
        # No wait is longer than a day: a service may estimate more than a clock can count.
        due = self._clock() + min(delay, _LONGEST)
        heapq.heappush(self._due, (due, next(self._numbers), key))
        self._changed.notify_all()

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                wait = self._due[0][0] - self._clock() if self._due else None
                if wait is None or wait > 0:
                    self._changed.wait(wait)
                    continue
                _, _, key = heapq.heappop(self._due)
                self._pool.submit(partial(self._run, key))

    def _run(self, key: str) -> None:
        delay: float | None = _AFTER_ERROR
        try:
            delay = self._jobs[key]()
        except BaseException as error:  # noqa: BLE001 - one bad job must not stop the others
            self._on_error(error)
        with self._changed:
            if delay is None or self._closed:
                del self._jobs[key]
            else:
                # A little chance keeps a thousand tasks of one sweep from asking at once.
                self._push(key, delay * random.uniform(0.95, 1.05))  # noqa: S311
