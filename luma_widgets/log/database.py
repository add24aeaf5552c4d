"""Opening the log's database so that a commit means "on disk", and nothing foreign is touched."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from ..errors import LogError, MissingDependencyError
from .migrations import migrate, refuse_foreign

BUSY_SECONDS = 30
_OLDEST_SQLITE = (3, 35, 0)  # the first with RETURNING
_CHECKED_BYTES = 64 * 2**20
_LOCK_NUMBER = 0x4C554D41  # "LUMA": the advisory lock under which PostgreSQL writers take turns


_READABLE = "luma_widgets.read_log(path) returns what can be read as a DataFrame."
_LOCAL = "Put the log on a local disk, or use PostgreSQL."
# File systems over a network: locks and shared memory, which SQLite needs, do not hold there.
_NETWORK = re.compile(r"nfs\d?|cifs|smb\w*|9p|afs|ceph|glusterfs|lustre|fuse\.(sshfs|s3fs|rclone)")


class Database:
    """A SQLite file or a PostgreSQL database that holds a log.

    Parameters
    ----------
    where : str or Path
        A path, or an SQLAlchemy URL (``sqlite:///...`` or ``postgresql+psycopg://...``).

    Raises
    ------
    LogError
        If it cannot be opened, is damaged, belongs to something else or is of a newer version.
    """

    def __init__(self, where: str | os.PathLike[str]) -> None:
        self.url = _url(where)
        self.path = _path(self.url)
        self.name = str(self.path) if self.path else self.url.render_as_string(hide_password=True)
        self._pid = os.getpid()
        if self.path is not None:
            _ensure_file(self.path)
        self._engine = _engine(self.url)
        self._file = _identity(self.path)
        try:
            with self.writing() as connection:
                if self.path is not None:
                    _check_file(connection, self.path)
                migrate(connection, self.name)
        except BaseException:
            self.close()
            raise

    @property
    def is_sqlite(self) -> bool:
        """Whether the log is a local file."""
        return self.path is not None

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction in which this process alone writes; leaving it commits durably.

        Raises
        ------
        LogError
            Also if the file was moved, deleted or replaced: what is written to an open file that
            has lost its name is gone when the program ends.
        """
        if _identity(self.path) != self._file:
            raise LogError(
                f"{self.name} was moved, deleted or replaced while it was open. Put it back, or "
                "open the log again. Nothing was sent."
            )
        with self._connected("write") as connection, connection.begin():
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a consistent view of the log."""
        with self._connected("read") as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close every connection of this process."""
        self._engine.dispose()

    @contextmanager
    def _connected(self, purpose: str) -> Iterator[Connection]:
        if self._pid != os.getpid():
            # A fork must not share SQLite handles with its parent, not even to close them.
            self._engine.dispose(close=False)
            self._pid = os.getpid()
        trouble = None
        try:
            with self._engine.connect().execution_options(luma_purpose=purpose) as connection:
                yield connection
        except DBAPIError as error:
            trouble = _explain(str(error.orig), self.name)
        except (sqlite3.Error, OSError) as error:
            trouble = _explain(str(error), self.name)
        if trouble:
            raise LogError(trouble)


def _url(where: str | os.PathLike[str]) -> URL:
    text = os.fspath(where)
    if "://" not in text:
        return URL.create("sqlite", database=str(Path(text).expanduser()))
    try:
        url = make_url(text)
    except ArgumentError:
        url = None
    if url is None or url.get_backend_name() not in ("sqlite", "postgresql"):
        raise LogError(
            "A log is a file, such as 'luma.sqlite', or a PostgreSQL database, such as "
            "'postgresql+psycopg://user@host/name'."
        )
    return url


def _path(url: URL) -> Path | None:
    if url.get_backend_name() != "sqlite":
        return None
    if url.database in (None, "", ":memory:"):
        raise LogError(
            "A log in memory would forget paid tasks. Give the log a file name, such as "
            "'luma.sqlite'."
        )
    return Path(str(url.database)).absolute()


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        engine = create_engine(url, pool_pre_ping=True)
    except (ImportError, NoSuchModuleError):
        raise MissingDependencyError(
            "A log on PostgreSQL needs psycopg. Run: pip install 'luma-widgets[postgres]'"
        ) from None
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_sqlite alone
    cursor = connection.cursor()
    mode = cursor.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()
    # A damaged text must not hide the rows around it.
    connection.text_factory = _decode
    if str(mode).lower() != "wal":
        raise sqlite3.OperationalError("write-ahead log not available")


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("luma_purpose") == "write"
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgresql(connection: Connection) -> None:
    # Writers take turns, as they do in SQLite, so that revisions become visible in their order.
    if connection.get_execution_options().get("luma_purpose") == "write":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_LOCK_NUMBER,))


