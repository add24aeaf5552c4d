"""Background threads: daemons with the maker's context, few of them, and none that dies of work."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import threading
import time

import pytest

from luma_widgets.threads import DaemonPool, start_daemon

from .conftest import until

CELL = contextvars.ContextVar("CELL", default="none")


def fail_on(error: BaseException) -> None:
    """Fail loudly where no error is expected."""
    raise AssertionError(error)


def test_a_daemon_keeps_the_context_of_its_maker() -> None:
    """Work sees the context variables as they were when it was started."""
    seen: list[str] = []
    CELL.set("first cell")
    thread = start_daemon("test", lambda: seen.append(CELL.get()))
    CELL.set("second cell")
    thread.join(10)
    assert seen == ["first cell"]
    assert thread.daemon
    assert thread.name == "luma-test"


def test_a_pool_has_few_threads_and_does_all_work() -> None:
    """A thousand pieces of work run in the given number of threads, each once."""
    names: set[str] = set()
    done: list[int] = []

    def work(number: int) -> None:
        names.add(threading.current_thread().name)
        done.append(number)

    pool = DaemonPool("few", 3, fail_on)
    for number in range(1000):
        pool.submit(lambda number=number: work(number))
    until(lambda: len(done) == 1000)
    pool.close()
    pool.join(10)
    assert sorted(done) == list(range(1000))
    assert 1 <= len(names) <= 3


def test_a_pool_runs_work_at_the_same_time() -> None:
    """As many pieces as there are threads run side by side."""
    barrier = threading.Barrier(3)
    met: list[int] = []
    pool = DaemonPool("wide", 3, fail_on)
    for _ in range(3):
        pool.submit(lambda: met.append(barrier.wait(30)))
    until(lambda: len(met) == 3)
    pool.close()
    pool.join(10)


def test_work_that_is_done_one_by_one_needs_one_thread() -> None:
    """Threads start only when there is more work than threads."""
    pool = DaemonPool("lazy", 5, fail_on)
    threads: set[int] = set()
    for _ in range(5):
        done = threading.Event()

        def work(done: threading.Event = done) -> None:
            threads.add(threading.get_ident())
            done.set()

        pool.submit(work)
        assert done.wait(30)
        until(lambda: pool._waiting == 0)
    pool.close()
    pool.join(10)
    assert len(threads) == 1


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(3)])
def test_E2_an_error_is_reported_and_the_thread_goes_on(error: BaseException) -> None:
    """Whatever a piece of work raises, the next one runs."""
    reported: list[BaseException] = []
    done = threading.Event()

    def bad() -> None:
        raise error

    pool = DaemonPool("tough", 1, reported.append)
    pool.submit(bad)
    pool.submit(done.set)
    assert done.wait(30)
    pool.close()
    pool.join(10)
    assert reported == [error]


def test_a_closed_pool_finishes_what_is_queued_and_takes_nothing_new() -> None:
    """After close, queued work is done, the threads end, and late work is dropped."""
    gate = threading.Event()
    done: list[str] = []
    pool = DaemonPool("closing", 1, fail_on)
    pool.submit(lambda: gate.wait(30))
    pool.submit(lambda: done.append("queued"))
    pool.close()
    pool.close()
    pool.submit(lambda: done.append("late"))
    gate.set()
    pool.join(30)
    assert done == ["queued"]
    assert not any(thread.name.startswith("luma-closing") for thread in threading.enumerate())


def test_join_ends_in_time_and_from_within() -> None:
    """A hanging piece of work holds nobody up, and work may join its own pool."""
    gate = threading.Event()
    pool = DaemonPool("hang", 2, fail_on)
    pool.submit(lambda: gate.wait(30))
    inside = threading.Event()

    def own() -> None:
        pool.join(0.01)
        inside.set()

    pool.submit(own)
    start = time.monotonic()
    pool.join(0.05)
    assert time.monotonic() - start < 10
    assert inside.wait(30)
    gate.set()
    pool.close()
    pool.join(30)


def test_E2_hanging_work_does_not_keep_python_from_exiting() -> None:
    """A script whose background work hangs ends at once."""
    code = (
        "import threading, time\n"
        "from luma_widgets.threads import DaemonPool\n"
        "pool = DaemonPool('x', 2, print)\n"
        "started = threading.Event()\n"
        "pool.submit(lambda: (started.set(), time.sleep(600)))\n"
        "started.wait()\n"
        "print('end')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert (ran.stdout, ran.stderr) == ("end\n", "")
