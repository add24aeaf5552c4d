"""Disks that are full or read-only, for real: rows A8, A9 and D1 of the fault table."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import luma_widgets as lw

from ..conftest import until
from .paidserver import PaidServer
from .shims import mounting, shimmed

KEY = "key_00disk00disk00disk00disk00disk0"
BEGIN = """
import json, os, subprocess, sys, time
from pathlib import Path
import luma_widgets as lw
url, key, place = sys.argv[1], sys.argv[2], Path(sys.argv[3])
client = lw.PixwithClient(key, base_url=url)
path = place / "luma.sqlite"
cat = lw.Ray2Request(prompt="A cat")

def mount(options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)

def fill(leave=0):
    # Block by block, until the disk takes no more; then give some blocks back.
    with (place / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 4096)
        except OSError:
            pass
        filler.truncate(max(0, filler.tell() - leave * 4096))

def tell(**what):
    print(json.dumps(what), flush=True)

def refused(work):
    try:
        work()
    except lw.LogError as error:
        return str(error)
    return ""

def submit(request, **more):
    with lw.Experiment("cats", client=client, log=path, measure=False) as experiment:
        experiment.submit(request, **more)
"""

FULL = """
mount("size=2m")
fill()
tell(when="before it is made", said=refused(lambda: lw.Experiment(client=client, log=path)))
(place / "filler").unlink()
with lw.Experiment("cats", client=client, log=path, measure=False) as experiment:
    fill()
    large = lw.Ray2Request(prompt="A cat " * 15000)
    tell(when="while it is open", said=refused(lambda: experiment.submit(large)))
    tell(when="rows", rows=len(experiment.rows()))
    (place / "filler").unlink()
    tell(when="again", state=experiment.submit(large).wait(60).state)
"""

# However much is left, what was sent is in the log, and what was refused was not sent.
NEARLY_FULL = """
from luma_widgets.background import context
context._RETRY_SECONDS = 0.05
mount("size=2m")
for leave in range(18):
    path = place / f"log-{leave}.sqlite"
    request = lw.Ray2Request(prompt=f"Cat {leave} " + "walks " * 700)
    experiment = lw.Experiment("cats", client=client, log=path, measure=False)
    fill(leave)
    said = refused(lambda: experiment.submit(request))
    deadline = time.monotonic() + 5
    while not said and experiment.notice == "" and time.monotonic() < deadline:
        if experiment.rows()[0]["task_id"]:
            break
        time.sleep(0.01)
    tell(leave=leave, prompt=request.prompt, said=said, notice=experiment.notice)
    (place / "filler").unlink()
    if not said:
        while experiment.rows()[0]["state"] in ("prepared", "sending"):
            time.sleep(0.05)
    experiment.close()
    with lw.Experiment("cats", client=client, log=path, measure=False) as experiment:
        rows = [(row["state"], row["task_id"]) for row in experiment.rows()]
    tell(rows=rows)
    for left in place.iterdir():
        if left.is_file():
            left.unlink()
