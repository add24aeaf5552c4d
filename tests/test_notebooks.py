from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_notebook_is_committed_clean(name):
    """No outputs, no execution counts and no saved widgets of somebody's machine."""
    notebook = nbformat.read(FOLDER / name, as_version=4)
    nbformat.validate(notebook)
    assert "widgets" not in notebook.metadata
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_notebook_runs_top_to_bottom_without_a_key(name, tmp_path, monkeypatch):
    """Every cell runs on the simulator; run again, no cell makes another video."""
    monkeypatch.chdir(tmp_path)
    first = run(name, tmp_path)
    made = len(list((tmp_path / "luma-files").glob("*.mp4")))
    assert made >= 2
    second = run(name, tmp_path)
    assert len(list((tmp_path / "luma-files").glob("*.mp4"))) == made
    for notebook in (first, second):
        assert not [cell for cell in notebook.cells if "error" in kinds(cell)]


def test_the_saved_quickstart_is_small_and_holds_no_video(tmp_path):
    """Executed with its widget state, the notebook holds posters but no clip."""
    notebook = run("quickstart.ipynb", tmp_path)
    text = json.dumps(notebook)
    assert "ftyp" not in text
    assert "AAAAIGZ0eXA" not in text  # an MP4's beginning in base64
    assert len(text) < 400_000


def kinds(cell) -> set[str]:
    return {output.output_type for output in cell.get("outputs", [])}


def run(name: str, folder: Path):
    notebook = nbformat.read(FOLDER / name, as_version=4)
    client = NotebookClient(notebook, timeout=180, resources={"metadata": {"path": str(folder)}})
    client.execute()
    return notebook
