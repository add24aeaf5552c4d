"""The log as a table for a terminal."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame

_COLUMNS = ["id", "state", "prompt", "aspect_ratio", "resolution", "duration", "loop", "elapsed"]


def table(frame: DataFrame) -> str:
    """Lay out the columns that tell submissions apart, as wide as the terminal.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of a log.
    """
    if frame.empty:
        return "No submissions."
    width = shutil.get_terminal_size((120, 24)).columns
    shown = frame[_COLUMNS].copy()
    shown["prompt"] = [_short(text, max(16, width - 92)) for text in shown["prompt"]]
    seconds = shown["elapsed"].astype(object)
    shown["elapsed"] = seconds.map("{:.1f} s".format, na_action="ignore").fillna("")
    return shown.to_string(index=False, na_rep="")


def _short(text: object, width: int) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= width else line[: width - 1] + "…"
