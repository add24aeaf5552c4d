"""The log as a DataFrame: right types, a stable order, and the same however it was read."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import luma_widgets as lw
from luma_widgets.log import State
from luma_widgets.log.frame import COLUMNS, LogFrame

CAT = {"experiment": "cats", "base_url": "simulator"}
TYPES = {
    "id": "string",
    "created_at": "datetime64[us, UTC]",
    "state": "category",
    "prompt": "string",
    "start_image": "string",
    "end_image": "string",
    "model_id": "category",
    "prompt_optimization": "boolean",
    "aspect_ratio": "category",
    "resolution": "category",
    "duration": "Int64",
    "loop": "boolean",
    "task_id": "string",
    "estimated_time": "Int64",
    "elapsed": "Float64",
    "result_urls": "object",
    "files": "object",
    "error": "string",
    "experiment": "string",
    "base_url": "string",
    "version": "string",
    "credits_before": "Float64",
    "credits_after": "Float64",
    "rating": "Int64",
    "note": "string",
    "tags": "object",
}


def types(frame: pd.DataFrame) -> dict[str, str]:
    """Return the dtype of each column in words; pandas calls a dtype of text by two names."""
    return {
        name: str(kind).replace("str", "string") if str(kind) == "str" else str(kind)
        for name, kind in frame.dtypes.items()
    }


def add(log: lw.ExperimentLog, take: int | str = 0, **options: Any) -> str:
    """Put a row on disk; return its id."""
    values = {"prompt": "A cat", **options}
    return str(log.prepare(lw.Ray2Request(**values), take=take, **CAT)[0]["id"])


def change(log: lw.ExperimentLog, statement: str, *values: Any) -> None:
    """Change the file without the package, as a newer version or damage would."""
    with closing(sqlite3.connect(str(log.path))) as connection, connection:
        revision = connection.execute("SELECT max(revision) + 1 FROM submissions").fetchone()[0]
        connection.execute(
            f"UPDATE submissions SET revision = {revision}, {statement}",  # noqa: S608 - our own
            values,
        )


def test_the_columns_stand_in_the_documented_order(log: lw.ExperimentLog) -> None:
    """The first columns of the DataFrame are those of the documentation, and never move."""
    documented = [
        "id",
        "created_at",
        "state",
        "prompt",
        "start_image",
        "end_image",
        "model_id",
        "prompt_optimization",
        "aspect_ratio",
        "resolution",
        "duration",
        "loop",
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
    ]
    assert list(COLUMNS) == documented
    assert list(log.df.columns) == documented
    add(log)
    assert list(log.df.columns) == documented


def test_the_types_are_right_with_and_without_rows(log: lw.ExperimentLog) -> None:
    """An empty log has the same types as a full one, so code can be written before data."""
    assert types(log.df) == TYPES
    assert len(log.df) == 0
    for take in range(3):
        add(log, take)
    assert types(log.df) == TYPES
    assert log.df["created_at"].dt.tz is not None


def test_values_come_as_they_are(log: lw.ExperimentLog) -> None:
    """A finished row shows every value with its type; what is not known is missing."""
    row_id = add(log, duration=9, loop=True, image_urls=["https://a.b/c.png"])
    log.begin_sending(row_id)
    sent = log.get(row_id)["sent_at"]
    log.transition(row_id, State.PROCESSING, task_id="t1", estimated_time=42, credits_before=100.5)
    log.transition(
        row_id, State.COMPLETED, result_urls=["https://a.b/1"], finished_at=sent + 1_500_000
    )
    log.transition(row_id, State.STORED, files=["luma-files/t1-0.mp4"], tags=["x"], rating=4)
    (row,) = log.df.to_dict("records")
    assert (row["state"], row["duration"], row["loop"]) == ("stored", 9, True)
    assert (row["task_id"], row["estimated_time"], row["elapsed"]) == ("t1", 42, 1.5)
    assert (row["result_urls"], row["files"]) == (["https://a.b/1"], ["luma-files/t1-0.mp4"])
    assert (row["credits_before"], row["rating"], row["tags"]) == (100.5, 4, ["x"])
    assert row["start_image"] == "https://a.b/c.png"
    assert all(pd.isna(row[name]) for name in ("end_image", "credits_after", "note", "error"))
    age = pd.Timestamp.now(tz="UTC") - row["created_at"]
    assert pd.Timedelta(0) <= age < pd.Timedelta(minutes=5)


def test_choices_are_categories_in_their_own_order(log: lw.ExperimentLog) -> None:
    """Grouping and sorting follow the declaration, not the alphabet."""
    add(log)
    ratios = next(f for f in lw.Ray2Request.fields() if f.name == "aspect_ratio").choices
    assert list(log.df["aspect_ratio"].cat.categories) == list(ratios)
    assert list(log.df["state"].cat.categories) == [state.value for state in State]


def test_rows_come_oldest_first_and_by_experiment(log: lw.ExperimentLog) -> None:
    """The order is that of creation, also after changes; an experiment sees its own rows."""
    ids = [add(log, take) for take in range(4)]
    log.prepare(lw.Ray2Request(prompt="A dog"), experiment="dogs", base_url="simulator")
    log.annotate(ids[0], note="changed last")
    assert list(log.df["id"][:4]) == ids
    assert list(log.frame("cats")["id"]) == ids
    assert list(log.frame("dogs")["prompt"]) == ["A dog"]
    assert list(log.frame("dogs").index) == [0]
    assert log.frame("none").empty
    assert types(log.frame("none")) == TYPES


def test_a_frame_is_the_callers_own(log: lw.ExperimentLog) -> None:
    """Whatever is done to a returned frame, the next one is that of the log."""
    row_id = add(log)
    log.annotate(row_id, tags=["a"])
    frame = log.df
    frame["tags"][0].append("b")
    frame["extra"] = 1
    frame.loc[0, "prompt"] = "changed"
    frame.pop("prompt")
    assert log.df.loc[0, "prompt"] == "A cat"
    assert log.df.loc[0, "tags"] == ["a"]
    assert "extra" not in log.df


def test_variables_become_columns(log: lw.ExperimentLog) -> None:
    """Template variables and sweep axes stand behind the others, in the order they came."""
    cat = lw.Ray2Request(prompt="A cat")
    log.prepare(cat, take=0, **CAT)
    log.prepare(cat, take=1, variables={"animal": "cat", "id": 7}, **CAT)
    log.prepare(cat, take=2, variables={"speed": 1.5}, **CAT)
    frame = log.df
    assert list(frame.columns) == [*COLUMNS, "animal", "variable id", "speed"]
    assert frame["animal"].tolist()[1] == "cat"
    assert frame["animal"].isna().tolist() == [True, False, True]
    assert frame["variable id"].tolist()[1] == 7


def test_only_what_changed_is_read_again(log: lw.ExperimentLog) -> None:
    """A second look at a log without changes reads no row, one change reads one."""
    for take in range(5):
        add(log, take)
    read: list[int] = []

    def counting(columns: list[str], since: int) -> list[Any]:
        rows = log._raw(columns, since)
        read.append(len(rows))
        return rows

    frame = LogFrame(counting)
    frame.read()
    frame.read()
    log.annotate(log.rows()[2]["id"], note="x")
    assert frame.read()["note"][2] == "x"
    assert read == [5, 0, 1]


# One bad row -------------------------------------------------------------------------------

DAMAGE = [
    ("prompt = CAST(x'41ff42' AS TEXT)", "prompt"),
    ("prompt = CAST(x'eda080' AS TEXT)", "prompt"),  # a lone surrogate
    ("prompt = x'00ff'", "prompt"),
    ("duration = 'long'", "duration"),
    ("duration = 5.5", "duration"),
    ("loop = 'perhaps'", "loop"),
    ("created_at = 'yesterday'", "created_at"),
    ("created_at = 9223372036854775807", "created_at"),
    ("sent_at = 'x', finished_at = 5", "elapsed"),
    ("files = '[not json'", "files"),
    ("files = '{\"a\": 1}'", "files"),
    ("variables = '[1, 2]'", "tags"),
    ("variables = 'x'", "tags"),
    ("credits_before = 'much'", "credits_before"),
    ("state = x'ff'", "state"),
    ("aspect_ratio = 5", "aspect_ratio"),
]


@pytest.mark.parametrize(("damage", "column"), DAMAGE)
def test_D4_a_damaged_row_hides_no_other(log: lw.ExperimentLog, damage: str, column: str) -> None:
    """Rows and DataFrame show every row; the types stay, and the other rows are untouched."""
    bad, good = add(log, 0), add(log, 1)
    healthy = log.df.iloc[1].to_dict()
    change(log, f"{damage} WHERE id = ?", bad)
    fresh = lw.ExperimentLog(log.path or "")
    for frame in (log.df, fresh.df):
        assert list(frame["id"]) == [bad, good]
        assert types(frame) == TYPES
        assert str(frame.iloc[1].to_dict()) == str(healthy)
        frame.to_csv()
    assert [row["id"] for row in fresh.rows()] == [bad, good]
    assert [row["id"] for row in log.rows()] == [bad, good]
    fresh.close()


@pytest.mark.parametrize(
    ("column", "value"), [("state", "paused"), ("aspect_ratio", "2:1"), ("model_id", "9-9")]
)
def test_a_value_of_a_newer_version_is_shown(
    log: lw.ExperimentLog, column: str, value: str
) -> None:
    """A choice that this version does not know is one more category, behind the known ones."""
    first, second = add(log, 0), add(log, 1)
    known = list(log.df[column].cat.categories)
    change(log, f"{column} = ? WHERE id = ?", value, first)
    frame = log.df
    assert frame[column].tolist()[0] == value
    assert list(frame[column].cat.categories) == [*known, value]
    log.annotate(second, note="x")
    assert list(log.df[column].cat.categories) == [*known, value]
    fresh = lw.ExperimentLog(log.path or "")
    pd.testing.assert_frame_equal(log.df, fresh.df)
    fresh.close()


# The same however it was read --------------------------------------------------------------

steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "move", "note", "odd", "read"]),
        st.integers(0, 5),
        st.text(max_size=3),
    ),
    max_size=25,
)


@settings(max_examples=40)
@given(steps)
def test_the_incremental_frame_equals_a_full_read(plan: list[tuple[str, int, str]]) -> None:
    """After any sequence of changes and looks, values, types, order and categories are equal."""
    with tempfile.TemporaryDirectory() as folder:
        log = lw.ExperimentLog(Path(folder) / "luma.sqlite")
        for number, (what, which, words) in enumerate(plan):
            rows = log.rows()
            row_id = rows[which % len(rows)]["id"] if rows else "none"
            if what == "add":
                variables = {words: which} if which > 2 else {}
                values = {"take": number, "variables": variables, **CAT}
                log.prepare(lw.Ray2Request(prompt="A cat", duration=(5, 9)[which % 2]), **values)
            elif what == "move":
                log.transition(row_id, (State.ABANDONED, State.PREPARED)[which % 2])
            elif what == "note":
                log.annotate(row_id, note=words, tags=[words])
            elif what == "odd" and rows:
                change(log, "model_id = ? WHERE id = ?", f"9-{which}", row_id)
            else:
                _ = log.df
        fresh = lw.ExperimentLog(log.path or "")
        pd.testing.assert_frame_equal(log.df, fresh.df)
        for frame in (log, fresh):
            frame.close()
