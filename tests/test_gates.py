"""Gates over code and dependencies: rows D9 and E6 of the fault table."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import luma_widgets

from . import supply_chain

ROOT = Path(luma_widgets.__file__).parent

# Code that runs what it reads ---------------------------------------------------------------

_UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
_RUNNERS = {"eval", "exec", "compile", "__import__"}
_SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
_SHELLS |= {"pty.spawn", "commands.getoutput", "asyncio.create_subprocess_shell"}
_LOADERS = {"read_pickle", "to_pickle", "unsafe_load", "full_load", "load_pickle"}
_QUERIES = {"execute", "executemany", "executescript", "exec_driver_sql", "read_sql"}
_QUERIES |= {"read_sql_query", "scalar", "scalars"}
_STATEMENT = re.compile(
    r"\s*(SELECT\s|INSERT\s+(OR|INTO)\s|UPDATE\s+\S*\s*SET\b|UPDATE\s+$|DELETE\s+FROM\s|"
    r"(CREATE|DROP|ALTER)\s+(TABLE|INDEX|VIEW|TRIGGER|UNIQUE)\b|PRAGMA\s|ATTACH\s|WITH\s+\w+\s+AS)"
)


def violations(code: str) -> Iterator[str]:
    """Yield what a module must not do: line, and the rule that it breaks."""
    for node in ast.walk(ast.parse(code)):
        for rule in (_imports, _calls, _statements):
            for what in rule(node):
                yield f"line {node.lineno}: {what}"  # type: ignore[attr-defined]
    for scope in ast.walk(ast.parse(code)):
        if isinstance(scope, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _queries(scope)


def _imports(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    else:
        return
    for name in names:
        if name.split(".")[0] in _UNPICKLERS or name in _SHELLS:
            yield f"imports {name}"


def _calls(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.Call):
        return
    name = ast.unparse(node.func)
    last = name.rpartition(".")[2]
    if name in _RUNNERS or name in {f"builtins.{runner}" for runner in _RUNNERS}:
        yield f"calls {name}"
    if name in _SHELLS or last in _LOADERS or name == "importlib.import_module.pickle":
        yield f"calls {name}"
    for keyword in node.keywords:
        safe = isinstance(keyword.value, ast.Constant) and not keyword.value.value
        if keyword.arg in ("shell", "allow_pickle") and not safe:
            yield f"calls {name} with {keyword.arg}="
    literal = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
    if last in ("import_module", "getattr", "__import__") and _UNPICKLERS & set(map(str, literal)):
        yield f"imports {literal[0]} by name"
    if name in ("yaml.load", "numpy.load", "np.load") and len(node.args) < 2:
        yield f"calls {name}"


def _statements(node: ast.AST) -> Iterator[str]:
    """Find SQL that is put together, wherever it goes then."""
    if isinstance(node, ast.expr) and _is_built(node) and _STATEMENT.match(_beginning(node)):
        yield "builds SQL from text"


def _queries(scope: ast.AST) -> Iterator[str]:
    """Find text that is put together and then handed to a database, also by way of a name."""
    inside = list(_own_nodes(scope))
    built = {
        target.id
        for node in inside
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and node.value
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and (_is_built(node.value) or _adds_text(node))
    }
    for node in inside:
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = ast.unparse(node.func)
        if name.rpartition(".")[2] in _QUERIES or name in ("text", "sa.text", "sqlalchemy.text"):
            first = node.args[0]
            named = isinstance(first, ast.Name) and first.id in built
            if named or _is_built(first):
                yield f"line {node.lineno}: {name} runs text that was put together"


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _own_nodes(child)


def _adds_text(node: ast.AST) -> bool:
    return isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add) and _is_text(node.value)


def _is_text(node: ast.AST) -> bool:
    constant = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return constant or isinstance(node, ast.JoinedStr)


def _is_built(node: ast.AST) -> bool:
    """Tell that an expression puts text together: f-string, +, %, format, join."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        parts = (node.left, node.right)
        return any(_is_text(part) or _is_built(part) for part in parts)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        made = node.func.attr in ("format", "format_map", "join", "replace", "substitute")
        return made and (_is_text(node.func.value) or _is_built(node.func.value))
    return isinstance(node, ast.IfExp) and (_is_built(node.body) or _is_built(node.orelse))


