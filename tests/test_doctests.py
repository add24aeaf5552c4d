"""The examples in the docstrings run as they stand."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import luma_widgets as lw

# Programs, not modules: importing the first one runs it.
_LEFT_OUT = {"luma_widgets.__main__"}
MODULES = [
    module.name
    for module in pkgutil.walk_packages(lw.__path__, "luma_widgets.")
    if module.name not in _LEFT_OUT
]


@pytest.fixture
def names(tmp_path, monkeypatch) -> Iterator[dict[str, object]]:
    """Return what the examples may use: an experiment on a fast simulator, and a request."""
    monkeypatch.chdir(tmp_path)
    with (
        lw.Simulator(speed=200) as simulator,
        simulator.client() as client,
        lw.Experiment("examples", client=client) as experiment,
    ):
        request = lw.Ray2Request(prompt="A cat walking in the garden")
        yield {"lw": lw, "experiment": experiment, "request": request}


@pytest.mark.parametrize("name", ["luma_widgets", *MODULES])
def test_the_examples_run(name, names):
    """Every example of the module gives the output that its docstring shows."""
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for example in finder.find(module, extraglobs=names):
        assert "+SKIP" not in (example.docstring or "")
        runner.run(example)
    assert runner.summarize().failed == 0


def test_the_package_has_examples():
    """The check above cannot pass for want of examples."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    modules = [importlib.import_module(name) for name in MODULES]
    assert sum(len(t.examples) for m in modules for t in finder.find(m)) > 40