def _identity(path: Path | None) -> tuple[int, int] | None:
    try:
        found = path.stat() if path else None
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found else None


def _ensure_file(path: Path) -> None:
    """Create a log that does not exist yet: whole or not at all, and readable by its owner only."""
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise LogError(f"SQLite {sqlite3.sqlite_version} is too old for the log; 3.35 is needed.")
    kind = _network_kind(path)
    if kind:
        raise LogError(f"{path} is on a network drive ({kind}), where a log is not safe. {_LOCAL}")
    if path.exists():
        if path.stat().st_size == 0:
            raise LogError(
                f"{path} is empty: it is no log, or it was cut off. It was left as it is; "
                "restore a copy, or choose another file name to begin a new log."
            )
        _check_kind(path)
        return
    if not path.parent.is_dir():
        raise LogError(f"The folder {path.parent} does not exist; create it, then open the log.")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    trouble = None
    try:
        _write_draft(draft)
        _publish(draft, path)
    except DBAPIError as error:
        trouble = f"The log {path} cannot be created: {error.orig}. Nothing was sent."
    except (OSError, sqlite3.Error) as error:
        trouble = f"The log {path} cannot be created: {error}. Nothing was sent."
    finally:
        with contextlib.suppress(OSError):  # a read-only disk refuses this as well
            draft.unlink(missing_ok=True)
    if trouble:
        raise LogError(trouble)


def _network_kind(path: Path) -> str:
    """Return the kind of the network file system that holds a path; empty for a local one."""
    try:
        mounts = psutil.disk_partitions(all=True)
    except (OSError, psutil.Error, RuntimeError):
        return ""
    holding = [mount for mount in mounts if path.is_relative_to(mount.mountpoint)]
    nearest = max(holding, key=lambda mount: len(mount.mountpoint), default=None)
    return nearest.fstype if nearest and _NETWORK.fullmatch(nearest.fstype) else ""


def _check_kind(path: Path) -> None:
    """Refuse another program's database before anything is done to it: WAL changes the file."""
    trouble = None
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as found:
            names = [row[0] for row in found.execute("SELECT name FROM sqlite_master")]
        refuse_foreign(names, str(path))
    except sqlite3.Error as error:
        trouble = _explain(str(error), str(path))
    if trouble:
        raise LogError(trouble)


def _write_draft(draft: Path) -> None:
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    engine = _engine(URL.create("sqlite", database=str(draft)))
    try:
        with engine.begin() as connection:
            migrate(connection, str(draft))
    finally:
        engine.dispose()


def _publish(draft: Path, path: Path) -> None:
    """Give the finished file its name, unless another process was first."""
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        if not path.exists():
            draft.replace(path)


def _check_file(connection: Connection, path: Path) -> None:
    if path.stat().st_size > _CHECKED_BYTES:
        return  # reading gigabytes would take longer than opening a notebook may
    answer = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if answer != "ok":
        raise LogError(_explain(f"malformed: {answer}", str(path)))


def _explain(reason: str, name: str) -> str:
    """Say in words what a database driver's complaint means here, and what to do."""
    text = reason.lower()
    if "not a database" in text or "malformed" in text:
        return (
            f"{name} is damaged or is no log ({reason}). It was left as it is and nothing is "
            "paid for while it cannot be trusted; restore a copy, or choose another file. "
            f"{_READABLE}"
        )
    if "write-ahead" in text or "locking protocol" in text:
        return (
            f"{name} is on a file system that cannot keep a log safely (a network drive?). {_LOCAL}"
        )
    if "locked" in text or "busy" in text:
        return (
            f"{name} was locked by another program for more than {BUSY_SECONDS} seconds. "
            "Close what holds it open, then try again."
        )
    if "readonly" in text or "read-only" in text or "unable to open" in text:
        return (
            f"{name} cannot be written ({reason}), so nothing can be paid for. Check its "
            f"permissions and its folder. {_READABLE}"
        )
    if "full" in text:
        return f"The disk of {name} is full. Free some space, then try again."
    return f"The log {name} cannot be used: {reason}"
