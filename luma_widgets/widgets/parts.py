"""What every widget with its own JavaScript shares: its files, its messages, its errors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from anywidget import AnyWidget

from ..errors import LumaError

STATIC = Path(__file__).parent / "static"
Buffers = Sequence[Any]
_log = logging.getLogger("luma_widgets")


def script(*stems: str) -> str:
    """Return a widget's JavaScript module, with the helpers that all of them use before it."""
    return "".join(_read(f"{stem}.js") for stem in ("common", *stems))


def style(*stems: str) -> str:
    """Return a widget's style sheet, with the shared colours and parts before it."""
    return "".join(_read(f"{stem}.css") for stem in ("theme", *stems))


def in_words(error: BaseException) -> str:
    """Say an exception in words that fit into a widget; no traceback, no secrets."""
    text = str(error).strip()
    if isinstance(error, LumaError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class Part(AnyWidget):
    """A widget with its own JavaScript, which talks to Python in custom messages.

    A message ``{"type": "play", ...}`` from the browser calls the method ``_on_play(content,
    buffers)``. An exception in it is shown in the widget, for notebooks do not show what a
    callback raises.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.on_msg(self._receive)

    def show_error(self, error: BaseException) -> None:
        """Show an exception in the widget, to every page that displays it now."""
        _log.info("Shown in %s: %s", type(self).__name__, type(error).__name__)
        self.send({"type": "message", "text": in_words(error), "tone": "bad"})

    def guard(self, work: Callable[[], object]) -> None:
        """Run ``work()``; an exception is shown in the widget instead of raised."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - shown to the user; a callback has no caller
            self.show_error(error)

    def _receive(self, _widget: object, content: Any, buffers: Buffers) -> None:
        kind = content.get("type") if isinstance(content, dict) else None
        handler = getattr(self, f"_on_{kind}", None) if isinstance(kind, str) else None
        if handler is not None:
            self.guard(lambda: handler(content, buffers))


def _read(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")
