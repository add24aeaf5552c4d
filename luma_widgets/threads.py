"""Background work: daemon threads that keep the caller's context, in small fixed numbers.

A notebook's widgets send their messages through context variables of the cell that made them.
On some versions of ipykernel a thread without that context cannot touch a widget, so each thread
runs in a copy of its maker's context. They are daemons: they never keep Python from exiting.
"""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections.abc import Callable

Work = Callable[[], object]


def start_daemon(name: str, work: Work) -> threading.Thread:
    """Run ``work()`` in a daemon thread with a copy of the present context.

    Parameters
    ----------
    name : str
        Shown in tracebacks and debuggers.
    work : callable
        Must handle its own errors.
    """
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(work,), name=f"luma-{name}", daemon=True)
    thread.start()
    return thread


class DaemonPool:
    """A few daemon threads that take work in the order it comes.

    ``concurrent.futures`` joins its threads when Python exits, which would make a hanging request
    block the exit; these threads do not.

    Parameters
    ----------
    name : str
        Shown in the threads' names.
    size : int
        The most threads there will be. They start when there is work.
    on_error : callable
        Called with an exception that a piece of work raised; the thread goes on.
    """

    def __init__(self, name: str, size: int, on_error: Callable[[BaseException], object]) -> None:
        self._name = name
        self._size = size
        self._on_error = on_error
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._waiting = 0
        self._closed = False

    def submit(self, work: Work) -> None:
        """Queue a piece of work; after :meth:`close` it is not done any more."""
        with self._lock:
            if self._closed:
                return
            self._waiting += 1
            self._work.put(work)
            number = len(self._threads) + 1
            if number <= min(self._size, self._waiting):
                self._threads.append(start_daemon(f"{self._name}-{number}", self._run))

    def close(self) -> None:
        """Let the threads end after the work that is queued."""
        with self._lock:
            if not self._closed:
                self._closed = True
                for _ in self._threads:
                    self._work.put(None)

    def join(self, timeout: float) -> None:
        """Wait for the threads to end, for some seconds at most.

        Parameters
        ----------
        timeout : float
            Seconds in all.
        """
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - a dead thread would strand the rest
                self._on_error(error)
            finally:
                with self._lock:
                    self._waiting -= 1
