"""The error tree: as documented, catchable by its builtin bases, safe to store and to send."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from traitlets import TraitError

import luma_widgets as lw
from luma_widgets import errors

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.LumaError)
}
BUILTIN = {"ValueError": ValueError, "ImportError": ImportError, "ConnectionError": ConnectionError}
BUILTIN["TraitError"] = TraitError


def drawn_tree() -> dict[str, tuple[str | None, set[str]]]:
    """Read the tree of the module's docstring: name -> (parent, other bases)."""
    tree: dict[str, tuple[str | None, set[str]]] = {}
    stack: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^([\s│├└─]*)([A-Z]\w+Error)(?: \(([\w, ]+)\))?(?:\s{2,}|$)", line)
        if not found:
            continue
        depth = len(found.group(1))
        while stack and stack[-1][0] >= depth:
            stack.pop()
        others = set(found.group(3).split(", ")) if found.group(3) else set()
        tree[found.group(2)] = (stack[-1][1] if stack else None, others)
        stack.append((depth, found.group(2)))
    return tree


def test_the_drawn_tree_is_the_real_one() -> None:
    """The docstring names every class, its parent and its builtin bases, and no other."""
    tree = drawn_tree()
    assert tree.keys() == CLASSES.keys()
    for name, (parent, others) in tree.items():
        bases = {base.__name__ for base in CLASSES[name].__bases__}
        expected = ({parent} if parent else {"Exception"}) | others
        assert bases == expected, name


def test_every_error_is_public() -> None:
    """Each class of the tree can be caught as ``luma_widgets.<name>``."""
    for name, cls in CLASSES.items():
        assert getattr(lw, name) is cls


def test_every_error_is_documented() -> None:
    """Each class says in its docstring what it means."""
    for name, cls in CLASSES.items():
        assert inspect.getdoc(cls), name
        assert cls.__doc__ is not None, name


def make(cls: type[errors.LumaError]) -> errors.LumaError:
    """Build an error of a class with everything that it can hold."""
    if cls is errors.RequestError:
        return errors.RequestError(
            [lw.Problem("duration", "5", "must be 5"), lw.Problem("x", ..., "y")]
        )
    if cls is errors.RateLimitedError:
        return cls("m", retry_after=1.5, code=0, http_status=429, excerpt="e")
    if issubclass(cls, errors.ApiError):
        return cls("m", code=0, http_status=500, excerpt="e")
    return cls("m")


@pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES)
def test_errors_can_be_pickled_and_copied_whole(cls: type[errors.LumaError]) -> None:
    """An error that crosses a process or a cache keeps its class, text and details."""
    error = make(cls)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own bytes
        assert type(twin) is cls
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


@pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES)
def test_the_message_is_the_text(cls: type[errors.LumaError]) -> None:
    """``str(error)`` is the sentence it was made with, also for those with a builtin base."""
    assert str(make(cls)) in ("m", str(make(errors.RequestError)))


def test_builtin_bases_catch() -> None:
    """Code that knows nothing of this package can still catch what it expects."""
    with pytest.raises(ValueError, match="duration"):
        lw.Ray2Request(duration="5")
    with pytest.raises(TraitError, match="duration"):
        lw.Ray2Request(duration="5")
    assert issubclass(lw.NotSentError, ConnectionError)
    assert issubclass(lw.MissingDependencyError, ImportError)
    assert issubclass(lw.ConfigurationError, ValueError)


def test_one_problem_is_one_line_and_more_are_a_list() -> None:
    """The text of a RequestError names each problem, its field and its value."""
    first, second = lw.Problem("a", 1, "must be 2"), lw.Problem("b", ..., "is missing")
    assert str(lw.RequestError([first])) == "a: must be 2; got 1"
    text = str(lw.RequestError(iter([first, second])))
    assert text.splitlines()[1:] == ["- a: must be 2; got 1", "- b: is missing"]
    assert "2 problems" in text


@given(st.text() | st.binary() | st.lists(st.integers()) | st.floats() | st.none())
def test_a_problem_with_any_value_is_short_and_printable(value: object) -> None:
    """Whatever was given, the text can be encoded and stays short."""
    text = str(lw.Problem("field", value, "must be something"))
    assert len(text.encode()) < 400
