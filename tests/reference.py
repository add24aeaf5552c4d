"""Writes the reference tables of the README from the code: ``python -m tests.reference``.

``--check`` changes nothing and fails when the README differs; a test does the same.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

from luma_widgets.cli import _EXIT_CODES
from luma_widgets.fields import Field
from luma_widgets.log import WORDS, State
from luma_widgets.request import Ray2Request

README = Path(__file__).parent.parent / "README.md"


def options_table() -> str:
    """Return a row for each option of a request."""
    lines = ["| option | values | default | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{field.name}` | {_values(field)} | {_default(field)} | {_cell(field.help)} |"
        for field in Ray2Request.fields()
    ]
    return "\n".join(lines)


def states_table() -> str:
    """Return a row for each state of a submission."""
    lines = ["| `state` | in words |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{state}` | {WORDS[state]} |" for state in State)])


def exit_codes() -> str:
    """Return a row for each exit code of ``luma-widgets generate``."""
    lines = ["| exit code | meaning |", "|---|---|"]
    for line in _EXIT_CODES.splitlines()[1:]:
        code, _, meaning = line.strip().partition("  ")
        lines.append(f"| {code} | {meaning} |")
    return "\n".join(lines)


TABLES: dict[str, Callable[[], str]] = {
    "options": options_table,
    "states": states_table,
    "exit codes": exit_codes,
}


def rendered(text: str) -> str:
    """Return the README with every table as the code says."""
    for name, table in TABLES.items():
        pattern = re.compile(f"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, count = pattern.subn(lambda m, t=table: f"{m[1]}{t()}\n{m[2]}", text)
        if count != 1:
            raise SystemExit(f"README.md must have the marks of the table {name!r} once")
    return text


def _values(field: Field) -> str:
    if field.choices:
        unit = f" ({field.unit})" if field.unit else ""
        return " ".join(f"`{choice}`" for choice in field.choices) + unit
    return {"flag": "`True` `False`", "url": "http(s) address", "text": "text"}[field.kind]


def _default(field: Field) -> str:
    if field.default in (None, ""):
        return "none"
    return f"`{field.default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Write or check the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    text = README.read_text(encoding="utf-8")
    new = rendered(text)
    if new == text:
        return 0
    if check:
        sys.stderr.write("README.md is out of date; run: python -m tests.reference\n")
        return 1
    README.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
