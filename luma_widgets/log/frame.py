"""The log as a pandas DataFrame that re-reads only what has changed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pandas as pd

from ..request import Ray2Request
from .schema import JSON_COLUMNS, submissions
from .states import State

_OPTIONS = Ray2Request.fields()
# The columns come in this order; "elapsed" is worked out, the others are read.
COLUMNS: tuple[str, ...] = (
    "id",
    "created_at",
    "state",
    *(field.name for field in _OPTIONS),
    "task_id",
    "estimated_time",
    "elapsed",
    "result_urls",
    "files",
    "error",
    "experiment",
    "base_url",
    "version",
    "credits_before",
    "credits_after",
    "rating",
    "note",
    "tags",
)
_HIDDEN = ("seq", "revision", "sent_at", "finished_at", "variables")
_READ = [*(name for name in COLUMNS if name != "elapsed"), *_HIDDEN]
_CHOICES: dict[str, list[str]] = {
    "state": [state.value for state in State],
    **{
        field.name: list(field.choices)
        for field in _OPTIONS
        if field.choices and isinstance(field.choices[0], str)
    },
}
_DTYPES: dict[str, Any] = {
    "TEXT": "string",
    "INTEGER": "Int64",
    "BOOLEAN": "boolean",
    "FLOAT": "Float64",
}
    "TEXT": "string",
    "INTEGER": "Int64",
    "BOOLEAN": "boolean",
    "FLOAT": "Float64",
}


class LogFrame:
    """Keeps the last DataFrame and brings it up to date.

    Parameters
    ----------
    read : callable
        ``read(columns, since)`` returns tuples of the rows that changed after a revision.
    """

    def __init__(self, read: Callable[[list[str], int], list[Any]]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._all = _build([])
        self._revision = 0

    def read(self, experiment: str | None = None) -> pd.DataFrame:
        """Return the rows as they are now: a frame of the caller's own."""
        with self._lock:
            fresh = self._read(_READ, self._revision)
            if fresh:
                self._merge(_build(fresh))
            frame = self._all
        if experiment is not None:
            frame = frame[frame["experiment"] == experiment]
        return _public(frame)

    def _merge(self, fresh: pd.DataFrame) -> None:
        kept = self._all[~self._all["seq"].isin(fresh["seq"])]
        if len(kept):
            fresh = pd.concat([_like(kept, fresh), _like(fresh, kept)])
        self._all = fresh.sort_values("seq", ignore_index=True)
        self._revision = int(self._all["revision"].max())


def _build(rows: list[Any]) -> pd.DataFrame:
    """Turn tuples into typed columns."""
    columns = list(zip(*rows, strict=True)) if rows else [() for _ in _READ]
    data = {name: _column(name, list(v)) for name, v in zip(_READ, columns, strict=True)}
    frame = pd.DataFrame(data)
    frame["elapsed"] = (frame["finished_at"] - frame["sent_at"]) / 1e6
    return frame


def _column(name: str, values: list[Any]) -> Any:
    if name == "created_at":
        times = pd.to_datetime(pd.array(values, dtype="Int64"), unit="us", utc=True)
        return pd.Series(times).astype("datetime64[us, UTC]")
    if name in JSON_COLUMNS:
        return pd.Series([json.loads(v) if v else [] for v in values], dtype="object")
    if name in _CHOICES:
        # A newer version may have written a value that this one does not know.
        others = sorted({v for v in values if v is not None} - set(_CHOICES[name]))
        return pd.Categorical(values, categories=[*_CHOICES[name], *others])
    kind = str(submissions.c[name].type).replace("BIGINT", "INTEGER")
    return pd.array(values, dtype=_DTYPES[kind])


def _like(frame: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Give categorical columns the categories of both, so that joining keeps them."""
    changes = {}
    for name in _CHOICES:
        mine, theirs = frame[name].cat.categories, other[name].cat.categories
        if not mine.equals(theirs):
            changes[name] = frame[name].cat.set_categories(sorted(mine.union(theirs)))
    return frame.assign(**changes) if changes else frame


def _public(frame: pd.DataFrame) -> pd.DataFrame:
    shown = frame[list(COLUMNS)].reset_index(drop=True)
    variables = frame["variables"]
    names = {name: None for value in variables if value for name in value}
    for name in names:
        column = [value.get(name) if value else None for value in variables]
        shown[name if name not in COLUMNS else f"variable {name}"] = column
    return shown.copy()
