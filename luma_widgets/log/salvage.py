"""Reading what can be read of a log that cannot be opened: damaged, read-only, or newer."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LogError

if TYPE_CHECKING:
    from pandas import DataFrame


def read_log(path: str | os.PathLike[str]) -> DataFrame:
    """Read the rows of a log file without writing to it, even where it cannot be opened.

    Use it to save what is readable of a damaged log, to look into one that is read-only, or that
    a newer version has written. Columns that this version does not know are left out.

    Parameters
    ----------
    path : str or Path
        A SQLite file.

    Returns
    -------
    pandas.DataFrame
        As :attr:`luma_widgets.ExperimentLog.df`. ``frame.attrs["complete"]`` is False where a part
        of the file could not be read.

    Raises
    ------
    LogError
        If there is no such file, or nothing in it can be read as a log.

    Examples
    --------
    >>> with lw.Experiment("cats", client=experiment.client, log="cats.sqlite") as cats:
    ...     pass
    >>> len(read_log("cats.sqlite"))
    0
    """
    from .frame import READ, frame_of

    file = Path(path).expanduser().absolute()
    if not file.is_file():
        raise LogError(f"There is no file {file}.")
    rows: dict[Any, tuple[Any, ...]] = {}
    complete = trouble = None
    try:
        with contextlib.closing(_connect(file)) as connection:
            there = _columns(connection)
            names = [name if name in there else None for name in READ]
            complete = _collect(connection, names, rows)
    except sqlite3.Error as error:
        trouble = str(error)
    if trouble is not None and not rows:
        raise LogError(f"Nothing of {file} can be read as a log: {trouble}.")
    frame = frame_of([rows[key] for key in sorted(rows)])
    frame.attrs["complete"] = bool(complete)
    return frame


def _connect(file: Path) -> sqlite3.Connection:
    """Open a file for reading; a folder that cannot be written needs another way."""
    for mode in ("mode=ro", "mode=ro&immutable=1"):
        connection = sqlite3.connect(f"{file.as_uri()}?{mode}", uri=True)
        connection.text_factory = lambda text: text.decode("utf-8", "replace")
        try:
            connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchall()
        except sqlite3.OperationalError:
            connection.close()
            continue
        except sqlite3.Error:
            connection.close()
            raise
        return connection
    raise sqlite3.OperationalError("the file cannot be opened")


def _columns(connection: sqlite3.Connection) -> set[str]:
    found = connection.execute("SELECT name FROM pragma_table_info('submissions')")
    names = {name for (name,) in found}
    if "seq" not in names:
        raise sqlite3.DatabaseError("it has no submissions")
    return names


def _collect(
    connection: sqlite3.Connection, names: list[str | None], rows: dict[Any, tuple[Any, ...]]
) -> bool:
    """Read from both ends, each as far as it goes; return whether the first reached the end."""
    for ascending in (True, False):
        try:
            for row in _scan(connection, ascending=ascending):
                picked = tuple(None if name is None else row[name] for name in names)
                rows[row["seq"]] = picked
        except sqlite3.DatabaseError:
            continue
        return ascending
    return False


def _scan(connection: sqlite3.Connection, *, ascending: bool) -> Iterator[sqlite3.Row]:
    connection.row_factory = sqlite3.Row
    if ascending:
        yield from connection.execute("SELECT * FROM submissions ORDER BY seq")
    else:
        yield from connection.execute("SELECT * FROM submissions ORDER BY seq DESC")
