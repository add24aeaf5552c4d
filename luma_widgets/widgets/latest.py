"""Work that many events ask for, done once for all of them on a background thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..threads import start_daemon


class Latest:
    """Runs ``work()`` after each call of :meth:`poke`, but never more often than every ``pause``.

    Events that come while it waits or works are answered by one more run.

    Parameters
    ----------
    name : str
        Of the thread, which starts with the first event.
    work : callable
        Runs on the thread.
    on_error : callable
        Called with an exception of ``work``; the thread goes on.
    pause : float, default 0.2
        Seconds.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], object],
        on_error: Callable[[BaseException], object],
        *,
        pause: float = 0.2,
    ) -> None:
        self._name = name
        self._work = work
        self._on_error = on_error
        self._pause = pause
        self._lock = threading.Lock()
        self._asked = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def poke(self) -> None:
        """Ask for a run."""
        with self._lock:
            if self._closed.is_set():
                return
            self._asked.set()
            if self._thread is None:
                self._thread = start_daemon(self._name, self._run)

    def close(self, timeout: float = 2.0) -> None:
        """Let the thread end, and wait for it unless this is it."""
        self._closed.set()
        self._asked.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._closed.is_set():
            self._asked.wait()
            if self._closed.wait(self._pause):
                return
            self._asked.clear()
            try:
                self._work()
            except Exception as error:  # noqa: BLE001 - the next event gets its run
                self._on_error(error)
