"""Programs that are killed at any moment: nothing is paid twice, and nothing paid is lost."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import luma_widgets as lw
from luma_widgets.log import Row

from ..conftest import until

INTENTS = 160
KILLS = 16
LONGEST_SECONDS = 60

CAREFUL = """
import sys
import luma_widgets as lw
key, url, path, intents = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
client = lw.PixwithClient(key, base_url=url, name="simulator")
print("ready", flush=True)
waiting = {"queued", "prepared", "sending", "abandoned", "not_sent", "rejected"}
with lw.Experiment("cats", client=client, log=path, measure=False) as experiment:
    todo = [lw.Ray2Request(prompt=f"Cat {number}") for number in range(intents)]
    while todo:
        submissions = [(request, experiment.submit(request)) for request in todo]
        experiment.wait_for_change()
        todo = [request for request, submission in submissions if submission.state in waiting]
        experiment.resume()
print("done", flush=True)
"""

# What people write first: send, then note that it was sent.
NAIVE = """
import sys
from pathlib import Path
import luma_widgets as lw
key, url, path, intents = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
client = lw.PixwithClient(key, base_url=url)
done = set(path.read_text().split(",")) if path.exists() else set()
print("ready", flush=True)
for number in range(intents):
    if str(number) not in done:
        client.create_task(lw.Ray2Request(prompt=f"Cat {number}"))
        done.add(str(number))
        path.write_text(",".join(done))
print("done", flush=True)
"""


class Program:
    """A child process that pays at the simulator, and can be killed."""

    def __init__(self, script: str, simulator: lw.Simulator, path: Path, intents: int) -> None:
        words = [simulator.api_key, simulator.url, str(path), str(intents)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        if self.process.stdout.readline() != "ready\n":
            raise AssertionError(self.process.communicate()[1])

    def kill(self) -> None:
        """End it without any warning (SIGKILL)."""
        self.process.kill()
        self.process.communicate()

    def finish(self) -> None:
        """Let it come to its end; fail if it does not."""
        out, complaint = self.process.communicate(timeout=200)
        assert (self.process.returncode, out) == (0, "done\n"), complaint


@pytest.fixture
def paid() -> Iterator[lw.Simulator]:
    """Return a slow and faulty service that counts what it was paid for."""
    with lw.Simulator(speed=60, estimated_time=6, spread=0, credits=1e6) as running:
        yield running


def paid_twice(simulator: lw.Simulator) -> list[str]:
    """List the intents for which the service was paid more than once: its own count."""
    counts = Counter(created.payload["prompt"] for created in simulator.creates)
    return [prompt for prompt, count in counts.items() if count > 1]


def lost(simulator: lw.Simulator, rows: list[Row]) -> list[str]:
    """List what was paid for and is neither in the log by its task nor said to be unknown."""
    known = {row["task_id"] for row in rows if row["task_id"]}
    unknown = {row["prompt"] for row in rows if row["state"] == "unknown"}
    return [
        created.task_id
        for created in simulator.creates
        if created.task_id not in known and created.payload["prompt"] not in unknown
    ]


def trouble(simulator: lw.Simulator, chance: random.Random) -> None:
    """Make each create call slow, and some of them fail in every way there is."""
    for _ in range(400):
        fault = chance.choices(["delay", "hang_up", "reset", "500", "429"], [30, 1, 1, 1, 1])[0]
        simulator.inject(fault, seconds=chance.uniform(0, 0.08))
        simulator.fail_next(chance.choices(["never_ends", "expired_url"], [15, 1])[0])


def test_A6_A11_killed_programs_pay_once_and_lose_nothing(
    paid: lw.Simulator, tmp_path: Path
) -> None:
    """Two programs run the same cells on one log while one of them is killed, again and again."""
    chance = random.Random(7)
    trouble(paid, chance)
    path = tmp_path / "luma.sqlite"
    end = time.monotonic() + LONGEST_SECONDS
    programs = [Program(CAREFUL, paid, path, INTENTS) for _ in range(2)]
    kills = 0
    while kills < KILLS and time.monotonic() < end:
        # The moment is chance on purpose: nothing may depend on it.
        threading.Event().wait(chance.uniform(0, 0.3))
        programs[kills % 2].kill()
        programs[kills % 2] = Program(CAREFUL, paid, path, INTENTS)
        kills += 1
    for program in programs:
        program.kill()
    Program(CAREFUL, paid, path, INTENTS).finish()

    log = lw.ExperimentLog(path)
    rows = log.rows()
    assert len(rows) == INTENTS
    assert paid_twice(paid) == []
    assert lost(paid, rows) == []
    # Nothing is called failed or refused that the service did not call so.
    states = Counter(row["state"] for row in rows)
    assert set(states) <= {"processing", "completed", "stored", "unknown"}
    assert states["unknown"] < INTENTS * 3 / 4
    assert kills >= 5
    log.close()
    follow_to_the_end(paid, path)


def follow_to_the_end(paid: lw.Simulator, path: Path) -> None:
    """Check that a last session fetches every video that comes to an end, and pays nothing."""
    assert paid._state
    ending = {task.task_id for task in paid._state.tasks() if task.outcome == "expired_url"}
    count = paid.requests["create"]
    client = paid.client()
    with client, lw.Experiment("cats", client=client, log=path, measure=False) as experiment:
        known = [s for s in experiment.submissions() if s.task_id in ending]
        assert known
        until(lambda: all(s.state == "stored" for s in known), timeout=100)
        assert all(file.exists() for s in known for file in s.files)
    assert paid.requests["create"] == count


def test_A6_the_check_catches_a_naive_program(paid: lw.Simulator, tmp_path: Path) -> None:
    """Positive control: a program that sends again after a restart is found to pay twice."""
    paid.inject("delay", times=100, seconds=0.1)
    path = tmp_path / "done.txt"
    for number in range(12):
        program = Program(NAIVE, paid, path, 30)
        before = paid.requests["create"]
        until(lambda before=before: paid.requests["create"] > before + 1)
        program.kill()
        until(lambda number=number: len(paid.creates) >= number + 1)
        if paid_twice(paid):
            break
    assert paid_twice(paid)


def test_A6_the_check_catches_a_lost_task(paid: lw.Simulator, cat: lw.Ray2Request) -> None:
    """Positive control: a paid task that no row knows is found."""
    with paid.client() as client:
        task = client.create_task(cat)
    row = {"task_id": None, "prompt": cat.prompt, "state": "abandoned"}
    assert lost(paid, [row]) == [task.task_id]
    assert lost(paid, [{**row, "state": "unknown"}]) == []
    assert lost(paid, [{**row, "task_id": task.task_id}]) == []
