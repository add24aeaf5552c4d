"""Clocks that jump and time zones: row D7 of the fault table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import luma_widgets as lw
from luma_widgets.log.owners import LEASE_SECONDS
from tests import faultserver as fs

from .shims import shimmed

YEAR = 365 * 86_400
KEY = "key_00clock00clock00clock00clock0000"

FOLLOW = """
import json, sys, time
from pathlib import Path
import luma_widgets as lw
url, key, path, clock, jump = sys.argv[1:]
client = lw.PixwithClient(key, base_url=url)
experiment = lw.Experiment("cats", client=client, log=path, measure=False)
submission = experiment.submit(lw.Ray2Request(prompt="A cat"))
while submission.state != "processing":
    experiment.wait_for_change()
before = time.time()
Path(clock).write_text(jump)
jumped = time.time() - before
began, seen = time.monotonic(), set()
while submission.state != "stored" and time.monotonic() < began + 30:
    seen.add(submission.state)
    experiment.wait_for_change()
took = time.monotonic() - began
experiment.submit(lw.Ray2Request(prompt="A dog")).wait(30)
row = submission.row
print(json.dumps({"jumped": jumped, "seen": sorted(seen), "took": took, "row": row}))
experiment.close()
"""

HANG = """
import json, sys, time
import luma_widgets as lw
url, key = sys.argv[1:]
client = lw.PixwithClient(key, base_url=url, timeout=0.5)
began = time.monotonic()
try:
    client.create_task(lw.Ray2Request(prompt="A cat"))
except lw.OutcomeUnknownError as error:
    print(json.dumps({"took": time.monotonic() - began}))
client.close()
"""


def run(script: str, *words: object, **environment: str) -> dict[str, Any]:
    """Run a program to its end; return what it printed."""
    command = [sys.executable, "-c", script, *map(str, words)]
    ran = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize("jump", [YEAR, -YEAR], ids=["a year on", "a year back"])
def test_D7_a_jump_of_the_clock_changes_no_outcome(jump: int, tmp_path: Path) -> None:
    """While a task runs the clock jumps: it is followed as before, never overdue or negative."""
    clock = tmp_path / "clock"
    with lw.Simulator(speed=60, estimated_time=60, spread=0) as server:
        told = run(
            FOLLOW,
            server.url,
            server.api_key,
            tmp_path / "luma.sqlite",
            clock,
            jump,
            **shimmed(clock=clock),
        )
        assert len(server.creates) == server.requests["create"] == 2
    assert abs(told["jumped"] - jump) < 10  # the shim works
    assert told["row"]["state"] == "stored"
    assert told["took"] < 20
    assert "stalled" not in told["seen"]
    assert 0.5 < told["row"]["elapsed"] < 20


class Jumping(fs.FaultServer):
    """Sets the clock of its client back, at the moment a request arrives, and never answers."""

    def __init__(self, clock: Path, jump: int) -> None:
        def behave(connection: fs.Connection) -> None:
            connection.read()
            clock.write_text(str(jump))
            connection.wait()

        super().__init__(behave)


@pytest.mark.parametrize("jump", [YEAR, -YEAR], ids=["a year on", "a year back"])
def test_D7_deadlines_do_not_depend_on_the_clock(jump: int, tmp_path: Path) -> None:
    """A call that hangs ends with its own time, whatever the clock says meanwhile."""
    clock = tmp_path / "clock"
    with Jumping(clock, jump) as server:
        told = run(HANG, server.url, KEY, **shimmed(clock=clock))
        assert len(server.requests) == 1
    assert clock.exists()
    assert 0.4 < told["took"] < 5


STAMP = """
import json, sys, time
import luma_widgets as lw
log = lw.ExperimentLog(sys.argv[1])
log.prepare(lw.Ray2Request(prompt=time.tzname[0]), experiment="cats", base_url="simulator")
frame = log.df
print(json.dumps({"dtype": str(frame["created_at"].dtype), "zone": time.tzname[0]}))
log.close()
"""
ZONES = ["UTC0", "EST5EDT", "<+14>-14", "<-12>12", "XXX-5:45"]


def test_D7_times_are_utc_in_every_time_zone(tmp_path: Path) -> None:
    """Programs in five time zones write one log: the same moments, in order, marked as UTC."""
    path = tmp_path / "luma.sqlite"
    began = time.time()
    told = [run(STAMP, path, **{**os.environ, "TZ": zone}) for zone in ZONES]
    ended = time.time()
    assert len({answer["zone"] for answer in told}) == len(ZONES)
    assert all(answer["dtype"].endswith(", UTC]") for answer in told)
    log = lw.ExperimentLog(path)
    frame = log.df
    log.close()
    stamps = frame["created_at"].map(pd.Timestamp.timestamp)
    assert list(stamps) == sorted(stamps)
    assert began - 1 <= stamps.min() <= stamps.max() <= ended + 1


OWN = """
import sys
import luma_widgets as lw
log = lw.ExperimentLog(sys.argv[1])
row, _ = log.prepare(lw.Ray2Request(prompt="A cat"), experiment="cats", base_url="simulator")
log.begin_sending(row["id"])
print("ready", flush=True)
sys.stdin.readline()
"""


def test_D7_a_jump_of_the_clock_makes_no_live_program_dead(tmp_path: Path) -> None:
    """A program that sends keeps its row although the clock is a year beyond its lease."""
    path, clock = tmp_path / "luma.sqlite", tmp_path / "clock"
    recover = (
        "import json, sys, luma_widgets as lw; log = lw.ExperimentLog(sys.argv[1]);"
        "print(json.dumps({'changed': [row['state'] for row in log.recover()]})); log.close()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", OWN, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert owner.stdout
        assert owner.stdout.readline() == "ready\n"
        clock.write_text(str(YEAR))
        assert LEASE_SECONDS < YEAR
        assert run(recover, path, **shimmed(clock=clock)) == {"changed": []}
    finally:
        owner.kill()
        owner.communicate()
    assert run(recover, path, **shimmed(clock=clock)) == {"changed": ["unknown"]}
