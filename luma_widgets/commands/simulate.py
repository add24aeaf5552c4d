"""``luma-widgets simulate``: the simulator in the foreground, until it is interrupted."""

from __future__ import annotations

import argparse
import threading

from ..config import KEY_VARIABLE, URL_VARIABLE
from ..service import Simulator


def simulate(arguments: argparse.Namespace) -> int:
    """Run the simulator and print how to reach it.

    Parameters
    ----------
    arguments : argparse.Namespace
        As :mod:`luma_widgets.cli` parses them.
    """
    options = {name: getattr(arguments, name) for name in ("port", "speed", "credits", "state")}
    with Simulator(**options) as simulator:
        print("Simulator: videos are drawn on this machine, nothing is sent or paid.")
        print(f"export {URL_VARIABLE}={simulator.url}")
        print(f"export {KEY_VARIABLE}={simulator.api_key}", flush=True)
        print("Press Ctrl+C to stop.", flush=True)
        threading.Event().wait()
    return 0
