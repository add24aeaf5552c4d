"""Who works on a row: live owners are left alone, dead ones settled, and nobody is mistaken."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from sqlalchemy import select, update

import luma_widgets as lw
from luma_widgets.log import owners as module
from luma_widgets.log import schema
from luma_widgets.log.owners import LEASE_SECONDS, Lease, Owner, started_at

CAT = {"experiment": "cats", "base_url": "simulator"}
NOW = 1_000_000.0

HOLD = """
import sys
import luma_widgets as lw
log = lw.ExperimentLog(sys.argv[1])
for take, state in enumerate(sys.argv[2:]):
    extra = {"sweep": "s"} if state == "cell" else {}
    row, _ = log.prepare(lw.Ray2Request(prompt="A cat"), experiment="cats", base_url="simulator",
                         take=take, **extra)
    if state == "sending":
        log.begin_sending(row["id"])
print("ready", flush=True)
sys.stdin.readline()
"""

Hold = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def hold(log: lw.ExperimentLog) -> Iterator[Hold]:
    """Return a function that starts a process which owns rows; the processes are ended."""
    started: list[subprocess.Popen[str]] = []

    def start(*states: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(log.path), *states],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


def end(child: subprocess.Popen[str]) -> None:
    """Kill a process as the system would, and wait until it is gone."""
    child.kill()
    child.wait(60)


def states(log: lw.ExperimentLog) -> list[str]:
    """Return the states of the rows, oldest first."""
    return [row["state"] for row in log.rows()]


def owner_row(log: lw.ExperimentLog, **values: Any) -> None:
    """Change what the log says of its owners."""
    with log._database.writing() as connection:
        connection.execute(update(schema.owners).values(**values))


def names(log: lw.ExperimentLog) -> list[str]:
    """Return the owners that the log knows."""
    with log._database.reading() as connection:
        return list(connection.scalars(select(schema.owners.c.id)))


# Telling processes apart -------------------------------------------------------------------


def test_this_process_is_alive() -> None:
    """A process never takes itself for dead, however old its lease is."""
    assert not Owner.current().is_dead(lease_until=0, now=NOW)


def test_each_name_is_new() -> None:
    """Two openings in one process are two owners of the same process."""
    one, two = Owner.current(), Owner.current()
    assert one.id != two.id
    assert dataclasses.replace(one, id=two.id) == two


@pytest.mark.parametrize(
    "change",
    [{"pid": 2**22 + 1}, {"started": "1"}, {"boot": "another"}, {"pid": 1}],
)
def test_a_process_of_this_machine_that_is_gone_is_dead(change: dict[str, Any]) -> None:
    """A PID that is gone, that is another process now, or of an earlier boot is dead at once."""
    gone = dataclasses.replace(Owner.current(), **change)
    assert gone.is_dead(lease_until=NOW + 50, now=NOW)


@pytest.mark.parametrize("change", [{"host": "another"}, {"namespace": "pid:[1]"}])
def test_elsewhere_only_the_lease_tells(change: dict[str, Any]) -> None:
    """On another machine or in another container a PID means nothing here."""
    far = dataclasses.replace(Owner.current(), pid=2**22 + 1, **change)
    assert not far.is_dead(lease_until=NOW + 1, now=NOW)
    assert far.is_dead(lease_until=NOW - 1, now=NOW)


def test_when_a_process_began() -> None:
    """The mark is the same each time, differs between processes, and ends with the process."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mark = started_at(child.pid)
    assert mark
    assert mark == started_at(child.pid)
    child.kill()
    # Until somebody asks for its exit code it is a zombie, which does nothing any more.
    child_process = psutil.Process(child.pid)
    deadline = threading.Event()
    for _ in range(1000):
        if not child_process.is_running() or child_process.status() == psutil.STATUS_ZOMBIE:
            break
        deadline.wait(0.01)
    assert started_at(child.pid) is None
    child.communicate()
    assert started_at(child.pid) is None


def test_without_proc_the_time_of_creation_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """On systems without /proc, psutil's creation time is used."""
    monkeypatch.setattr(module, "Path", lambda _: _Nowhere())
    mark = started_at(os.getpid())
    assert mark == f"{psutil.Process().create_time():.2f}"
    assert started_at(2**22 + 1) is None


class _Nowhere:
    """A path under which nothing exists."""

    @property
    def parent(self) -> _Nowhere:
        return self

    def joinpath(self, _: str) -> _Nowhere:
        return self

    def exists(self) -> bool:
        return False


# Recovery ----------------------------------------------------------------------------------


