"""Notebooks made of text: cells are separated by lines that hold only ``# %%``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import nbformat


def cells_of(text: str) -> list[str]:
    """Split a text into cells."""
    return [cell.strip("\n") for cell in text.split("\n# %%\n")]


def write(path: Path, cells: Iterable[str]) -> None:
    """Write a notebook of code cells."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, path)