"""

READ_ONLY = """
mount("size=2m")
log = lw.ExperimentLog(path)
log.prepare(cat, experiment="cats", base_url=url)
log.close()
subprocess.run(["mount", "-o", "remount,ro", place], check=True)
tell(when="an existing log", said=refused(lambda: submit(cat)))
tell(when="read all the same", prompts=list(lw.read_log(path)["prompt"]))
path = place / "new.sqlite"
tell(when="a new log", said=refused(lambda: submit(cat)))
"""


@pytest.fixture
def server() -> Any:
    """Return a paid service without faults, which counts on its side."""
    with PaidServer(random.Random(7), {"none": 1}) as running:
        yield running


def run_mounted(script: str, server: PaidServer, place: Path) -> list[dict[str, Any]]:
    """Run a script that mounts, where no other program sees it; return what it told."""
    command = [*mounting(), sys.executable, "-c", BEGIN + script, server.url, KEY, str(place)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_A8_on_a_full_disk_nothing_is_sent(server: PaidServer, tmp_path: Path) -> None:
    """A tmpfs without room: the message says so, nothing is sent; with room, the same row is."""
    before, during, rows, again = run_mounted(FULL, server, tmp_path)
    assert "Nothing was sent" in before["said"]
    assert "full" in before["said"]
    assert "full" in during["said"]
    assert "Free some space" in during["said"]
    assert rows["rows"] == 0
    assert again["state"] == "stored"
    assert len(server.visits) == 1  # the one with room


def test_A8_A9_with_any_room_left_what_was_sent_is_known(
    server: PaidServer, tmp_path: Path
) -> None:
    """From no free block on a tmpfs to seventeen: refused and unsent, or sent and in the log."""
    told = run_mounted(NEARLY_FULL, server, tmp_path)
    paid = {visit.intent: visit.task_id for visit in server.visits}
    assert len(paid) == len(server.visits)  # nothing twice
    refused = sent = 0
    for begun, after in zip(told[::2], told[1::2], strict=True):
        if begun["said"]:
            refused += 1
            assert "full" in begun["said"]
            assert begun["prompt"] not in paid
            assert after["rows"] == []
            continue
        ((state, task_id),) = after["rows"]
        if begun["prompt"] in paid:
            sent += 1
            assert task_id == paid[begun["prompt"]], (begun, after)
        else:
            assert state in {"not_sent", "abandoned"}, (begun, after)
            assert begun["notice"]
    assert refused
    assert sent


def test_A8_on_a_read_only_disk_nothing_is_sent(server: PaidServer, tmp_path: Path) -> None:
    """A log on a read-only mount, and a new one there, are refused in words; it can be read."""
    existing, read, new = run_mounted(READ_ONLY, server, tmp_path)
    assert "cannot be written" in existing["said"]
    assert "Check its permissions" in existing["said"]
    assert read["prompts"] == ["A cat"]
    assert "cannot be created" in new["said"]
    assert "Read-only" in new["said"]
    assert server.visits == []


# After the request --------------------------------------------------------------------------

PAY = """
from luma_widgets.background import context
context._RETRY_SECONDS = 0.1
experiment = lw.Experiment("cats", client=client, log=path, measure=False)
submission = experiment.submit(cat)
deadline = time.monotonic() + 60
while "accepted" not in experiment.notice and time.monotonic() < deadline:
    time.sleep(0.01)
tell(notice=experiment.notice, id=submission.id, state=submission.state)
sys.stdin.readline()
experiment.wait_for_change()
tell(state=submission.wait(60).state, task=submission.task_id)
experiment.close()
"""


class Filling(PaidServer):
    """Makes the disk full at the moment it has received a paid request."""

    def __init__(self, switch: Path) -> None:
        super().__init__(random.Random(7), {"none": 1})
        self._switch = switch

    def _charge(self, intent: str, fault: str, ending: str) -> Any:
        self._switch.touch()
        return super()._charge(intent, fault, "stored")


class Payer:
    """A program that pays under the shim, on a disk that fills up meanwhile."""

    def __init__(self, server: Filling, tmp_path: Path, *, spare: bool) -> None:
        self.log, self.temp = tmp_path / "log", tmp_path / "temp"
        for folder in (self.log, self.temp):
            folder.mkdir()
        full = str(self.log) if spare else f"{self.log}:{self.temp}"
        switch = server._switch
        environment = {**shimmed(full=full, switch=switch), "TMPDIR": str(self.temp)}
        words = [server.url, KEY, str(self.log)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", BEGIN + PAY, *words],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def told(self) -> dict[str, Any]:
        """Return the next line that it told."""
        assert self.process.stdout
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def go_on(self) -> dict[str, Any]:
        """Let it wait for the end; return what it told then."""
        out, _ = self.process.communicate("\n", timeout=100)
        assert self.process.returncode == 0
        found: dict[str, Any] = json.loads(out)
        return found

    def kill(self) -> None:
        """End it without any warning."""
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


def test_A9_a_disk_that_fills_up_during_the_request_loses_no_task(tmp_path: Path) -> None:
    """ENOSPC from the server's receipt on: shown, spilled, and in the log when there is room."""
    with Filling(tmp_path / "full") as server:
        payer = Payer(server, tmp_path, spare=True)
        told = payer.told()
        (charge,) = server.charges
        assert charge.task_id
        assert charge.task_id in told["notice"]
        assert "full" in told["notice"]
        assert told["state"] == "sending"
        (spilled,) = payer.temp.glob("luma-widgets-*-spill.jsonl")
        assert charge.task_id in spilled.read_text()
        assert str(spilled) in told["notice"]
        assert spilled.stat().st_mode & 0o777 == 0o600
        (tmp_path / "full").unlink()
        assert payer.go_on() == {"state": "stored", "task": charge.task_id}
        assert len(server.visits) == 1


