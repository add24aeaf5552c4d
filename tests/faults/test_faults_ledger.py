"""Programs that are killed at any moment: nothing is paid twice, and nothing paid is lost."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

from ..conftest import until
from .killing import ENDED, NAIVE, Program, Toll, kill_round, lost
from .paidserver import PaidServer


def campaign(folder: Path, processes: int, kills: int, seconds: float, seed: int) -> Toll:
    """Kill programs so many times, on a new log and a new server every 25 kills."""
    toll, chance = Toll(), random.Random(seed)
    end = time.monotonic() + seconds
    number = 0
    while toll.kills < kills and time.monotonic() < end:
        place = folder / f"round-{number}"
        place.mkdir()
        kill_round(
            toll,
            place,
            chance,
            processes=processes,
            kills=min(25, kills - toll.kills),
            intents=160,
            end=end,
        )
        number += 1
    return toll


def check(toll: Toll) -> None:
    """Hold what is promised: 0 double charges, 0 unlogged, 0 wrongly failed; none unexplained."""
    assert (toll.double, toll.unlogged, toll.wrongly_failed) == ([], [], []), str(toll)
    assert toll.unexplained == [], str(toll)
    # A check of the check: there was something to compare, and not everything is unknown.
    assert toll.charges > 0
    assert toll.unknown < toll.intents * 3 / 4
    assert toll.states["stored"] > 0
    # A program sends four requests at a time.
    assert toll.by_kill <= 4 * toll.kills


@pytest.mark.parametrize("processes", [1, 4])
def test_A6_A11_killed_programs_pay_once_and_lose_nothing(processes: int, tmp_path: Path) -> None:
    """One program, or four on one log, is killed again and again; the server's ledger agrees."""
    toll = campaign(tmp_path, processes, kills=10, seconds=25, seed=7 + processes)
    check(toll)
    assert toll.kills >= 3, str(toll)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("processes", [1, 4])
def test_A6_soak_two_hundred_kills(
    processes: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same with 200 kills of one program and 200 of four; the figures are printed."""
    began = time.monotonic()
    toll = campaign(tmp_path, processes, kills=200, seconds=500, seed=int(time.time()))
    with capsys.disabled():
        print(f"\n== {processes} at a time, {time.monotonic() - began:.0f} s\n{toll}")
    check(toll)
    assert toll.kills >= 200, str(toll)


def kill_naive(server: PaidServer, path: Path, most: int) -> int:
    """Kill a naive program while its request is on its way, until it pays twice."""
    for number in range(1, most + 1):
        program = Program(NAIVE, server, path, 30)
        program.ready()
        before = len(server.requests)
        until(lambda before=before: len(server.requests) > before + 1)
        program.kill()
        until(lambda: len(server.visits) == len(server.requests))
        if server.paid_twice():
            return number
    return most


def test_A6_the_check_catches_a_naive_program(tmp_path: Path) -> None:
    """Positive control: a program that sends again after a restart is found to pay twice."""
    with PaidServer(random.Random(7), {"charged late": 1}) as server:
        kill_naive(server, tmp_path / "done.txt", most=12)
        assert server.paid_twice()


@pytest.mark.soak
def test_A6_soak_control_a_naive_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Positive control of the soak: with 20 kills, a naive program pays for many twice."""
    chance = random.Random(7)
    with PaidServer(chance, {"none": 1}) as server:
        for _ in range(20):
            program = Program(NAIVE, server, tmp_path / "done.txt", 500)
            program.ready()
            time.sleep(chance.uniform(0, 0.3))
            program.kill()
        until(lambda: len(server.visits) == len(server.requests))
        double, charges = server.paid_twice(), len(server.charges)
    with capsys.disabled():
        print(f"\n== Naive program: kills 20, charges {charges}, double charges {len(double)}")
    assert double


@pytest.fixture
def charged() -> Any:
    """Return a server that has charged for one task."""
    with PaidServer(random.Random(7)) as server:
        server._charge("A cat", "none", "stored")
        yield server


def test_A6_the_check_catches_a_lost_task(charged: PaidServer) -> None:
    """Positive control: a paid task that no row knows is found."""
    (charge,) = charged.charges
    row = {"task_id": None, "prompt": "A cat", "state": "abandoned"}
    assert lost(charged, [row]) == [charge.task_id]
    assert lost(charged, [{**row, "state": "unknown"}]) == []
    assert lost(charged, [{**row, "task_id": charge.task_id}]) == []


@pytest.mark.parametrize("state", ["failed", "rejected", "not_sent", "abandoned", "queued"])
def test_A6_the_check_catches_what_is_wrongly_called_failed(
    charged: PaidServer, state: str
) -> None:
    """Positive control: a row that says failed or not charged, where the server charged."""
    (charge,) = charged.charges
    toll = Toll()
    row = {"task_id": charge.task_id, "prompt": "A cat", "state": state, "owner": None}
    toll.add(charged, [row], [])
    assert toll.wrongly_failed == ["A cat"]
    toll.add(charged, [{**row, "state": "stored"}], [])
    assert toll.wrongly_failed == ["A cat"]


def test_A6_the_check_wants_every_unknown_explained(charged: PaidServer) -> None:
    """Positive control: unknown without a fault and without a kill is found."""
    row = {"task_id": None, "prompt": "A cat", "state": "unknown", "owner": "me", "error": ENDED}
    toll = Toll()
    toll.add(charged, [row], ["somebody"])
    toll.add(charged, [{**row, "error": "time ran out"}], ["me"])
    assert toll.unexplained == ["A cat", "A cat"]
    toll.add(charged, [row], ["me"])
    assert (toll.by_kill, len(toll.unexplained)) == (1, 2)
    charged._charge("A cat", "RST before the charge", "stored")
    toll.add(charged, [row], [])
    assert (toll.by_fault.total(), len(toll.unexplained)) == (1, 2)
