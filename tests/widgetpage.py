"""A stand-in for the page that shows a widget: it hears and sends custom messages."""

from __future__ import annotations

import threading
from typing import Any


class Page:
    """Hears what a widget sends, and sends it messages as a browser does."""

    def __init__(self, widget: Any) -> None:
        self.widget = widget
        self.heard: list[dict[str, Any]] = []
        self._news = threading.Condition()
        widget.send = self._hear

    def _hear(self, content: dict[str, Any], buffers: Any = None) -> None:
        with self._news:
            self.heard.append({**content, "buffers": buffers})
            self._news.notify_all()

    def send(self, kind: str, *buffers: bytes, **content: Any) -> None:
        """Send a custom message to the widget."""
        self.widget._handle_custom_msg({"type": kind, **content}, list(buffers))

    def texts(self, kind: str) -> list[str]:
        """Return the texts of the messages of a kind that were heard."""
        return [message["text"] for message in self.heard if message["type"] == kind]

    def wait_for(self, **wanted: Any) -> dict[str, Any]:
        """Wait for a message with these entries."""

        def found() -> dict[str, Any] | None:
            return next((m for m in self.heard if wanted.items() <= m.items()), None)

        with self._news:
            assert self._news.wait_for(found, 5), (wanted, self.heard)
            return found() or {}