def test_A9_killed_on_a_full_disk_the_spilled_task_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program is killed before there was room; the next session knows the task all the same."""
    with Filling(tmp_path / "full") as server:
        payer = Payer(server, tmp_path, spare=True)
        told = payer.told()
        payer.kill()
        (tmp_path / "full").unlink()
        monkeypatch.setattr("tempfile.tempdir", str(payer.temp))
        with (
            lw.PixwithClient(KEY, base_url=server.url) as client,
            lw.Experiment("cats", client=client, log=payer.log / "luma.sqlite") as experiment,
        ):
            submission = experiment.get(told["id"])
            assert submission.wait(60).task_id == server.charges[0].task_id
            assert submission.state == "stored"
        assert len(server.visits) == 1


def test_A9_without_any_room_the_task_is_shown(tmp_path: Path) -> None:
    """Where no place takes the task id, the notice shows it and asks to write it down."""
    with Filling(tmp_path / "full") as server:
        payer = Payer(server, tmp_path, spare=False)
        notice = payer.told()["notice"]
        assert server.charges[0].task_id in notice
        assert "write this task id down" in notice
        assert not [p for p in payer.temp.glob("luma-widgets-*") if p.stat().st_size]
        (tmp_path / "full").unlink()
        assert payer.go_on()["state"] == "stored"
        assert len(server.visits) == 1


# Before the first byte ----------------------------------------------------------------------

SEND = """
if len(sys.argv) > 4:  # the control: what a log would do that does not wait for the disk
    from luma_widgets.log import database
    prepare = database._prepare_sqlite

    def careless(connection, record):
        prepare(connection, record)
        connection.execute("PRAGMA synchronous=OFF")

    database._prepare_sqlite = careless
experiment = lw.Experiment("cats", client=client, log=path, measure=False)
os.environ["LUMA_TEST_TRACE"] = trace = str(place / "trace")
experiment.submit(cat).wait(60)
experiment.close()
print(Path(trace).read_text())
"""


@pytest.mark.parametrize("careless", [False, True], ids=["as it is", "control"])
def test_D1_the_claim_is_synced_before_the_first_byte(
    server: PaidServer, tmp_path: Path, careless: bool
) -> None:
    """The log's last write before the request leaves is followed by a sync; without, it is seen."""
    command = [sys.executable, "-c", BEGIN + SEND, server.url, KEY, str(tmp_path)]
    ran = subprocess.run(
        [*command, *(["careless"] if careless else [])],
        env=shimmed(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = ran.stdout.splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("send socket:"))
    wal = [line.split()[0] for line in lines[:first] if line.endswith("luma.sqlite-wal")]
    assert wal.count("write") >= 2
    assert (wal[-1] == "sync" and wal.count("sync") >= 2) is not careless
    until(lambda: len(server.visits) == 1)
