"""The table of faults is what the tests say, and no row is forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest

from .table import README, ROWS, WITH_EXPORTS, by_row, cases, rendered, status

COUNTS = {"A": 14, "B": 8, "C": 10, "D": 9, "E": 6}


def test_the_table_is_what_the_tests_say() -> None:
    """Nobody edits it by hand and nobody forgets it; python -m tests.faults.table writes it."""
    assert README.read_text("utf-8") == rendered(cases())


def test_every_row_has_a_test() -> None:
    """A1 to E6 each have one, but for those that come with the exports."""
    wanted = [f"{chapter}{n}" for chapter, count in COUNTS.items() for n in range(1, count + 1)]
    assert list(ROWS) == wanted
    rows = by_row(cases())
    assert {row for row in ROWS if not rows.get(row)} <= WITH_EXPORTS
    assert {status(row, rows[row]) for row in ROWS} >= {"tested", "with the exports"}
    assert "MISSING" not in README.read_text("utf-8")


def test_ids_have_one_spelling_and_tests_say_what_they_hold() -> None:
    """Ids are upper case and name a row; each of these tests has one line of description."""
    for case in cases():
        assert set(case.rows) <= ROWS.keys(), case.name
        assert case.says, case.name
        assert "\n" not in case.says, case.name


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ('def test_A1_x():\n    """Says."""', None),
        ('def test_A99_x():\n    """Says."""', "row"),
        ('def test_a1_x():\n    """Says."""', "row"),
        ("def test_A1_x():\n    pass", "silent"),
    ],
)
def test_a_planted_test_is_noticed(code: str, problem: str | None, tmp_path: Path) -> None:
    """Control: a test changes the table; a wrong id, its lower case and silence are found."""
    planted = tmp_path / "tests" / "test_planted.py"
    planted.parent.mkdir()
    planted.write_text(code)
    (case,) = cases([planted], planted.parent)
    assert (not set(case.rows) <= ROWS.keys()) is (problem == "row")
    assert (not case.says) is (problem == "silent")
    if problem is None:
        assert rendered([*cases(), case]) != rendered(cases())


def test_a_row_without_a_test_is_missing() -> None:
    """Control: a row that loses its last test is said to be missing."""
    assert status("A1", []) == "MISSING"
    assert "| A1 |" in rendered([])
    assert rendered([]).count("MISSING") == len(ROWS) - len(WITH_EXPORTS)