def test_A11_rows_of_a_live_process_are_left_alone(log: lw.ExperimentLog, hold: Hold) -> None:
    """Recovery meets a live owner, its own rows included, and changes nothing."""
    hold("sending", "prepared", "cell")
    log.prepare(lw.Ray2Request(prompt="mine"), **CAT)
    owner_row(log, lease_until=0)
    before = log.rows()
    assert log.recover() == []
    assert log.rows() == before


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system cannot stop a process")
def test_A11_a_stopped_process_is_alive(log: lw.ExperimentLog, hold: Hold) -> None:
    """A laptop that sleeps or a debugger must not make a request look lost."""
    child = hold("sending")
    owner_row(log, lease_until=0)
    child.send_signal(signal.SIGSTOP)
    try:
        assert log.recover() == []
        assert states(log) == ["sending"]
    finally:
        child.send_signal(signal.SIGCONT)


def test_A6_rows_of_a_dead_process_are_settled(log: lw.ExperimentLog, hold: Hold) -> None:
    """What was on its way is unknown, what was not sent is given up, a sweep's cell waits."""
    end(hold("sending", "prepared", "cell"))
    changed = log.recover()
    assert states(log) == ["unknown", "abandoned", "queued"]
    assert {row["id"] for row in changed} == {row["id"] for row in log.rows()}
    unknown, abandoned, queued = log.rows()
    assert unknown["error"].startswith("Outcome unknown: this video may have started")
    assert "nothing was charged" in abandoned["error"]
    assert queued["owner"] is None
    assert log.recover() == []


def test_A11_dead_and_live_owners_are_told_apart(log: lw.ExperimentLog, hold: Hold) -> None:
    """Only the rows of the process that is gone change."""
    end(hold("sending"))
    dead = log.rows()[0]["id"]
    hold("none", "sending")
    assert [row["id"] for row in log.recover()] == [dead]
    assert sorted(states(log)) == ["sending", "unknown"]


def test_A11_processes_that_recover_at_once_do_it_once(log: lw.ExperimentLog, hold: Hold) -> None:
    """Of many recoveries at the same time one settles the rows; revisions stay unique."""
    end(hold("sending", "sending", "prepared"))
    logs = [lw.ExperimentLog(log.path or "") for _ in range(8)]
    found: list[str] = []

    def recover(each: lw.ExperimentLog) -> None:
        found.extend(row["id"] for row in each.recover())

    threads = [threading.Thread(target=recover, args=(each,)) for each in logs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for each in logs:
        each.close()
    assert sorted(found) == sorted(row["id"] for row in log.rows())


def test_A11_elsewhere_rows_change_when_the_lease_has_run_out(
    log: lw.ExperimentLog, hold: Hold
) -> None:
    """An owner on another machine is believed as long as its lease lasts."""
    hold("sending")
    owner_row(log, host="another")
    assert log.recover() == []
    owner_row(log, lease_until=0)
    assert [row["state"] for row in log.recover()] == ["unknown"]


def test_the_dead_are_forgotten(log: lw.ExperimentLog, hold: Hold) -> None:
    """The table of owners does not grow with every session."""
    for _ in range(3):
        end(hold())
        end(hold("prepared"))
    log.recover()
    assert len(names(log)) == 1


# Leases ------------------------------------------------------------------------------------


def test_a_lease_is_written_once_and_renewed_when_it_is_old(log: lw.ExperimentLog) -> None:
    """A lease holds 60 s; it is written again only after a quarter of that."""
    now = [NOW]
    lease = Lease(lambda _: now[0])

    def until() -> float:
        with log._database.writing() as connection:
            name = lease.hold(connection)
            assert name == lease.owner().id
            here = schema.owners.c.id == name
            return float(connection.scalar(select(schema.owners.c.lease_until).where(here)) or 0)

    assert until() == NOW + LEASE_SECONDS == NOW + 60
    now[0] += 14
    assert until() == NOW + 60
    now[0] += 2
    assert until() == NOW + 16 + 60


def test_renewing_says_that_the_process_works(log: lw.ExperimentLog) -> None:
    """A lease that had run out is good again."""
    log.renew_lease()
    owner_row(log, lease_until=0)
    log.renew_lease()
    with log._database.reading() as connection:
        assert (connection.scalar(select(schema.owners.c.lease_until)) or 0) > 0


def test_D3_a_fork_is_another_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fork the same object answers with another name."""
    lease = Lease(lambda _: NOW)
    name = lease.owner().id
    assert lease.owner().id == name
    monkeypatch.setattr(os, "getpid", lambda: 2**22 + 1)
    assert lease.owner().id != name
