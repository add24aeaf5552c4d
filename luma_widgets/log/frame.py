"""The log as a pandas DataFrame that re-reads only what has changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from ..request import Ray2Request
from .rows import from_json
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
_LISTS = [name for name in JSON_COLUMNS if name in COLUMNS]
_HIDDEN = ("seq", "revision", "sent_at", "finished_at", "variables")
READ = [*(name for name in COLUMNS if name != "elapsed"), *_HIDDEN]
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
            fresh = self._read(READ, self._revision)
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


def frame_of(rows: list[Any]) -> pd.DataFrame:
    """Return the DataFrame of rows that are tuples of the columns :data:`READ`."""
    return _public(_build(rows))


def _build(rows: list[Any]) -> pd.DataFrame:
    """Turn tuples into typed columns."""
    columns = list(zip(*rows, strict=True)) if rows else [() for _ in READ]
    data = {name: _column(name, list(v)) for name, v in zip(READ, columns, strict=True)}
    frame = pd.DataFrame(data)
    frame["elapsed"] = (frame["finished_at"] - frame["sent_at"]) / 1e6
    return frame


def _column(name: str, values: list[Any]) -> Any:
    if name == "created_at":
        whole = pd.array([_fitting(value, "Int64") for value in values], dtype="Int64")
        times = pd.to_datetime(whole, unit="us", utc=True, errors="coerce")
        return pd.Series(times).astype("datetime64[us, UTC]")
    if name in JSON_COLUMNS:
        return pd.Series([from_json(name, v) for v in values], dtype="object")
    if name in _CHOICES:
        # A newer version may have written a value that this one does not know.
        words = [None if v is None else str(v) for v in values]
        return pd.Categorical(words, categories=_categories(name, words))
    kind: Any = _DTYPES[str(submissions.c[name].type).replace("BIGINT", "INTEGER")]
    try:
        return pd.array(values, dtype=kind)
    except (TypeError, ValueError, OverflowError):
        # SQLite takes a value of any type; a damaged one is missing, the others are not.
        return pd.array([_fitting(value, kind) for value in values], dtype=kind)


def _categories(name: str, words: Iterable[str | None]) -> list[str]:
    """List the known choices in their order, then others that a newer version has written."""
    others = sorted({word for word in words if word is not None} - set(_CHOICES[name]))
    return [*_CHOICES[name], *others]


def _fitting(value: Any, kind: Any) -> Any:
    try:
        return pd.array([value], dtype=kind)[0]
    except (TypeError, ValueError, OverflowError):
        return str(value) if kind == "string" else None


def _like(frame: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Give categorical columns the categories of both, so that joining keeps them."""
    changes = {}
    for name in _CHOICES:
        both = _categories(name, {*frame[name].dropna(), *other[name].dropna()})
        if list(frame[name].cat.categories) != both:
            changes[name] = frame[name].cat.set_categories(both)
    return frame.assign(**changes) if changes else frame


def _public(frame: pd.DataFrame) -> pd.DataFrame:
    shown = frame[list(COLUMNS)].reset_index(drop=True)
    variables = frame["variables"]
    names = {name: None for value in variables if value for name in value}
    for name in names:
        column = [value.get(name) if value else None for value in variables]
        shown[name if name not in COLUMNS else f"variable {name}"] = column
    for name in _LISTS:
        shown[name] = pd.Series([list(value) for value in shown[name]], dtype="object")
    return shown.copy()
