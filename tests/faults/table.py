"""Writes the table of faults and their tests: ``python -m tests.faults.table``.

A test belongs to the rows that its name begins with: ``test_A6_A11_...`` to A6 and A11. ``--check``
changes nothing and fails when ``tests/faults/README.md`` differs; a test does the same.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parent.parent
README = Path(__file__).parent / "README.md"
LATER = "with the exports"
_NAME = re.compile(r"test_((?:[A-Ea-e]\d+_)+)")

CHAPTERS = {
    "A": "The paid request",
    "B": "Secrets",
    "C": "Hostile answers and downloads",
    "D": "Log and exports",
    "E": "Life cycle",
}
ROWS = {
    "A1": "The connection ends or times out after the service accepted",
    "A2": "TLS breaks after the service accepted",
    "A3": "An answer that proves neither success nor refusal",
    "A4": "No connection, no name, no trusted certificate",
    "A5": "429 with a hostile Retry-After",
    "A6": "Killed (SIGKILL) at any moment",
    "A7": "Interrupted while a paid request is on its way",
    "A8": "The disk is full or read-only before the request",
    "A9": "The disk is full after the request",
    "A10": "Double click, cell run again, Restart and Run All",
    "A11": "Two kernels; recovery meets a live owner",
    "A12": "PostgreSQL: the answer of COMMIT is lost",
    "A13": "An outage with 1,000 tasks",
    "A14": "Invalid options by any route",
    "B1": "A redirect to another host",
    "B2": "The key sent to storage or CDN",
    "B3": "netrc, proxy variables, an http base URL",
    "B4": "The key in exception, traceback, repr, pickle or debug log",
    "B5": "A malformed key",
    "B6": "The key in widget state, saved notebook, nbconvert or embed",
    "B7": "The key, an upload's policy or signature in log, export or bundle",
    "B8": "Binder",
    "C1": "Hostile JSON",
    "C2": "A gzip bomb, an endless body",
    "C3": "Headers or a body that drip",
    "C4": "A download that is cut off",
    "C5": "Hostile file names",
    "C6": "file://, private addresses, redirects to this machine",
    "C7": "A result's address that has expired",
    "C8": "HTML or scripts in prompt, message, address or file name",
    "C9": "Hostile presigned uploads and pictures",
    "C10": "Unknown status, thousands of results",
    "D1": "Power loss",
    "D2": "A corrupt, empty, foreign or newer log",
    "D3": "A locked log, two kernels, a fork, a network file system",
    "D4": "Broken text, control characters, 100,000 characters",
    "D5": "Formulas in CSV and Excel",
    "D6": "The limits of Excel",
    "D7": "Clock jumps and time zones",
    "D8": "An export that is interrupted",
    "D9": "Pickle, eval, a shell, SQL built from text",
    "E1": "The kernel restarts while tasks run",
    "E2": "The background work dies, or blocks the exit",
    "E3": "A task that never ends",
    "E4": "The simulator reachable from outside",
    "E5": "The simulator taken for the service",
    "E6": "A dependency with a known fault",
}
# Rows whose feature comes later; they are tested there, and that work is not done without them.
WITH_EXPORTS = frozenset({"A12", "D5", "D6", "D8"})
NOTES = {
    "A6": "The long measurement, 200 kills of one program and 200 of four, is `pytest -m soak`.",
    "B7": "The bundle is tested with the exports.",
    "D1": "The power is not cut here. What is tested is that the log's last write is synced before "
    "the first byte leaves, by a record of the system calls.",
    "D3": "No network file system is mounted here: SQLite's answers there are played.",
    "E6": "The advisory service does not answer everywhere, so the audit is a command of its own, "
    "`python -m tests.supply_chain audit`; its wrapper is tested with a pip-audit that is played.",
}


@dataclass(frozen=True)
class Case:
    """A test, and the rows it belongs to."""

    rows: tuple[str, ...]
    name: str
    place: str
    says: str


def cases(files: Iterable[Path] | None = None, root: Path = TESTS) -> Iterator[Case]:
    """Read the tests that carry a row in their name, in the order of their files."""
    for path in sorted(root.rglob("test_*.py")) if files is None else files:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.FunctionDef):
                continue
            if found := _NAME.match(node.name):
                rows = tuple(found[1].strip("_").split("_"))
                says = (ast.get_docstring(node) or "").strip()
                yield Case(rows, node.name, str(path.relative_to(root.parent)), says)


def by_row(found: Iterable[Case]) -> dict[str, list[Case]]:
    """Sort tests by row."""
    rows: dict[str, list[Case]] = defaultdict(list)
    for case in found:
        for row in case.rows:
            rows[row].append(case)
    return rows


def status(row: str, tests: list[Case]) -> str:
    """Say how a row stands."""
    if row in WITH_EXPORTS:
        return LATER
    if not tests:
        return "MISSING"
    return f"tested; the bundle {LATER}" if row == "B7" else "tested"


def rendered(found: Iterable[Case]) -> str:
    """Return the whole page."""
    rows = by_row(found)
    lines = [
        "# Faults and their tests",
        "",
        "<!-- Written by python -m tests.faults.table; do not edit. -->",
        "",
        "What luma_widgets survives, and the tests that hold it to that. A test carries the ids",
        f'of its rows in its name. "{LATER.capitalize()}" are rows whose feature comes later.',
        "",
        "| row | fault | tests | status |",
        "|---|---|---|---|",
    ]
    for row, fault in ROWS.items():
        tests = rows.get(row, [])
        lines.append(f"| {row} | {fault} | {len(tests)} | {status(row, tests)} |")
    chapter = ""
    for row, fault in ROWS.items():
        if row[0] != chapter:
            chapter = row[0]
            lines += ["", f"## {chapter}. {CHAPTERS[chapter]}"]
        lines += ["", f"### {row}. {fault}", ""]
        lines += [NOTES[row], ""] if row in NOTES else []
        tests = rows.get(row, [])
        lines += [f"- `{case.place}` `{case.name}`: {case.says}" for case in tests]
        if not tests:
            lines.append(f"To be tested {LATER}.")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write or check the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    new = rendered(cases())
    if README.exists() and README.read_text("utf-8") == new:
        return 0
    if check:
        sys.stderr.write("tests/faults/README.md is out of date: python -m tests.faults.table\n")
        return 1
    README.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