def _beginning(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return _beginning(node.values[0])
    if isinstance(node, ast.BinOp):
        return _beginning(node.left)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _beginning(node.func.value)
    return ""


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_D9_no_pickle_no_eval_no_shell_no_sql_from_text(path: Path) -> None:
    """No module runs what it reads, and every SQL statement stands in it as it is sent."""
    assert list(violations(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "planted",
    [
        "import pickle",
        "import pickle as p",
        "from pickle import loads",
        "import dill.source",
        "from os import system",
        "import importlib\nimportlib.import_module('pickle')",
        "frame.to_pickle('x')",
        "pandas.read_pickle('x')",
        "numpy.load('x', allow_pickle=True)",
        "numpy.load('x')",
        "yaml.load(text)",
        "eval('1')",
        "exec(code)",
        "builtins.eval('1')",
        "compile(code, 'x', 'exec')",
        "__import__(name)",
        "subprocess.run('ls', shell=True)",
        "subprocess.Popen(words, shell=wanted)",
        "os.system('ls')",
        "os.popen('ls')",
        "db.execute(f'SELECT * FROM {table}')",
        "db.execute('SELECT * FROM t WHERE a = ' + value)",
        "db.execute('SELECT * FROM t WHERE a = %s' % value)",
        "db.execute('SELECT * FROM {}'.format(table))",
        "db.execute(' '.join(words))",
        "db.exec_driver_sql(f'PRAGMA user_version = {n}')",
        "db.executescript(start + ' DROP TABLE t')",
        "db.execute(text(f'{verb} t'))",
        "def f(db, t):\n    query = f'{t} WHERE 1'\n    return db.execute(query)",
        "def f(db, t):\n    query = 'DELETE '\n    query += ' FROM t'\n    db.execute(query)",
        "query = f'SELECT {columns} FROM t'",
        "query = 'INSERT INTO t VALUES (' + values",
        "query = 'UPDATE %s SET a = 1' % table",
        "pandas.read_sql('select * from ' + table, db)",
        "class A:\n    def f(self):\n        self.db.execute(f'{a}' if b else 'SELECT 1')",
    ],
)
def test_D9_the_gate_catches(planted: str) -> None:
    """Positive control: each planted violation is found."""
    assert list(violations(planted))


@pytest.mark.parametrize(
    "innocent",
    [
        "db.execute('SELECT * FROM t WHERE a = ?', (value,))",
        "db.execute('SELECT a '\n 'FROM t')",
        "db.execute(_ALL_TASKS)",
        "db.execute(select(table).where(table.c.a == value))",
        "def f(db):\n    query = select(T)\n    return db.execute(query)",
        "db.exec_driver_sql('BEGIN IMMEDIATE' if writes else 'BEGIN')",
        "message = f'Select a file, such as {name}.'",
        "draw.text((0, 0), line + 'x')",
        "subprocess.run(['ls'], shell=False)",
        "re.compile('x')",
        "json.loads(text)",
        "literal_eval('1')",
    ],
)
def test_D9_the_gate_lets_pass(innocent: str) -> None:
    """Negative control: what binds its values, or is no SQL at all, is left alone."""
    assert list(violations(innocent)) == []


# What we stand on ---------------------------------------------------------------------------


def test_E6_no_dependency_is_below_its_floor() -> None:
    """Neither pyproject.toml nor a requirements file nor this environment lets an old one in."""
    declared, versions = supply_chain.declared(), supply_chain.installed()
    assert {"requests", "urllib3"} <= versions.keys()
    assert supply_chain.below_floors(declared, supply_chain.pinned(), versions) == []
    assert supply_chain.main(["floors"]) == 0


GOOD = ["requests>=2.32.4", "urllib3>=2.7"]


@pytest.mark.parametrize(
    ("declared", "pins", "versions", "named"),
    [
        (["requests>=2.31", "urllib3>=2.7"], [], {}, "requests>=2.31"),
        (["requests", "urllib3>=2.7"], [], {}, "requests allows"),
        (["requests<3", "urllib3>=2.7"], [], {}, "requests<3"),
        (["requests>=2.32.4"], [], {}, "urllib3 is not declared"),
        (["requests>=2.32.4", "urllib3>=2.7; extra == 'x'"], [], {}, "urllib3 is not declared"),
        (["requests>=2.32.4", "urllib3>2.6"], [], {}, "urllib3>2.6"),
        (GOOD, ["requests==2.32.3"], {}, "requests==2.32.3"),
        (GOOD, ["urllib3==2.6.*"], {}, "urllib3==2.6"),
        (GOOD, ["Urllib3~=1.26"], {}, "~=1.26"),
        (GOOD, [], {"requests": "2.32.3"}, "2.32.3 is installed"),
        (GOOD, [], {"urllib3": "2.6.9"}, "2.6.9 is installed"),
    ],
)
def test_E6_a_planted_old_pin_is_found(
    declared: list[str], pins: list[str], versions: dict[str, str], named: str
) -> None:
    """Positive control: an old version by declaration, by pin or as installed fails the check."""
    (problem,) = supply_chain.below_floors(declared, pins, versions)
    assert named in problem


def test_E6_pins_of_a_checkout_are_read(tmp_path: Path) -> None:
    """A requirements file in a folder is read, comments and options aside; pyproject.toml too."""
    (tmp_path / "binder").mkdir()
    (tmp_path / "binder" / "requirements.txt").write_text(
        "-e .[demo]\n# a note\nrequests==2.31.0  # old\n"
    )
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["requests>=1"]')
    assert supply_chain.pinned(tmp_path) == ["requests==2.31.0"]
    assert supply_chain.declared(tmp_path) == ["requests>=1"]


REPORT = {
    "dependencies": [
        {"name": "Requests", "version": "2.34.2", "vulns": []},
        {"name": "urllib3", "version": "2.8.0", "vulns": []},
    ],
    "fixes": [],
}
VERSIONS = {"requests": "2.34.2", "urllib3": "2.8.0"}


def fake_audit(folder: Path, report: object, code: int = 0) -> list[str]:
    """Write a pip-audit that gives one report; return the command that runs it."""
    text = report if isinstance(report, str) else json.dumps(report)
    program = folder / "pip-audit.py"
    program.write_text(
        "import sys\n"
        "assert '--strict' in sys.argv\n"
        "listed = open(sys.argv[sys.argv.index('--requirement') + 1]).read()\n"
        "assert listed == 'requests==2.34.2\\nurllib3==2.8.0\\n', listed\n"
        f"print({text!r})\n"
        f"sys.exit({code})\n"
    )
    return [sys.executable, str(program)]


def test_E6_the_audit_passes_only_with_an_answer_for_everything(tmp_path: Path) -> None:
    """Every package looked at and none with a known fault: no problem."""
    assert supply_chain.audit(fake_audit(tmp_path, REPORT), VERSIONS) == []


def _with(**changes: object) -> dict[str, object]:
    first, second = REPORT["dependencies"]
    changed = {key: value for key, value in {**second, **changes}.items() if value is not None}
    return {**REPORT, "dependencies": [first, changed]}


@pytest.mark.parametrize(
    ("report", "code", "named"),
    [
        (_with(vulns=None, skip_reason="not found on PyPI"), 0, "not found on PyPI"),
        (_with(skip_reason="the service did not answer"), 0, "did not answer"),
        (_with(vulns=None), 0, "was not audited"),
        (_with(version="2.7.0"), 0, "was not audited"),
        ({**REPORT, "dependencies": REPORT["dependencies"][:1]}, 0, "not in the report"),
        ({"dependencies": []}, 0, "not in the report"),
        (_with(vulns=[{"id": "GHSA-1234"}]), 1, "GHSA-1234"),
        (_with(vulns=[{"id": "GHSA-1234"}]), 0, "GHSA-1234"),
        (REPORT, 1, "ended with 1"),
        ("", 1, "no report"),
        ("", 0, "no report"),
        ("[]", 0, "no report"),
    ],
)
def test_E6_an_audit_that_skips_anything_fails(
    tmp_path: Path, report: object, code: int, named: str
) -> None:
    """A skip, a gap, another version, a known fault or no report at all: never a success."""
    problems = supply_chain.audit(fake_audit(tmp_path, report, code), VERSIONS)
    assert any(named in problem for problem in problems)


def test_E6_without_pip_audit_the_audit_fails(tmp_path: Path) -> None:
    """A tool that is not there, or nothing to look at, is no success either."""
    assert supply_chain.audit([str(tmp_path / "no-such-program")], VERSIONS)
    assert supply_chain.audit([sys.executable, "-m", "no_such_module"], VERSIONS)
    assert supply_chain.audit(fake_audit(tmp_path, REPORT), {})
