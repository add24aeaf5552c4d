from __future__ import annotations

import pytest

from tests.reference import README, options_table, rendered

pytestmark = pytest.mark.source


def test_the_tables_of_the_readme_are_what_the_code_says():
    """Nobody edits the README's reference tables by hand, and nobody forgets them."""
    text = README.read_text(encoding="utf-8")
    assert rendered(text) == text


def test_a_changed_table_is_noticed():
    """The comparison can fail: a README with another default is not what the code says."""
    text = README.read_text(encoding="utf-8")
    changed = text.replace("| `5` `9` (seconds) | `5` |", "| `5` `9` (seconds) | `9` |")
    assert changed != text
    assert rendered(changed) == text


def test_every_option_has_a_row():
    """The options table has all nine options, in the order of the request."""
    names = [line.split("`")[1] for line in options_table().splitlines()[2:]]
    assert names[:3] == ["prompt", "start_image", "end_image"]
    assert names[-1] == "loop"
    assert len(names) == 9


def test_the_quick_start_has_exactly_two_commands():
    """The first console block is the two commands that set everything up."""
    text = README.read_text(encoding="utf-8")
    block = text.split("## Quick start", 1)[1].split("```console\n", 1)[1].split("```", 1)[0]
    lines = block.strip().splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("luma-widgets demo")
    assert lines[1].endswith("pytest")
    assert all(line.startswith("python3 -m venv .venv && ") for line in lines)


def test_the_ten_lines_of_python_run(tmp_path, monkeypatch):
    """The README's example works as it stands, on the simulator."""
    text = README.read_text(encoding="utf-8")
    code = text.split("```python\n", 1)[1].split("```", 1)[0]
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PIXWITH_API_KEY", raising=False)
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102 - it is our own README
    try:
        assert list(names["exp"].df.state) == ["stored", "stored"]
    finally:
        names["exp"].close()
