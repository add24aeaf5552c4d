"""``luma-widgets log``: what has been submitted, newest last."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import Settings
from ..errors import ConfigurationError, LogError
from ..log import OUTCOME_UNKNOWN, ExperimentLog, State, read_log
from .tables import table

if TYPE_CHECKING:
    from pandas import DataFrame


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
    frame = _frame(where)
    if arguments.experiment:
        frame = frame[frame["experiment"] == arguments.experiment]
    if arguments.state:
        frame = frame[frame["state"] == arguments.state]
    frame = frame.tail(arguments.n)
    if arguments.json:
        frame.to_json(sys.stdout, orient="records", lines=True, date_format="iso")
    else:
        print(table(frame))
        doubtful = frame.loc[frame["state"] == State.UNKNOWN, "id"]
        for row_id in doubtful:
            print(f"{row_id}: {OUTCOME_UNKNOWN} To settle it: luma-widgets resolve {row_id}")
    return 0


def _frame(where: str) -> DataFrame:
    """Read a log; one that cannot be opened is read as far as that goes, and the reason printed."""
    trouble = None
    try:
        with contextlib.closing(ExperimentLog(where)) as log:
            return log.df
    except LogError as error:
        trouble = error
    if "://" in where:
        raise trouble
    print(f"luma-widgets: {trouble}", file=sys.stderr)
    return read_log(where)
