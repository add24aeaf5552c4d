"""Rows of the log: how they are written, compared and read within a transaction."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, func, insert, literal, select, update

from ..request import Ray2Request
from . import schema
from .states import NEVER_PAID, State

Row = dict[str, Any]
# Takes what was paid for in the session and the experiment, as the number of videos of each
# (resolution, duration); raises to stop a submission.
Guard = Callable[[Mapping[str, Mapping[tuple[str, int], int]]], None]
T = schema.submissions


def insert_row(connection: Connection, values: Mapping[str, Any]) -> Row:
    """Add a row under the next revision."""
    data = {**_stored(values), "revision": _next_revision(connection)}
    result = connection.execute(insert(T).values(data).returning(*T.c))
    return _row(result.mappings().one())


def change_rows(
    connection: Connection,
    where: ColumnElement[bool],
    sources: Collection[State],
    values: Mapping[str, Any],
) -> list[Row]:
    """Compare and set: write only rows that are still in one of the states.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        In a writing transaction.
    where : sqlalchemy expression
        Which rows.
    sources : collection of State
        The states that a row must be in to be changed.
    values : mapping
        The columns to write.

    Returns
    -------
    list of dict
        The rows that changed, as they are now.
    """
    still = where & T.c.state.in_(list(sources))
    data = {**_stored(values), "revision": _next_revision(connection)}
    result = connection.execute(update(T).where(still).values(data).returning(*T.c))
    return [_row(found) for found in result.mappings()]


def select_rows(connection: Connection, where: ColumnElement[bool]) -> list[Row]:
    """Read rows, oldest first."""
    found = connection.execute(select(T).where(where).order_by(T.c.seq)).mappings()
    return [_row(row) for row in found]


def select_row(connection: Connection, where: ColumnElement[bool]) -> Row | None:
    """Read the oldest of some rows, or None."""
    query = select(T).where(where).order_by(T.c.seq).limit(1)
    found = connection.execute(query).mappings().one_or_none()
    return None if found is None else _row(found)


def paid_videos(
    connection: Connection, mine: Mapping[str, ColumnElement[bool]]
) -> dict[str, dict[tuple[str, int], int]]:
    """Count the videos that were paid for, or may have been, by resolution and duration.

    Parameters
    ----------
    connection : sqlalchemy.Connection
    mine : mapping of str to sqlalchemy expression
        Which rows count, under the name of each count.
    """
    paid = T.c.state.not_in([*NEVER_PAID, State.QUEUED])
    setting = (T.c.resolution, T.c.duration)
    counts = {}
    for name, where in mine.items():
        query = select(*setting, func.count()).where(where & paid).group_by(*setting)
        found = connection.execute(query)
        counts[name] = {(resolution, duration): n for resolution, duration, n in found}
    return counts


def intent_key(experiment: str, base_url: str, fingerprint: str, take: int | str) -> str:
    """Return 32 hexadecimal digits that name an intent: the same call gives the same row."""
    text = json.dumps([experiment, base_url, fingerprint, str(take)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def new_id() -> str:
    """Return 20 hexadecimal digits: milliseconds since 1970, then chance; ids sort by age."""
    return f"{time.time_ns() // 1_000_000:011x}{secrets.token_hex(5)[1:]}"


def now_us() -> int:
    """Return the time in microseconds since 1970, UTC."""
    return time.time_ns() // 1000


def _next_revision(connection: Connection) -> Any:
    highest = func.coalesce(func.max(T.c.revision), literal(0))
    return connection.scalar(select(highest + 1))


def _stored(values: Mapping[str, Any]) -> dict[str, Any]:
    """Make values fit for every database: JSON as text, and text that is valid Unicode."""
    data = dict(values)
    for name, value in data.items():
        if name in schema.JSON_COLUMNS:
            data[name] = None if value is None else json.dumps(value)
        elif isinstance(value, State):
            data[name] = value.value
        elif isinstance(value, str):
            data[name] = value.replace("\0", "").encode("utf-8", "replace").decode()
    return data


def _row(found: RowMapping) -> Row:
    row: Row = {column.name: found[column] for column in T.c}
    for name in schema.JSON_COLUMNS:
        row[name] = from_json(name, row[name])
    row["elapsed"] = _seconds(row["sent_at"], row["finished_at"])
    return row


def from_json(name: str, text: Any) -> Any:
    """Read a JSON column; what is damaged counts as empty, so that it hides no other row."""
    empty: list[Any] | dict[str, Any] = {} if name == "variables" else []
    try:
        value = json.loads(text) if text else None
    except (ValueError, TypeError):
        value = None
    return value if isinstance(value, type(empty)) else empty


def request_of(row: Row) -> Ray2Request:
    """Build the request of a row; an option that is NULL there was not known to its writer."""
    names = (field.name for field in Ray2Request.fields())
    return Ray2Request(**{name: row[name] for name in names if row.get(name) is not None})


def _seconds(start: Any, end: Any) -> float | None:
    return (end - start) / 1e6 if isinstance(start, int) and isinstance(end, int) else None
