"""The file under the log: durable, private, safe to share, and never taken for something else."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, inspect

import luma_widgets as lw
from luma_widgets.log import State, migrations, schema
from luma_widgets.log.database import Database

CAT = {"experiment": "cats", "base_url": "simulator"}


def digest(path: Path) -> str:
    """Return a hash of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sql(path: Path, *statements: str) -> list[Any]:
    """Run statements on a file without the package; return the rows of the last one."""
    rows: list[Any] = []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            rows = connection.execute(statement).fetchall()
    return rows


# Durable -----------------------------------------------------------------------------------


def test_D1_a_commit_is_on_disk(log: lw.ExperimentLog) -> None:
    """Every connection uses the write-ahead log with full synchronisation."""
    for purpose in (log._database.writing, log._database.reading):
        with purpose() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_D1_the_answer_of_wal_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a write-ahead log is not to be had, the log does not open, and says where to put it."""
    lw.ExperimentLog(tmp_path / "luma.sqlite").close()

    class NoWal(sqlite3.Cursor):
        def execute(self, statement: str, *values: Any) -> Any:
            return super().execute(statement.replace("journal_mode=WAL", "journal_mode"), *values)

    class Disk(sqlite3.Connection):
        def cursor(self, *_: Any) -> Any:
            return super().cursor(NoWal)

    sql(tmp_path / "luma.sqlite", "PRAGMA journal_mode=DELETE")
    real = sqlite3.dbapi2.connect
    monkeypatch.setattr(
        sqlite3.dbapi2, "connect", lambda *args, **kw: real(*args, **{**kw, "factory": Disk})
    )
    with pytest.raises(lw.LogError, match="local disk"):
        lw.ExperimentLog(tmp_path / "luma.sqlite")


def test_a_writer_takes_the_lock_at_once(log: lw.ExperimentLog) -> None:
    """A writing transaction excludes others before it has read anything."""
    with (
        log._database.writing(),
        closing(sqlite3.connect(str(log.path), timeout=0)) as other,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        other.execute("BEGIN IMMEDIATE")


def test_a_failed_transaction_leaves_nothing(log: lw.ExperimentLog, cat: lw.Ray2Request) -> None:
    """An error inside a transaction rolls everything back."""
    log.prepare(cat, **CAT)
    before = log.rows()

    def fail() -> None:
        with log._database.writing() as connection:
            connection.exec_driver_sql("UPDATE submissions SET state = 'stored'")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert log.rows() == before


# Private -----------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="file modes are those of POSIX")
def test_B7_the_files_are_the_owners_alone(tmp_path: Path, cat: lw.Ray2Request) -> None:
    """The log and what SQLite puts beside it can be read by nobody else."""
    old = os.umask(0)
    try:
        log = lw.ExperimentLog(tmp_path / "luma.sqlite")
        log.prepare(cat, **CAT)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        log.close()
    finally:
        os.umask(old)
    assert set(modes) == {"luma.sqlite", "luma.sqlite-wal", "luma.sqlite-shm"}
    assert set(modes.values()) == {0o600}


def test_a_closed_log_is_one_file(tmp_path: Path, cat: lw.Ray2Request) -> None:
    """After close nothing is left beside the log, so it can be copied."""
    log = lw.ExperimentLog(tmp_path / "luma.sqlite")
    log.prepare(cat, **CAT)
    log.close()
    assert [path.name for path in tmp_path.iterdir()] == ["luma.sqlite"]


def test_a_password_is_not_shown() -> None:
    """The name of a log on a server hides the password."""
    with pytest.raises((lw.LogError, lw.MissingDependencyError)) as caught:
        lw.ExperimentLog("postgresql+psycopg://user:c4n4ry@127.0.0.1:1/luma")
    assert "c4n4ry" not in str(caught.value)


# Refused -----------------------------------------------------------------------------------


def foreign(path: Path) -> None:
    """Write another program's database, in SQLite's usual journal mode."""
    sql(path, "CREATE TABLE recipes (name TEXT)", "INSERT INTO recipes VALUES ('soup')")


def newer(path: Path) -> None:
    """Write a log of a version to come."""
    lw.ExperimentLog(path).close()
    sql(path, "UPDATE luma_meta SET value = '99'", "PRAGMA wal_checkpoint(TRUNCATE)")


def empty(path: Path) -> None:
    """Write a file of no bytes."""
    path.touch()


def text(path: Path) -> None:
    """Write a file that is no database."""
    path.write_text("prompt,duration\n" * 500)


def torn(path: Path) -> None:
    """Write a log of which the second half is garbage."""
    log = lw.ExperimentLog(path)
    for take in range(50):
        log.prepare(lw.Ray2Request(prompt="A cat" * 100), take=take, **CAT)
    log.close()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + b"\xa5" * (len(data) // 2))


def headless(path: Path) -> None:
    """Write a log whose tables are gone."""
    lw.ExperimentLog(path).close()
    sql(path, "DROP TABLE submissions", "PRAGMA wal_checkpoint(TRUNCATE)")


def unmarked(path: Path) -> None:
    """Write a log that does not say of which format it is."""
    lw.ExperimentLog(path).close()
    sql(path, "UPDATE luma_meta SET value = 'x'", "PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (foreign, "another program.*'recipes'.*left as it is"),
        (newer, "newer luma_widgets.*pip install -U"),
        (empty, "is empty.*left as it is"),
        (text, "no log.*left as it is"),
        (torn, "damaged"),
        (headless, "damaged"),
        (unmarked, "damaged"),
    ],
)
def test_D2_what_cannot_be_trusted_is_refused_and_kept(
    tmp_path: Path, make: Callable[[Path], None], words: str
) -> None:
    """The message says what it is and what to do; not a byte of the file changes."""
    path = tmp_path / "luma.sqlite"
    make(path)
    before = digest(path)
    for _ in range(2):
        with pytest.raises(lw.LogError, match=words):
            lw.ExperimentLog(path)
    with pytest.raises(lw.LogError):
        lw.Experiment(client=None, log=path)
    assert digest(path) == before
    left = {entry.name for entry in tmp_path.iterdir()} - {"luma.sqlite"}
    assert all(Path(tmp_path, name).stat().st_size == 0 or name.endswith("-shm") for name in left)


@pytest.mark.parametrize(
    "where", [":memory:", "sqlite://", "sqlite:///:memory:", "mysql://a/b", "::://", "https://a.b"]
)
def test_what_is_no_place_for_a_log(where: str) -> None:
    """A log in memory would forget paid tasks; other databases are not supported."""
    with pytest.raises(lw.LogError):
        lw.ExperimentLog(where)


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    """No folder is created by mistake."""
    with pytest.raises(lw.LogError, match="create it"):
        lw.ExperimentLog(tmp_path / "no" / "luma.sqlite")
    assert not (tmp_path / "no").exists()


def test_A8_a_folder_under_the_name_of_the_log(tmp_path: Path) -> None:
    """A folder is no log, and says so."""
    (tmp_path / "luma.sqlite").mkdir()
    with pytest.raises(lw.LogError, match=r"cannot be (written|used)"):
        lw.ExperimentLog(tmp_path / "luma.sqlite")


def test_a_path_in_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path, ``~``, a Path and a URL name the same file; a new folder changes nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = tmp_path / "a b.sqlite"
    for where in ("a b.sqlite", Path("a b.sqlite"), "~/a b.sqlite", f"sqlite:///{expected}"):
        log = lw.ExperimentLog(where)
        assert log.path == expected
        assert log.name == str(expected)
        monkeypatch.chdir("/")
        assert log.df.empty
        log.close()
        monkeypatch.chdir(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a b.sqlite"]


# Full, locked, read-only -------------------------------------------------------------------


def fill(log: lw.ExperimentLog) -> Callable[[], None]:
    """Make the disk of a log full; return what empties it again."""
    engine = log._database._engine

    def limit(connection: Any, *_: Any) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")

    engine.dispose()
    event.listen(engine, "connect", limit)

    def undo() -> None:
        event.remove(engine, "connect", limit)
        engine.dispose()

    return undo


def test_A8_a_full_disk_is_said(log: lw.ExperimentLog) -> None:
    """Nothing is half written, and the message says what to do."""
    undo = fill(log)

    def write() -> None:
        for take in range(100):
            log.prepare(lw.Ray2Request(prompt="A cat" * 500), take=take, **CAT)

    with pytest.raises(lw.LogError, match=r"disk .* is full"):
        write()
    count = len(log.rows())
    undo()
    assert len(log.rows()) == count
    log.prepare(lw.Ray2Request(prompt="A dog"), **CAT)


def test_A8_a_read_only_file_is_said(log: lw.ExperimentLog, cat: lw.Ray2Request) -> None:
    """A log that became read-only takes no row."""

    def read_only(connection: Any, *_: Any) -> None:
        connection.execute("PRAGMA query_only=1")

    log._database._engine.dispose()
    event.listen(log._database._engine, "connect", read_only)
    with pytest.raises(lw.LogError, match="cannot be written"):
        log.prepare(cat, **CAT)
    assert log.rows() == []


def test_D3_a_lock_that_does_not_end_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cat: lw.Ray2Request
) -> None:
    """After the waiting time the message says that another program holds the log."""
    monkeypatch.setattr("luma_widgets.log.database.BUSY_SECONDS", 0.2)
    log = lw.ExperimentLog(tmp_path / "luma.sqlite")
    with closing(sqlite3.connect(str(log.path), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(lw.LogError, match="locked by another program"):
            log.prepare(cat, **CAT)
    log.prepare(cat, **CAT)
    log.close()


@pytest.mark.parametrize("what", ["deleted", "moved", "replaced"])
def test_a_log_that_lost_its_file_takes_no_row(
    tmp_path: Path, cat: lw.Ray2Request, what: str
) -> None:
    """What would be written into a nameless file would be lost, so it is refused and said."""
    path = tmp_path / "luma.sqlite"
    log = lw.ExperimentLog(path)
    log.prepare(cat, **CAT)
    if what == "deleted":
        path.unlink()
    else:
        path.rename(tmp_path / "other.sqlite")
    if what == "replaced":
        lw.ExperimentLog(path).close()
    with pytest.raises(lw.LogError, match="moved, deleted or replaced"):
        log.prepare(cat, take=1, **CAT)
    if what == "moved":
        (tmp_path / "other.sqlite").rename(path)
        assert log.prepare(cat, take=1, **CAT)[1]
    log.close()


@pytest.mark.parametrize("name", ["a ?#%41&b.sqlite", "mode=ro", "猫.db"])
def test_odd_names_are_names(tmp_path: Path, cat: lw.Ray2Request, name: str) -> None:
    """Characters that mean something in a URL are part of the file's name."""
    for count in (1, 2):
        log = lw.ExperimentLog(tmp_path / name)
        log.prepare(cat, take=count, **CAT)
        assert len(log.rows()) == count
        log.close()
    assert [path.name for path in tmp_path.iterdir()] == [name]


