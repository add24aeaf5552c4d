from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

import luma_widgets as lw
from luma_widgets.log.rows import T

ROWS = 300


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """Return a closed log with many rows."""
    path = tmp_path / "luma.sqlite"
    log = lw.ExperimentLog(path)
    request = lw.Ray2Request(prompt="A cat " * 40)
    for take in range(ROWS):
        log.prepare(request, experiment="cats", base_url="simulator", take=take)
    log.close()
    return path


def test_a_sound_log_reads_the_same_either_way(filled: Path) -> None:
    """What ``read_log`` returns equals the log's own DataFrame, columns and types included."""
    log = lw.ExperimentLog(filled)
    expected = log.df
    log.close()
    frame = lw.read_log(filled)
    assert frame.equals(expected)
    assert list(frame.dtypes) == list(expected.dtypes)
    assert frame.attrs["complete"] is True


def test_D2_what_is_readable_of_a_damaged_log_is_saved(filled: Path) -> None:
    """Pages in the middle are gone: opening refuses and says how to read the rest, which works."""
    size = filled.stat().st_size
    with filled.open("r+b") as file:
        file.seek(size // 2)
        file.write(os.urandom(8192))
    before = filled.read_bytes()
    with pytest.raises(lw.LogError, match="read_log") as caught:
        lw.ExperimentLog(filled)
    assert "damaged" in str(caught.value)
    frame = lw.read_log(filled)
    assert 0 < len(frame) < ROWS
    assert frame.attrs["complete"] is False
    assert frame["id"].is_unique
    assert filled.read_bytes() == before


def test_D2_a_newer_log_is_refused_and_can_be_read(filled: Path) -> None:
    """A log of a later version, with a column of its own, opens read-only with what is known."""
    with sqlite3.connect(filled) as connection:
        connection.execute("ALTER TABLE submissions ADD COLUMN camera TEXT")
        connection.execute("UPDATE luma_meta SET value = '99' WHERE name = 'schema'")
    connection.close()
    with pytest.raises(lw.LogError, match=r"newer luma_widgets.*read_log"):
        lw.ExperimentLog(filled)
    frame = lw.read_log(filled)
    assert len(frame) == ROWS
    assert "camera" not in frame.columns


def test_D2_a_log_without_an_option_reads_it_as_missing(filled: Path) -> None:
    """A log older than an option shows it as missing, for it was not sent."""
    with sqlite3.connect(filled) as connection:
        connection.execute('ALTER TABLE submissions DROP COLUMN "loop"')
    connection.close()
    assert lw.read_log(filled)["loop"].isna().all()


@pytest.mark.parametrize(
    "content", [b"", b"not a database at all", b"SQLite format 3\0" + b"x" * 99]
)
def test_D2_what_is_no_log_says_so(tmp_path: Path, content: bytes) -> None:
    """Nothing can be read of what is no log; the message names the file."""
    path = tmp_path / "other.sqlite"
    path.write_bytes(content)
    with pytest.raises(lw.LogError, match=r"other\.sqlite"):
        lw.read_log(path)
    assert path.read_bytes() == content


def test_a_missing_file_is_not_created(tmp_path: Path) -> None:
    """Reading creates nothing."""
    with pytest.raises(lw.LogError, match="There is no file"):
        lw.read_log(tmp_path / "no.sqlite")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "fuse.sshfs"])
def test_D3_a_network_drive_is_refused_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """On a file system whose locks do not hold, no log is opened and none is created."""
    root = SimpleNamespace(mountpoint="/", fstype="ext4")
    drive = SimpleNamespace(mountpoint=str(tmp_path), fstype=kind)
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: [root, drive])
    with pytest.raises(lw.LogError, match=r"network drive.*local disk"):
        lw.ExperimentLog(tmp_path / "luma.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_D3_a_local_disk_below_a_network_drive_is_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nearest mount decides."""
    drive = SimpleNamespace(mountpoint="/", fstype="nfs")
    disk = SimpleNamespace(mountpoint=str(tmp_path), fstype="ext4")
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: [drive, disk])
    lw.ExperimentLog(tmp_path / "luma.sqlite").close()


def test_every_column_that_is_shown_can_be_read() -> None:
    """The reader takes its columns from the same list as the DataFrame."""
    from luma_widgets.log.frame import READ

    assert set(READ) <= {column.name for column in T.c}
