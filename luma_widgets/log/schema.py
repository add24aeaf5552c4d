"""The tables of the log. The option columns come from the fields of the request."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeEngine

from ..fields import Field
from ..request import Ray2Request

# In SQLite only a column declared INTEGER becomes the row id; in PostgreSQL it should be 64 bits.
_KEY = BigInteger().with_variant(Integer(), "sqlite")


def option_column(field: Field) -> Column[Any]:
    """Return the column that holds an option; NULL where a row is older than the option."""
    return Column(field.name, _type_of(field), nullable=True)


def _type_of(field: Field) -> TypeEngine[Any]:
    if field.kind == "flag":
        return Boolean()
    if field.choices and all(isinstance(choice, int) for choice in field.choices):
        return Integer()
    return Text()


metadata = MetaData()

# Times are whole microseconds since 1970 in UTC: eight bytes, exact, and sorted as they are.
submissions = Table(
    "submissions",
    metadata,
    Column("seq", _KEY, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    *(option_column(field) for field in Ray2Request.fields()),
    Column("task_id", Text),
    Column("estimated_time", Integer),
    Column("sent_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("result_urls", Text),
    Column("files", Text),
    Column("error", Text),
    Column("error_type", Text),
    Column("excerpt", Text),
    Column("experiment", Text, nullable=False),
    Column("base_url", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("credits_before", Float),
    Column("credits_after", Float),
    Column("rating", Integer),
    Column("note", Text),
    Column("tags", Text),
    Column("variables", Text),
    Column("sweep", Text),
    Column("take", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("intent_key", Text, nullable=False),
    Column("retry_of", Text),
    Column("attempts", Integer, nullable=False),
    Column("owner", Text),
    UniqueConstraint("id", name="submissions_id"),
    UniqueConstraint("intent_key", name="submissions_intent"),
    Index("submissions_revision", "revision"),
)

# One row for each process that works on the log; see owners.py.
owners = Table(
    "owners",
    metadata,
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("boot", Text, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started", Text, nullable=False),
    Column("lease_until", Float, nullable=False),
)

# Images that were uploaded: the same bytes keep their address, so a cell run again stays the same
# intent.
uploads = Table(
    "uploads",
    metadata,
    Column("base_url", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("url", Text, nullable=False),
)

meta = Table(
    "luma_meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

# Columns whose text is JSON; rows give them as Python objects.
JSON_COLUMNS = ("result_urls", "files", "tags", "variables")
