"""Which service is used: the real one when there is a key, else the simulator on this machine."""

from __future__ import annotations

import atexit
import threading
from pathlib import Path
from typing import Any

from .client import PixwithClient
from .config import Settings, on_binder
from .simulator import SimulatorServer

SIMULATOR_NAME = "simulator"
# Fast enough to be fun, slow enough to see the queue at work: a video takes six to eight seconds.
DEMO_SPEED = 6.0

_running: dict[Path, Simulator] = {}
_lock = threading.Lock()


class Simulator(SimulatorServer):
    """A stand-in for the service on this machine: real HTTP, real clips, no key and no cost.

    Parameters
    ----------
    **options
        See :class:`~luma_widgets.simulator.SimulatorServer`: ``speed``, ``credits``, ``state``,
        ``port``, ``estimated_time``, ``spread``, ``seed``.

    Examples
    --------
    >>> with Simulator(speed=60) as simulator:
    ...     simulator.client().get_credits()
    10000.0
    """

    def client(self, **options: Any) -> PixwithClient:
        """Return a client of this simulator; its rows in a log are marked ``simulator``.

        Parameters
        ----------
        **options
            For :class:`~luma_widgets.PixwithClient`.
        """
        defaults = {"api_key": self.api_key, "base_url": self.url, "name": SIMULATOR_NAME}
        return PixwithClient(**{**defaults, **options})


def connect(settings: Settings, log_path: Path | None) -> PixwithClient:
    """Return a client of the service that is meant: with a key the real one, else the simulator.

    Parameters
    ----------
    settings : Settings
    log_path : Path or None
        The simulator keeps its tasks beside this file, else in the working folder.
    """
    if settings.api_key is not None and not on_binder():
        return PixwithClient(settings.api_key, base_url=settings.base_url)
    return shared_simulator(log_path).client()


def shared_simulator(log_path: Path | None) -> Simulator:
    """Return this process's simulator for a log, started at the first call.

    Its tasks, balance and uploads are in a file beside the log and outlive the process.
    """
    beside = log_path or Path("luma.sqlite").absolute()
    state = beside.with_name(f"{beside.stem}.simulator.sqlite")
    with _lock:
        if state not in _running:
            simulator = Simulator(speed=DEMO_SPEED, state=state)
            simulator.start()
            atexit.register(simulator.close)
            _running[state] = simulator
        return _running[state]


def banner(client: PixwithClient) -> str:
    """Say in one sentence which service a client uses."""
    if client.name == SIMULATOR_NAME:
        return (
            "Simulator: videos are drawn on this machine, nothing is sent or paid. "
            "Set PIXWITH_API_KEY to use the service."
        )
    return f"Service: {client.base_url}. Every video is paid from your balance."
