"""JSON read strictly: what parsers disagree on is an error, never a guess."""

from __future__ import annotations

import json
import math
import re
from typing import Any

MAX_DEPTH = 64
_MAX_DIGITS = 300  # more would overflow a float, and from 4,300 on Python itself refuses
_NESTING = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


def load_json(body: bytes) -> Any:
    """Parse one JSON document.

    Parameters
    ----------
    body : bytes
        UTF-8 without a byte order mark.

    Raises
    ------
    ValueError
        For anything that is not plain JSON in UTF-8, and for what parsers disagree on: ``NaN``,
        ``Infinity``, numbers too big, the same key twice, more than 64 levels of nesting.

    Examples
    --------
    >>> load_json(b'{"task_id": "a"}')
    {'task_id': 'a'}
    """
    text = body.decode("utf-8")
    depth = 0
    for token in _NESTING.finditer(text):
        first = token.group()[0]
        depth += (first in "[{") - (first in "]}")
        if depth > MAX_DEPTH:
            raise ValueError("nested too deeply")
    return json.loads(
        text,
        object_pairs_hook=_object,
        parse_int=_integer,
        parse_float=_float,
        parse_constant=_constant,
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("the same key twice")
    return value


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError("a number too big")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number too big")
    return value


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
