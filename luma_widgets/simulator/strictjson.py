"""JSON read without mercy: what the contract does not allow is an error, never a guess."""

from __future__ import annotations

import json
import math
from typing import Any

MAX_DEPTH = 32


def loads(body: bytes) -> Any:
    """Read a JSON document.

    Parameters
    ----------
    body : bytes
        UTF-8 without a byte order mark.

    Raises
    ------
    ValueError
        For anything but one JSON document: also NaN, Infinity and 1e999, a key given twice in one
        object, more than 32 levels, and integers with thousands of digits.

    Examples
    --------
    >>> loads(b'{"task_id": "a"}')
    {'task_id': 'a'}
    """
    try:
        value = json.loads(
            body.decode(),
            object_pairs_hook=_no_duplicates,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except RecursionError:
        value = None
    else:
        if not _too_deep(value):
            return value
    raise ValueError(f"more than {MAX_DEPTH} levels")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice in one object")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


def _too_deep(value: Any) -> bool:
    """Walk level by level, so that depth never becomes a depth of calls."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        if not inner:
            return False
        level = inner
    return True
