"""The map of the house: who may import whom, how large rooms are, and what an import costs."""

from __future__ import annotations

import ast
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import luma_widgets

ROOT = Path(luma_widgets.__file__).parent
HEAVY = ("pandas", "sqlalchemy", "requests", "ipywidgets", "anywidget", "numpy", "IPython", "av")


def name_of(path: Path) -> str:
    """Return a module's name below the package, such as ``log.frame``; the package's own is ""."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports(module: str) -> Iterator[str]:
    """Yield what a module imports when it runs: ``.x`` for one of ours, else the full name.

    Imports inside functions count; those for type checkers do not.
    """
    for node in running(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""
        elif isinstance(node, ast.ImportFrom):
            yield from ("." + name for name in relative(module, node))


def running(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below one, without what stands under ``if TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from running(child)


def relative(module: str, node: ast.ImportFrom) -> Iterator[str]:
    """Yield the modules of the package that a relative import means."""
    is_package = MODULES[module].name == "__init__.py"
    parts = module.split(".") if module else []
    here = parts if is_package else parts[:-1]
    above = here[: len(here) - node.level + 1]
    base = ".".join([*above, *(node.module.split(".") if node.module else [])])
    for alias in node.names:
        inner = f"{base}.{alias.name}".lstrip(".")
        yield inner if inner in MODULES else base


@cache
def ours(module: str) -> frozenset[str]:
    """Return the modules of the package that a module imports."""
    return frozenset(name[1:] for name in imports(module) if name.startswith(".")) - {module}


@cache
def foreign(module: str) -> frozenset[str]:
    """Return the top-level names of other packages that a module imports."""
    return frozenset(name.split(".")[0] for name in imports(module) if not name.startswith("."))


def everything_below(module: str) -> set[str]:
    """Return all modules that come in with a module, the package's own door left out."""
    found: set[str] = set()
    todo = [module]
    while todo:
        for name in ours(todo.pop()) - found - {""}:
            found.add(name)
            todo.append(name)
    return found


def in_room(module: str, *rooms: str) -> bool:
    """Tell whether a module is one of some rooms, or within one."""
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def who_imports(library: str) -> set[str]:
    """Return the modules that import another package."""
    return {module for module in MODULES if library in foreign(module)}


# Who may import whom -----------------------------------------------------------------------


def test_the_reader_of_imports_sees_what_it_should() -> None:
    """Control: known imports of each form are found, and those for type checkers are not."""
    assert "log" in ours("experiment")
    assert "media.images" in ours("experiment")
    assert "log.rows" in ours("log.ledger")
    assert "request" in ours("log.schema")
    assert "pandas" in foreign("log.frame")
    assert "pandas" not in foreign("log.store")
    assert "log.frame" in ours("log.store")
    assert "experiment" not in ours("submission")


def test_there_are_no_cycles() -> None:
    """Whatever a module needs, it never needs itself; imports inside functions included."""
    assert [module for module in MODULES if module and module in everything_below(module)] == []


def test_the_request_knows_only_fields_and_errors() -> None:
    """The one source of truth depends on nothing that is derived from it."""
    assert ours("errors") == frozenset()
    assert ours("fields") <= {"errors"}
    assert everything_below("request") <= {"fields", "errors", "payloads"}


def test_nothing_below_the_client_knows_a_log() -> None:
    """The client and what it stands on could be used without log, experiment or widgets."""
    below = everything_below("client")
    upper = ("log", "experiment", "overview", "sender", "watcher", "context", "submission")
    assert not {name for name in below if in_room(name, *upper, "widgets", "simulator", "service")}


def test_the_log_knows_no_client() -> None:
    """A log can be opened, read and shared where nothing can be sent."""
    below = set().union(*(everything_below(name) for name in MODULES if in_room(name, "log")))
    assert {name for name in below if not in_room(name, "log")} <= {
        "errors",
        "fields",
        "payloads",
        "request",
    }


def test_nothing_below_the_experiment_knows_a_widget() -> None:
    """Everything that a widget can do is done without one."""
    assert not {name for name in everything_below("experiment") if in_room(name, "widgets")}
    users = {m for m in MODULES if any(in_room(name, "widgets") for name in ours(m))}
    doors = ("widgets", "magics", "cli", "commands", "__main__")
    assert {name for name in users if not in_room(name, *doors)} == set()


