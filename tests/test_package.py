from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

import luma_widgets as lw


@pytest.mark.parametrize("name", [name for name in lw.__all__ if name != "__version__"])
def test_every_public_name_loads_and_is_documented(name):
    """Each name of the package can be had, and its docstring says what it is."""
    thing = getattr(lw, name)
    assert inspect.getdoc(thing)
    assert name in dir(lw)


def test_an_unknown_name_is_an_attribute_error():
    """A misspelt name is refused as for any module."""
    with pytest.raises(AttributeError, match="no attribute 'Studioo'"):
        _ = lw.Studioo


def test_the_version_comes_from_one_place():
    """What pip knows is what the package says."""
    assert version("luma-widgets") == lw.__version__


def test_the_command_is_installed():
    """The entry point ``luma-widgets`` is the command line's main function."""
    (command,) = entry_points(group="console_scripts", name="luma-widgets")
    assert command.value == "luma_widgets.cli:main"


def test_the_package_is_typed_and_brings_its_static_files():
    """Type checkers use our annotations, and each widget finds its script and style."""
    folder = Path(lw.__file__).parent
    assert (folder / "py.typed").exists()
    stems = {path.stem for path in (folder / "widgets" / "static").glob("*.js")}
    assert {"form", "key", "queue", "results"} <= stems


def test_import_loads_nothing_heavy():
    """``import luma_widgets`` leaves pandas, SQLAlchemy, requests and the widgets alone."""
    code = (
        "import sys, luma_widgets;"
        "print([m for m in ('pandas','sqlalchemy','requests','ipywidgets','anywidget','numpy') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_names_have_one_home_each():
    """The lazy table names modules that exist and define the name."""
    for name, home in lw._HOME.items():
        module = importlib.import_module(f"luma_widgets.{home}")
        assert hasattr(module, name)
