"""``luma-widgets log``: what has been submitted, newest last."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..config import Settings
from ..errors import ConfigurationError
from ..log import ExperimentLog, State
from .tables import table


def show_log(arguments: argparse.Namespace) -> int:
    """Print rows of a log; it must exist, and nothing in it changes.

    Parameters
    ----------
    arguments : argparse.Namespace
        As :mod:`luma_widgets.cli` parses them.
    """
    where = Settings.load(log=arguments.log).log
    if "://" not in where and not Path(where).expanduser().exists():
        raise ConfigurationError(f"There is no log at {where}. Name one with --log.")
    if arguments.state and arguments.state not in list(State):
        raise ConfigurationError(f"--state must be one of {', '.join(State)}.")
    log = ExperimentLog(where)
    try:
        frame = log.frame(arguments.experiment)
    finally:
        log.close()
    if arguments.state:
        frame = frame[frame["state"] == arguments.state]
    frame = frame.tail(arguments.n)
    if arguments.json:
        frame.to_json(sys.stdout, orient="records", lines=True, date_format="iso")
    else:
        print(table(frame))
    return 0