# Formats -----------------------------------------------------------------------------------


def columns(path: Path, table: str) -> dict[str, tuple[str, bool]]:
    """Return the columns of a table: name -> (type, may be NULL)."""
    rows = sql(path, f"PRAGMA table_info({table})")
    return {row[1]: (row[2], not row[3] and not row[5]) for row in rows}


def test_the_tables_are_those_of_the_schema(log: lw.ExperimentLog) -> None:
    """What the migrations build is what the schema says: columns, types, indexes."""
    assert log.path
    with log._database.reading() as connection:
        found = inspect(connection)
        assert set(found.get_table_names()) == set(schema.metadata.tables)
        for table in schema.metadata.tables.values():
            there = {c["name"]: c for c in found.get_columns(table.name)}
            assert there.keys() == set(table.c.keys())
            for column in table.c:
                kind = column.type.compile(dialect=connection.dialect)
                assert str(there[column.name]["type"]) == kind, column
                assert there[column.name]["nullable"] == column.nullable, column
            unique = {u["name"] for u in found.get_unique_constraints(table.name)}
            indexes = {i["name"] for i in found.get_indexes(table.name)}
            named = {str(c.name) for c in table.constraints if c.name}
            assert unique == {name for name in named if not name.endswith("pkey")}
            assert indexes >= {str(index.name) for index in table.indexes}


