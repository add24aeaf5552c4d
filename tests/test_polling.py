"""The scheduler: when to ask, a thousand jobs in few threads, and no job that stops the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luma_widgets.background.polling import LOCAL_PACE, Pace, Poller

from .conftest import until


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the present second."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
def errors() -> list[BaseException]:
    """Return the list of what jobs raised."""
    return []


@pytest.fixture
def poller(clock: Clock, errors: list[BaseException]) -> Iterator[Poller]:
    """Return a scheduler on the standing clock."""
    made = Poller(errors.append, clock=clock)
    yield made
    made.close()
    made.join(10)


def tick(poller: Poller, clock: Clock, seconds: float) -> None:
    """Let time pass, and make the scheduler look at its clock."""
    clock.now += seconds
    with poller._changed:
        poller._changed.notify_all()


# When to ask -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elapsed", "wait"), [(0, 42), (40, 5), (41.9, 5), (42, 5), (70, 7), (82, 10), (500, 10)]
)
def test_the_vendors_advice_is_followed(elapsed: float, wait: float) -> None:
    """First the estimated time, then a question every 5 to 10 seconds."""
    assert Pace().wait(elapsed, estimate=42) == wait


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_waits_are_never_shorter_than_the_shortest(elapsed: float, estimate: float) -> None:
    """However odd an estimate is, the service is not asked more often than agreed."""
    pace = Pace()
    wait = pace.wait(elapsed, estimate)
    assert wait >= pace.shortest
    assert elapsed < estimate or wait <= pace.longest


@pytest.mark.parametrize(
    ("elapsed", "estimate", "overdue"),
    [(599, 42, False), (601, 42, True), (900, 100, False), (1001, 100, True), (601, 0, True)],
)
def test_E3_when_a_task_is_overdue(elapsed: float, estimate: float, *, overdue: bool) -> None:
    """After ten minutes and ten times its estimate."""
    assert Pace().is_overdue(elapsed, estimate) is overdue


def test_the_pace_of_a_local_simulator_is_faster() -> None:
    """A simulator at many times the speed is asked often."""
    assert LOCAL_PACE.wait(2, 1) < 1


# Running jobs ------------------------------------------------------------------------------


def test_a_job_runs_when_it_is_due_and_not_before(poller: Poller, clock: Clock) -> None:
    """Jobs run in the order of their times."""
    ran: list[str] = []
    poller.add("late", lambda: ran.append("late"), delay=10)
    poller.add("early", lambda: ran.append("early"), delay=5)
    tick(poller, clock, 4.9)
    poller.add("now", lambda: ran.append("now"))
    until(lambda: ran == ["now"])
    tick(poller, clock, 0.2)
    until(lambda: ran == ["now", "early"])
    tick(poller, clock, 5)
    until(lambda: ran == ["now", "early", "late"])
    until(lambda: len(poller.names()) == 0)


def test_a_job_runs_again_as_long_as_it_says(poller: Poller, clock: Clock) -> None:
    """The number that a job returns is its next wait; None ends it."""
    waits: Iterator[float | None] = iter([20.0, 20.0, None])
    ran: list[float] = []

    def job() -> float | None:
        ran.append(clock.now)
        return next(waits)

    poller.add("job", job)
    until(lambda: len(ran) == 1 and len(poller._due) == 1)
    tick(poller, clock, 18)
    tick(poller, clock, 4)
    until(lambda: len(ran) == 2 and len(poller._due) == 1)
    tick(poller, clock, 22)
    until(lambda: len(poller.names()) == 0)
    assert ran == [1000, 1022, 1044]


def test_a_known_key_stays_as_it_is(poller: Poller) -> None:
    """Adding a task twice does not ask twice; when it is done, the key is free again."""
    ran: list[str] = []
    assert poller.add("key", lambda: ran.append("first"), delay=5)
    assert not poller.add("key", lambda: ran.append("second"))
    assert len(poller.names()) == 1
    assert poller.add("other", lambda: ran.append("other"))
    until(lambda: len(poller.names()) == 1)
    assert poller.add("other", lambda: ran.append("again"))
    until(lambda: ran == ["other", "again"])


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1)])
def test_E2_a_job_that_fails_does_not_stop_the_others(
    poller: Poller, clock: Clock, errors: list[BaseException], error: BaseException
) -> None:
    """The error is reported, the other jobs go on, and the job is tried again after a minute."""
    ran: list[str] = []

    def bad() -> None:
        ran.append("bad")
        if ran.count("bad") == 1:
            raise error

    def good() -> float:
        ran.append("good")
        return 10.0

    poller.add("bad", bad)
    poller.add("good", good)
    until(lambda: sorted(ran) == ["bad", "good"] and len(poller._due) == 2)
    assert errors == [error]
    tick(poller, clock, 11)
    until(lambda: ran.count("good") == 2)
    tick(poller, clock, 70)
    until(lambda: ran.count("bad") == 2 and len(poller.names()) == 1)


def test_a_thousand_jobs_need_few_threads(errors: list[BaseException]) -> None:
    """A thousand jobs that each run three times share the clock thread and three workers."""
    poller = Poller(errors.append)
    names: set[str] = set()
    counts = dict.fromkeys(range(1000), 0)

    def job(number: int) -> Callable[[], float | None]:
        def run() -> float | None:
            names.add(threading.current_thread().name)
            counts[number] += 1
            return 0.01 if counts[number] < 3 else None

        return run

    for number in range(1000):
        poller.add(str(number), job(number))
    until(lambda: len(poller.names()) == 0)
    poller.close()
    poller.join(10)
    assert set(counts.values()) == {3}
    assert len(names) <= 3
    assert errors == []


def test_C10_a_wait_beyond_any_clock_does_not_end_the_scheduler(
    poller: Poller, errors: list[BaseException]
) -> None:
    """A hostile estimate is capped, and the other jobs run."""
    done = threading.Event()
    poller.add("never", lambda: None, delay=1e300)
    poller.add("soon", done.set)
    assert done.wait(30)
    assert errors == []


def test_closing_ends_the_threads_and_takes_no_more() -> None:
    """After close nothing is run and no thread is left."""
    ran: list[str] = []
    poller = Poller(ran.append)
    poller.add("later", lambda: ran.append("later"), delay=3600)
    first = threading.Event()
    poller.add("first", first.set)
    assert first.wait(30)
    thread = poller._thread
    assert thread is not None
    poller.close()
    assert not poller.add("more", lambda: ran.append("more"))
    thread.join(30)
    poller.join(30)
    assert not thread.is_alive()
    assert ran == []


def test_waiting_costs_no_processor_time(errors: list[BaseException]) -> None:
    """A scheduler with jobs far in the future sleeps."""
    poller = Poller(errors.append)
    for number in range(1000):
        poller.add(str(number), lambda: None, delay=3600)
    ran = threading.Event()
    poller.add("now", ran.set)
    assert ran.wait(30)
    before = time.process_time()
    threading.Event().wait(0.3)
    assert time.process_time() - before < 0.2
    poller.close()
    poller.join(10)
