"""What the simulator remembers, in one SQLite file: the account, tasks, uploads and clips."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from ..errors import ConfigurationError

# Marks the file as the simulator's, so that no other database is ever written by mistake.
_APPLICATION_ID = 0x4C57534D
_MARK = "PRAGMA application_id = 0x4C57534D"  # the same: a PRAGMA takes no parameters
_KEPT_CLIPS = 200
_TABLES = """
CREATE TABLE IF NOT EXISTS account (
  id INTEGER PRIMARY KEY CHECK (id = 1), api_key TEXT NOT NULL, secret BLOB NOT NULL,
  credits REAL NOT NULL CHECK (credits >= 0)
);
CREATE TABLE IF NOT EXISTS tasks (
  number INTEGER PRIMARY KEY, task_id TEXT NOT NULL UNIQUE, payload TEXT NOT NULL,
  created_at REAL NOT NULL, finish_at REAL, outcome TEXT NOT NULL, price REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS uploads (
  name TEXT PRIMARY KEY, content_type TEXT NOT NULL, data BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS clips (
  number INTEGER PRIMARY KEY, task_id TEXT NOT NULL UNIQUE, data BLOB NOT NULL
);
"""
_ALL_TASKS = (
    "SELECT task_id, payload, created_at, finish_at, outcome, price FROM tasks ORDER BY number"
)
_ONE_TASK = (
    "SELECT task_id, payload, created_at, finish_at, outcome, price FROM tasks WHERE task_id = ?"
)


@dataclass(frozen=True)
class TaskRow:
    """One accepted task.

    Parameters
    ----------
    task_id : str
    payload : str
        The JSON body it was created with.
    created_at : float
        Seconds since the epoch.
    finish_at : float or None
        When it ends; None if it never does.
    outcome : str
        Empty for success, else one of the simulator's outcomes.
    price : float
        Simulator credits that were charged.
    """

    task_id: str
    payload: str
    created_at: float
    finish_at: float | None
    outcome: str
    price: float


class State:
    """The simulator's memory; any thread may use it, and two processes may share one file.

    Parameters
    ----------
    path : Path or None
        None keeps everything in memory.
    credits : float
        The balance of a new account; an account that exists keeps its own.
    api_key : str or None
        The key of a new account; None makes one up.

    Raises
    ------
    ConfigurationError
        If the file cannot be opened or is not a simulator's.
    """

    def __init__(self, path: Path | None, *, credits: float, api_key: str | None) -> None:  # noqa: A002 - the service's word
        self._lock = threading.RLock()
        try:
            self._db = _connect(path)
            try:
                self._prepare(credits, api_key or new_key())
            except BaseException:
                self._db.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise ConfigurationError(
                f"The simulator's file {path} cannot be used ({error}). "
                "Choose another, or delete it to begin with a new account."
            ) from error

    def close(self) -> None:
        """Close the file; may be called twice."""
        with self._lock:
            self._db.close()

    def balance(self) -> float:
        """Return the credits that are left."""
        with self._lock:
            return float(self._db.execute("SELECT credits FROM account").fetchone()[0])

    def set_balance(self, credits: float) -> None:  # noqa: A002 - the service's word
        """Replace the credits that are left."""
        with self._write() as db:
            db.execute("UPDATE account SET credits = ?", (credits,))

    def add_task(self, task: TaskRow) -> bool:
        """Charge and store a task at once; False, and nothing changed, if the balance is short."""
        with self._write() as db:
            paid = db.execute(
                "UPDATE account SET credits = credits - :price WHERE credits >= :price",
                {"price": task.price},
            ).rowcount
            if paid:
                db.execute(
                    "INSERT INTO tasks (task_id, payload, created_at, finish_at, outcome, price) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    astuple(task),
                )
        return bool(paid)

    def task(self, task_id: str) -> TaskRow | None:
        """Return a task, or None."""
        with self._lock:
            row = self._db.execute(_ONE_TASK, (task_id,)).fetchone()
        return TaskRow(*row) if row else None

    def tasks(self) -> list[TaskRow]:
        """Return every accepted task, oldest first."""
        with self._lock:
            return [TaskRow(*row) for row in self._db.execute(_ALL_TASKS)]

    def add_upload(self, name: str, content_type: str, data: bytes) -> None:
        """Store an uploaded picture under its name; a second one replaces the first."""
        with self._write() as db:
            db.execute(
                "INSERT OR REPLACE INTO uploads VALUES (?, ?, ?)", (name, content_type, data)
            )

    def upload(self, name: str) -> tuple[str, bytes] | None:
        """Return the content type and the bytes of an upload, or None."""
        with self._lock:
            row = self._db.execute(
                "SELECT content_type, data FROM uploads WHERE name = ?", (name,)
            ).fetchone()
        return (str(row[0]), bytes(row[1])) if row else None

    def add_clip(self, task_id: str, data: bytes) -> None:
        """Keep a rendered clip; the oldest go, for they can be rendered again."""
        with self._write() as db:
            db.execute("INSERT OR IGNORE INTO clips (task_id, data) VALUES (?, ?)", (task_id, data))
            db.execute(
                "DELETE FROM clips WHERE number <= (SELECT max(number) FROM clips) - ?",
                (_KEPT_CLIPS,),
            )

    def clip(self, task_id: str) -> bytes | None:
        """Return a rendered clip, or None."""
        with self._lock:
            row = self._db.execute(
                "SELECT data FROM clips WHERE task_id = ?", (task_id,)
            ).fetchone()
        return bytes(row[0]) if row else None

    def _prepare(self, credits: float, api_key: str) -> None:  # noqa: A002 - the service's word
        self._db.execute("BEGIN")  # both answers from one moment: another process may begin too
        mark = self._db.execute("PRAGMA application_id").fetchone()[0]
        used = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        self._db.execute("COMMIT")
        if mark != _APPLICATION_ID and (mark or used):
            raise sqlite3.DatabaseError("it is another program's database")
        _use_wal(self._db)
        with self._write() as db:
            db.execute(_MARK)
            for statement in filter(str.strip, _TABLES.split(";")):
                db.execute(statement)
            db.execute(
                "INSERT OR IGNORE INTO account VALUES (1, ?, ?, ?)",
                (api_key, secrets.token_bytes(32), credits),
            )
        row = self._db.execute("SELECT api_key, secret FROM account").fetchone()
        self.api_key, self.secret = str(row[0]), bytes(row[1])

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


def new_key() -> str:
    """Make up a key of the simulator: ``sim_`` and 32 hexadecimal digits."""
    return f"sim_{secrets.token_hex(16)}"


def _connect(path: Path | None) -> sqlite3.Connection:
    if path is not None:
        # Made before SQLite opens it, so that others can never read it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    return sqlite3.connect(
        path or ":memory:", timeout=10, isolation_level=None, check_same_thread=False
    )


def _use_wal(db: sqlite3.Connection) -> None:
    """Switch to WAL; while another process does the same, SQLite says "locked" without waiting."""
    for attempt in range(20):
        try:
            db.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError:
            if attempt == 19:
                raise
            time.sleep(0.05)
    db.execute("PRAGMA synchronous = NORMAL")