def test_each_option_has_a_column(log: lw.ExperimentLog) -> None:
    """The columns of the options come from the fields; NULL means older than the option."""
    assert log.path
    there = columns(log.path, "submissions")
    for field in lw.Ray2Request.fields():
        assert there[field.name][1], field.name
    assert there["duration"][0] == "INTEGER"
    assert there["loop"][0] == "BOOLEAN"


def older(path: Path, *missing: str) -> None:
    """Write a log as a version would that did not know some options yet, with two rows."""
    log = lw.ExperimentLog(path)
    for take in range(2):
        row, _ = log.prepare(lw.Ray2Request(prompt="An old cat", duration=9), take=take, **CAT)
    log.transition(row["id"], State.ABANDONED)
    log.close()
    sql(path, *(f"ALTER TABLE submissions DROP COLUMN {name}" for name in missing))


def test_a_log_of_an_older_version_opens(tmp_path: Path) -> None:
    """A missing option column is added; old rows are kept, NULL there, and can be sent again."""
    path = tmp_path / "luma.sqlite"
    older(path, "loop", "resolution")
    log = lw.ExperimentLog(path)
    rows = log.rows()
    assert [row["duration"] for row in rows] == [9, 9]
    assert [(row["loop"], row["resolution"]) for row in rows] == [(None, None)] * 2
    frame = log.df
    assert frame["loop"].isna().all()
    assert str(frame["resolution"].dtype) == "category"
    row, fresh = log.prepare(lw.Ray2Request(prompt="An old cat", duration=9), take=1, **CAT)
    assert (fresh, row["id"]) == (True, rows[1]["id"])
    log.close()
    assert columns(path, "submissions")["loop"] == ("BOOLEAN", True)


