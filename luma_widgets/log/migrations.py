"""How the tables came to be, step by step. Steps are appended, never edited.

A log says in ``luma_meta`` which step it has reached. Options of the request need no step of their
own: a column that is missing for an option is added when the log is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    inspect,
    select,
    update,
)
from sqlalchemy.schema import CreateColumn

from ..errors import LogError
from ..request import Ray2Request
from . import schema


def _first_tables(connection: Connection) -> None:
    """Version 0.1: submissions without their option columns, owners, uploads, luma_meta."""
    tables = MetaData()
    text = ["task_id", "result_urls", "files", "error", "error_type", "excerpt", "note", "tags"]
    text += ["variables", "sweep", "retry_of", "owner"]
    needed = ["id", "state", "experiment", "base_url", "version", "take", "fingerprint"]
    needed += ["intent_key"]
    Table(
        "submissions",
        tables,
        Column(
            "seq",
            BigInteger().with_variant(Integer(), "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        *(Column(name, Text, nullable=False) for name in needed),
        *(Column(name, BigInteger, nullable=False) for name in ("revision", "created_at")),
        Column("attempts", Integer, nullable=False),
        *(Column(name, BigInteger) for name in ("sent_at", "finished_at")),
        *(Column(name, Integer) for name in ("estimated_time", "rating")),
        *(Column(name, Float) for name in ("credits_before", "credits_after")),
        *(Column(name, Text) for name in text),
        UniqueConstraint("id", name="submissions_id"),
        UniqueConstraint("intent_key", name="submissions_intent"),
        Index("submissions_revision", "revision"),
    )
    Table(
        "owners",
        tables,
        Column("id", Text, primary_key=True),
        *(Column(name, Text, nullable=False) for name in ("host", "boot", "namespace", "started")),
        Column("pid", Integer, nullable=False),
        Column("lease_until", Float, nullable=False),
    )
    Table(
        "uploads",
        tables,
        *(Column(name, Text, primary_key=True) for name in ("base_url", "digest")),
        Column("url", Text, nullable=False),
    )
    Table(
        "luma_meta",
        tables,
        Column("name", Text, primary_key=True),
        Column("value", Text, nullable=False),
    )
    tables.create_all(connection)
    connection.execute(schema.meta.insert().values(name="schema", value="0"))


STEPS: tuple[Callable[[Connection], None], ...] = (_first_tables,)


def migrate(connection: Connection, name: str) -> None:
    """Bring a log up to date, within the caller's transaction.

    Parameters
    ----------
    connection : sqlalchemy.Connection
    name : str
        How messages call the log.

    Raises
    ------
    LogError
        If the database belongs to something else, or was written by a newer version.
    """
    tables = set(inspect(connection).get_table_names())
    refuse_foreign(tables, name)
    reached = _reached(connection, name) if tables else 0
    if reached > len(STEPS):
        raise LogError(
            f"{name} was written by a newer luma_widgets (its format is {reached}, this version "
            f"knows {len(STEPS)}). It was left as it is; run: pip install -U luma-widgets. "
            "luma_widgets.read_log(path) returns what can be read as a DataFrame."
        )
    if reached and not {"submissions", "owners"} <= tables:
        raise LogError(f"{name} is damaged: tables are missing. Restore a copy of it.")
    for step in STEPS[reached:]:
        step(connection)
    if reached < len(STEPS):
        here = schema.meta.c.name == "schema"
        connection.execute(update(schema.meta).where(here).values(value=str(len(STEPS))))
    _add_options(connection)


def refuse_foreign(tables: Collection[str], name: str) -> None:
    """Raise LogError if these are the tables of another program."""
    if tables and "luma_meta" not in tables:
        raise LogError(
            f"{name} is a database of another program (it has the table {min(tables)!r}). "
            "It was left as it is; choose another file for the log."
        )


def _reached(connection: Connection, name: str) -> int:
    value = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.name == "schema"))
    if value is None or not (value.isascii() and value.isdecimal()):
        raise LogError(f"{name} is damaged or is no log: its format is {value!r}.")
    return int(value)


def _add_options(connection: Connection) -> None:
    """Add a column for each option that this log does not know yet."""
    there = {column["name"] for column in inspect(connection).get_columns("submissions")}
    for field in Ray2Request.fields():
        if field.name not in there:
            column = schema.submissions.c[field.name]
            spec = str(CreateColumn(column).compile(dialect=connection.dialect))
            add = DDL("ALTER TABLE submissions ADD COLUMN %(spec)s", context={"spec": spec})  # type: ignore[no-untyped-call]
            connection.execute(add)
