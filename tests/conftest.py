"""Shared parts of the tests: a log and a simulator of their own, no keys in the environment."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import luma_widgets as lw

settings.register_profile(
    "luma",
    deadline=None,  # machines of a CI are busy
    derandomize=True,  # a run that failed fails again
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("luma")

MakeExperiment = Callable[..., lw.Experiment]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take keys, addresses and Binder out of the environment of every test."""
    for name in list(os.environ):
        if name.startswith(("PIXWITH_", "LUMA_WIDGETS_", "BINDER_")):
            monkeypatch.delenv(name)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[lw.ExperimentLog]:
    """Return a new log in a folder of its own."""
    made = lw.ExperimentLog(tmp_path / "luma.sqlite")
    yield made
    made.close()


@pytest.fixture
def simulator() -> Iterator[lw.Simulator]:
    """Return a simulator whose videos take a tenth of a second."""
    with lw.Simulator(speed=60, estimated_time=6, spread=0) as running:
        yield running


@pytest.fixture
def make_experiment(tmp_path: Path, simulator: lw.Simulator) -> Iterator[MakeExperiment]:
    """Return a function that opens experiments on one log and closes them at the end."""
    opened: list[lw.Experiment] = []

    def make(name: str = "cats", **options: object) -> lw.Experiment:
        values = {"client": simulator.client(), "log": tmp_path / "luma.sqlite", **options}
        experiment = lw.Experiment(name, **values)
        opened.append(experiment)
        return experiment

    yield make
    for experiment in opened:
        experiment.close(timeout=2.0)
        experiment.client.close()


@pytest.fixture
def cat() -> lw.Ray2Request:
    """Return the documented text-to-video request."""
    return lw.Ray2Request(prompt="A cat walking in the garden")


def until(condition: Callable[[], object], timeout: float = 30.0) -> None:
    """Wait until a condition holds; fail after a generous time."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"still not so after {timeout} s")
        time.sleep(0.01)