def test_the_simulator_knows_no_client() -> None:
    """The simulator is the other side of the wire: it shares the declared options only."""
    below: set[str] = set()
    for module in MODULES:
        if in_room(module, "simulator"):
            below |= everything_below(module)
    assert {name for name in below if not in_room(name, "simulator")} <= {
        "config",
        "errors",
        "fields",
        "payloads",
        "request",
        "strictjson",
        "threads",
    }


@pytest.mark.parametrize(
    ("library", "rooms"),
    [
        ("pandas", ("log.frame",)),
        ("sqlalchemy", ("log",)),
        ("sqlite3", ("log", "simulator.state")),
        ("psutil", ("log.owners", "log.database")),
        ("anywidget", ("widgets",)),
        ("ipywidgets", ("widgets",)),
        ("IPython", ("magics", "widgets")),
        ("av", ("simulator", "widgets.posters")),
        ("werkzeug", ("simulator",)),
        ("numpy", ("simulator",)),
        ("PIL", ("simulator", "widgets", "media")),
        ("requests", ("transport",)),
        ("urllib3", ("transport",)),
        ("pickle", ()),
    ],
)
def test_each_library_has_its_rooms(library: str, rooms: tuple[str, ...]) -> None:
    """A heavy or foreign library is imported only where it belongs."""
    assert {name for name in who_imports(library) if not in_room(name, *rooms)} == set()


# How large rooms are -----------------------------------------------------------------------


def test_modules_are_small() -> None:
    """No module is above 350 lines, and half of them are at most 120."""
    sizes = {name: len(path.read_text("utf-8").splitlines()) for name, path in MODULES.items()}
    assert {name: size for name, size in sizes.items() if size > 350} == {}
    assert statistics.median(sizes.values()) <= 120


def test_functions_are_short() -> None:
    """Nine of ten functions have at most 30 lines, their docstrings included."""
    sizes = sorted(
        (node.end_lineno or 0) - node.lineno + 1
        for path in MODULES.values()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert sizes[int(len(sizes) * 0.9)] <= 30


def test_every_import_is_known_to_the_map() -> None:
    """A relative import never leads out of the package or to a module that is not there."""
    for module in MODULES:
        assert ours(module) <= MODULES.keys(), module


# What an import costs ----------------------------------------------------------------------


def loaded(code: str) -> set[str]:
    """Return the top-level packages that are loaded after some code, in a new process."""
    shown = f"{code}\nimport sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    ran = subprocess.run(
        [sys.executable, "-c", shown], capture_output=True, text=True, check=True, timeout=100
    )
    return set(ran.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import luma_widgets",
        "import luma_widgets; dir(luma_widgets); luma_widgets.__version__",
        "import luma_widgets; luma_widgets.Ray2Request(prompt='x').payload()",
        "import luma_widgets.simulator",
        "from luma_widgets.config import Settings; Settings.load()",
    ],
)
def test_light_imports_load_nothing_heavy(code: str) -> None:
    """What needs no log, no network and no widget does not wait for them."""
    assert not loaded(code) & {*HEAVY, "PIL", "werkzeug", "hypothesis"}


def test_the_loaded_packages_are_seen() -> None:
    """Control: a heavy part is seen when it is used."""
    assert "sqlalchemy" in loaded("import luma_widgets; luma_widgets.ExperimentLog")


def processor_time(code: str) -> float:
    """Return the seconds of processor time that a new process takes for some code."""
    child = subprocess.Popen([sys.executable, "-c", code])
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    return usage.ru_utime + usage.ru_stime


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="this system does not tell a child's time")
def test_importing_costs_little_more_than_traitlets() -> None:
    """``import luma_widgets`` takes at most 1.3 times the time of ``import traitlets``."""
    ratios = []
    for _ in range(2):
        ours_, theirs = [], []
        for _ in range(15):  # in turns, so that a busy machine slows both
            ours_.append(processor_time("import luma_widgets"))
            theirs.append(processor_time("import traitlets"))
        ratios.append(statistics.median(ours_) / statistics.median(theirs))
        if ratios[-1] <= 1.3:
            break
    assert min(ratios) <= 1.3
