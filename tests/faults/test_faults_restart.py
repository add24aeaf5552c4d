"""A kernel that is killed in the middle of running tasks: rows A10 and E1 of the fault table."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

import luma_widgets as lw
from luma_widgets.log import Row

from ..conftest import until
from .notebooks import cells_of, write
from .paidserver import PaidServer, Visit

KEY = "key_0restart0restart0restart0resta"
CELLS = cells_of("""
import os, json, pathlib
import luma_widgets as lw
pathlib.Path('kernel.pid').write_text(str(os.getpid()))
exp = lw.Experiment('cats')
print(exp.banner)
# %%
videos = [exp.submit(lw.Ray2Request(prompt=f'Cat {number}')) for number in range(12)]
# %%
for video in videos:
    video.wait(100)
print(json.dumps([[video.id, video.state, str(video.files[0])] for video in videos]))
# %%
exp.close()
""")


class Held(PaidServer):
    """Accepts every task at once; its tasks end only when they are released."""

    def __init__(self) -> None:
        super().__init__(random.Random(7), {"none": 1})
        self.released = False

    def _charge(self, intent: str, fault: str, ending: str) -> Visit:
        return super()._charge(intent, fault, "stored")

    def _progress(self, task_id: str) -> dict[str, Any]:
        found = super()._progress(task_id)
        if not self.released:
            found["data"].update(status=1, result_urls=[])
        return found


def begin(folder: Path, cells: list[str]) -> subprocess.Popen[str]:
    """Begin to run a notebook in a new kernel, as Restart and Run All does."""
    write(folder / "cats.ipynb", cells)
    words = [sys.executable, "-m", "jupyter", "execute", "--inplace", "cats.ipynb"]
    return subprocess.Popen(words, cwd=folder, stderr=subprocess.PIPE, text=True)


def run_all(folder: Path, cells: list[str]) -> Any:
    """Run every cell to its end; return the notebook with its outputs."""
    running = begin(folder, cells)
    _, complaint = running.communicate(timeout=120)
    assert running.returncode == 0, complaint
    return nbformat.read(folder / "cats.ipynb", as_version=4)


def kill_kernel(folder: Path, running: subprocess.Popen[str]) -> None:
    """Kill the kernel of a running notebook; what runs it notices."""
    os.kill(int((folder / "kernel.pid").read_text()), signal.SIGKILL)
    _, complaint = running.communicate(timeout=60)
    assert "DeadKernelError" in complaint


def rows_of(path: Path) -> list[Row]:
    log = lw.ExperimentLog(path)
    try:
        return log.rows()
    finally:
        log.close()


def shown(notebook: Any) -> list[list[str]]:
    """Return what the third cell printed: id, state and file of each video."""
    found: list[list[str]] = json.loads(notebook.cells[2].outputs[-1].text)
    return found


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    """Return a paid service that the environment names, with a key."""
    with Held() as running:
        monkeypatch.setenv("PIXWITH_API_KEY", KEY)
        monkeypatch.setenv("PIXWITH_BASE_URL", running.url)
        yield running


def test_E1_A10_a_kernel_killed_with_twelve_tasks_running(server: Held, tmp_path: Path) -> None:
    """Run again in a new kernel, all twelve arrive in the same rows; the server saw 12 creates."""
    log = tmp_path / "luma.sqlite"
    running = begin(tmp_path, CELLS)
    until(lambda: len(server.charges) == 12, 60)
    until(lambda: [row["state"] for row in rows_of(log)] == ["processing"] * 12)
    before = [(row["id"], row["task_id"]) for row in rows_of(log)]
    kill_kernel(tmp_path, running)

    server.released = True
    second = shown(run_all(tmp_path, CELLS))
    assert [row_id for row_id, _, _ in second] == [row_id for row_id, _ in before]
    assert [(row["id"], row["task_id"]) for row in rows_of(log)] == before
    assert {state for _, state, _ in second} == {"stored"}
    files = {Path(file) for _, _, file in second}
    assert len([file for file in files if file.exists()]) == 12
    assert len(server.visits) == 12

    third = shown(run_all(tmp_path, CELLS))
    assert third == second
    assert len(server.visits) == len({visit.intent for visit in server.visits}) == 12


def test_E1_A10_a_kernel_killed_while_it_sends(
    server: Held, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed with requests on their way: those are unknown and stay so, the others are made."""
    monkeypatch.setattr("tests.faults.paidserver._LONGEST_DELAY", 0.5)
    running = begin(tmp_path, CELLS)
    until(lambda: len(server.charges) >= 3, 60)
    kill_kernel(tmp_path, running)
    server.released = True
    run_all(tmp_path, [*CELLS[:2], CELLS[3]])
    states = [row["state"] for row in rows_of(tmp_path / "luma.sqlite")]
    assert len(states) == 12
    assert set(states) <= {"processing", "completed", "stored", "unknown"}
    assert 1 <= states.count("unknown") <= 4
    assert server.paid_twice() == []
