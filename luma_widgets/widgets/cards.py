"""Rows of the log as the small dictionaries that the queue and the results are drawn from."""

from __future__ import annotations

from typing import Any

from ..fields import Field
from ..log import NEVER_PAID, OUTCOME_UNKNOWN, WORDS, Row, State
from ..request import Ray2Request

_TONES: dict[str, str] = {
    State.STORED: "good",
    State.FAILED: "bad",
    State.REJECTED: "bad",
    State.NOT_SENT: "warn",
    State.UNKNOWN: "warn",
    State.STALLED: "warn",
    State.QUEUED: "quiet",
    State.ABANDONED: "quiet",
}
_UNITS = {"seconds": "s"}
_PROMPT = 300  # characters; the form has the whole prompt
_ERROR = 500


def task_card(row: Row, estimate: float | None) -> dict[str, Any]:
    """Describe a running submission for the queue.

    Parameters
    ----------
    row : dict
        A row of the log.
    estimate : float or None
        Seconds that it will probably take.
    """
    return {
        **_common(row),
        "started": None if row["sent_at"] is None else row["sent_at"] / 1000,
        "estimate": estimate,
        "cancel": row["state"] in (State.QUEUED, State.PREPARED),
        "error": excerpt(row["error"] or "", _ERROR),
    }


def result_card(row: Row, *, ways: bool = False, again: str | None = None) -> dict[str, Any]:
    """Describe a finished submission for the results.

    Parameters
    ----------
    row : dict
        A row of the log.
    ways : bool, default False
        Whether the card of an unknown outcome offers the ways out of it.
    again : str, optional
        The state of the row that an unknown one was submitted again as.
    """
    error = row["error"] or ""
    unknown = row["state"] == State.UNKNOWN
    if unknown and not error.startswith(OUTCOME_UNKNOWN):
        error = f"{OUTCOME_UNKNOWN} {error}".strip()
    return {
        **_common(row),
        **({"doubt": _doubt(row, ways, again)} if unknown else {}),
        "created": row["created_at"] / 1000,
        "elapsed": row["elapsed"],
        "error": excerpt(error, _ERROR),
        "paid": row["state"] not in NEVER_PAID,
        "videos": len(row["files"]),
        "service": excerpt(str(row["base_url"]), 80),
    }


def options_in_words(row: Row) -> list[str]:
    """Say the options of a row briefly, leaving out what is as usual.

    Examples
    --------
    >>> options_in_words({"aspect_ratio": "16:9", "duration": 5, "loop": True})
    ['16:9', '5 s', 'Loop']
    """
    words = []
    for field in Ray2Request.fields():
        value = row.get(field.name)
        if value is not None and (word := _word(field, value)):
            words.append(word)
    return words


def amount(value: float | None) -> str:
    """Write credits as people do; ``""`` where they are not known.

    Examples
    --------
    >>> amount(9970.0), amount(0.5), amount(None)
    ('9,970', '0.5', '')
    """
    return "" if value is None else f"{value:,.10g}"


def excerpt(text: str, length: int) -> str:
    """Shorten a text to at most so many characters."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _common(row: Row) -> dict[str, Any]:
    state = row["state"]
    return {
        "id": row["id"],
        "prompt": excerpt(row["prompt"] or "", _PROMPT),
        "options": options_in_words(row),
        "state": str(state),
        "word": WORDS.get(state, str(state)),
        "tone": _TONES.get(state, "busy"),
    }


def _doubt(row: Row, ways: bool, again: str | None) -> dict[str, Any]:
    return {
        "before": amount(row.get("credits_before")),
        "after": amount(row.get("credits_after")),
        "ways": ways,
        "again": "" if again is None else WORDS.get(again, again),
        "repeat": again is None or again in NEVER_PAID,  # else the other video is there already
    }


def _word(field: Field, value: Any) -> str:
    if field.kind == "url":
        return field.label
    if field.kind == "flag":
        if value == field.default:
            return ""
        return field.label if value else f"No {field.label[0].lower()}{field.label[1:]}"
    if field.kind == "choice":
        if field.name == "model_id" and value == field.default:
            return ""
        word = f"{value} {_UNITS.get(field.unit, field.unit)}".strip()
        return f"{field.label} {word}" if field.name == "model_id" else word
    return ""