def test_the_first_format_of_all_opens(tmp_path: Path) -> None:
    """A log that knows no option at all gets each column."""
    path = tmp_path / "luma.sqlite"
    older(path, *(field.name for field in lw.Ray2Request.fields()))
    log = lw.ExperimentLog(path)
    assert len(log.df) == 2
    assert columns(path, "submissions").keys() >= {f.name for f in lw.Ray2Request.fields()}
    log.close()


def test_a_log_with_columns_of_a_newer_version_opens(tmp_path: Path) -> None:
    """An option that this version does not know is left alone."""
    path = tmp_path / "luma.sqlite"
    older(path)
    sql(path, "ALTER TABLE submissions ADD COLUMN camera TEXT", "UPDATE submissions SET camera='x'")
    log = lw.ExperimentLog(path)
    log.prepare(lw.Ray2Request(prompt="A cat"), **CAT)
    assert len(log.df) == 3
    log.close()
    assert [row[0] for row in sql(path, "SELECT camera FROM submissions")] == ["x", "x", None]


def test_the_steps_of_the_format_are_counted(log: lw.ExperimentLog) -> None:
    """A new log says that it has reached the last step."""
    assert log.path
    rows = sql(log.path, "SELECT value FROM luma_meta WHERE name = 'schema'")
    assert rows == [(str(len(migrations.STEPS)),)]


def test_opening_an_up_to_date_log_changes_nothing(tmp_path: Path) -> None:
    """Opening and reading twice leaves the bytes as they are."""
    path = tmp_path / "luma.sqlite"
    older(path)
    before = digest(path)
    log = lw.ExperimentLog(path)
    assert len(log.df) == 2
    log.close()
    assert digest(path) == before


# Several processes -------------------------------------------------------------------------

WRITER = """
import sys
import luma_widgets as lw
path, who, writes = sys.argv[1], sys.argv[2], int(sys.argv[3])
sys.stdin.readline()
log = lw.ExperimentLog(path)
for take in range(writes):
    log.prepare(lw.Ray2Request(prompt="A cat"), experiment=who, base_url="simulator", take=take)
log.close()
"""


def start(path: Path, who: str, writes: int) -> subprocess.Popen[str]:
    """Start a process that waits for a line, opens the log and writes to it."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), who, str(writes)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def go(processes: list[subprocess.Popen[str]]) -> None:
    """Let the processes run at the same time, and fail if one of them did."""
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        _, complaint = process.communicate(timeout=200)
        assert process.returncode == 0, complaint


def test_D3_eight_processes_write_at_once(tmp_path: Path) -> None:
    """No write is lost, and the revision counts every one of them."""
    path = tmp_path / "luma.sqlite"
    lw.ExperimentLog(path).close()
    go([start(path, f"process {number}", 200) for number in range(8)])
    log = lw.ExperimentLog(path)
    rows = log.rows()
    assert len(rows) == 1600
    assert sorted(row["revision"] for row in rows) == list(range(1, 1601))
    assert {row["experiment"] for row in rows} == {f"process {number}" for number in range(8)}
    log.close()


def test_D3_processes_create_the_same_log_at_once(tmp_path: Path) -> None:
    """The first creates it, the others use it; no draft is left over."""
    path = tmp_path / "luma.sqlite"
    go([start(path, f"process {number}", 3) for number in range(4)])
    log = lw.ExperimentLog(path)
    assert len(log.rows()) == 12
    log.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["luma.sqlite"]


def test_D3_threads_create_and_write_at_once(tmp_path: Path) -> None:
    """Many threads of one process may open and write the same log."""
    path = tmp_path / "luma.sqlite"
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            log = lw.ExperimentLog(path)
            for take in range(5):
                request = lw.Ray2Request(prompt="A cat")
                log.prepare(request, experiment=str(number), base_url="simulator", take=take)
            log.close()
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert failures == []
    log = lw.ExperimentLog(path)
    assert log.revision() == 40
    log.close()


FORK = """
import os, sys
import luma_widgets as lw
log = lw.ExperimentLog(sys.argv[1])
def write(who):
    for take in range(20):
        log.prepare(lw.Ray2Request(prompt="A cat"), experiment=who, base_url="simulator", take=take)
write("before")
children = []
for number in range(3):
    pid = os.fork()
    if not pid:
        try:
            write(f"child {number}")
            os._exit(0)
        finally:
            os._exit(1)
    children.append(pid)
write("parent")
bad = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
owners = {row["owner"] for row in log.rows()}
log.close()
assert bad == [0, 0, 0], bad
assert len(owners) == 4, owners
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_D3_a_fork_opens_its_own_connections(tmp_path: Path) -> None:
    """Parent and children go on writing after a fork, each under its own name."""
    path = tmp_path / "luma.sqlite"
    ran = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    database = Database(path)
    with database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM submissions").scalar() == 100
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    database.close()
