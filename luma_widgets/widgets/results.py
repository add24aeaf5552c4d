"""The finished submissions, newest first, with videos that play."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import traitlets

from ..doubts import Doubts
from ..log import DONE, Row
from ..threads import DaemonPool
from .cards import result_card
from .parts import Buffers, Part, script, style
from .posters import poster
from .ways import WaysOut

PAGE = 20
PIECE = 1 << 20
_KINDS = {".mp4": "video/mp4", ".webm": "video/webm", ".png": "image/png", ".jpg": "image/jpeg"}


class ResultsView(Part):
    """Shows finished submissions as cards; a video is fetched from the kernel when it is played.

    The notebook keeps at most 20 cards: their texts and small posters, never a video. A card
    whose outcome is unknown shows the balance before and after, and four ways out: check the
    credits, give a task id, mark it as not created, submit it again.

    Parameters
    ----------
    load : callable, optional
        Called with a row when its "Load into form" button is pressed.
    doubts : callable, optional
        Takes a row whose outcome is unknown and returns the :class:`~luma_widgets.Experiment`
        that settles it, on a background thread. Without it, its card offers no way out.

    Examples
    --------
    >>> results = ResultsView()
    >>> results.update([])
    >>> results.cards
    []
    """

    _esm = script("doubt", "results")
    _css = style("results", "doubt")
    cards = traitlets.List(traitlets.Dict()).tag(sync=True)
    posters = traitlets.Dict().tag(sync=True)
    total = traitlets.Int(0).tag(sync=True)
    first = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        *,
        load: Callable[[Row], object] | None = None,
        doubts: Callable[[Row], Doubts] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._load = load
        self._ways = doubts and WaysOut(doubts, self._answer)
        self._lock = threading.RLock()
        self._rows: dict[str, Row] = {}
        self._again: dict[str, str] = {}  # unknown row -> state of the one it was sent again as
        self._pictures: dict[str, str] = {}
        self._waiting = 0  # posters that are being made
        self._hung = 0.0  # when posters were last sent
        self._painters = DaemonPool("poster", 1, self.show_error)

    def update(self, rows: Iterable[Row]) -> None:
        """Take in new or changed rows; those that are not finished are left out."""
        with self._lock:
            for row in rows:
                self._rows.pop(row["id"], None)
                if row.get("retry_of"):
                    self._again[row["retry_of"]] = row["state"]
                if row["state"] in DONE:
                    self._rows[row["id"]] = row
            self._show()

    def clear(self) -> None:
        """Show nothing, before rows of another experiment come."""
        with self._lock:
            self._rows.clear()
            self._again.clear()
            self.first = 0
            self._show()

    def close(self) -> None:
        """Take the view away and let its thread end."""
        self._painters.close()
        super().close()

    def _show(self) -> None:
        ids = sorted(self._rows, reverse=True)
        first = self.first if self.first < len(ids) else 0
        shown = ids[first : first + PAGE]
        with self.hold_sync():
            self.first, self.total = first, len(ids)
            self.cards = [self._card(row_id) for row_id in shown]
            self._hang(shown)
        for row_id in shown:
            files = self._rows[row_id]["files"]
            if files and row_id not in self._pictures:
                self._pictures[row_id] = ""
                self._waiting += 1
                self._painters.submit(partial(self._paint, row_id, files[0]))

    def _card(self, row_id: str) -> dict[str, Any]:
        again = self._again.get(row_id)
        return result_card(self._rows[row_id], ways=self._ways is not None, again=again)

    def _paint(self, row_id: str, path: str) -> None:
        """Make a poster, on the background thread."""
        picture = poster(path)
        with self._lock:
            self._pictures[row_id] = picture
            self._waiting -= 1
            if self._waiting == 0 or time.monotonic() - self._hung > 1.0:  # each sends all
                self._hang([card["id"] for card in self.cards])

    def _hang(self, shown: list[str]) -> None:
        self._hung = time.monotonic()
        pictures = {row_id: self._pictures.get(row_id) for row_id in shown}
        self.posters = {row_id: picture for row_id, picture in pictures.items() if picture}

    def _on_page(self, content: dict[str, Any], _buffers: Buffers) -> None:
        first = content.get("first")
        if type(first) is int and 0 <= first < max(1, len(self._rows)):
            with self._lock:
                self.first = first
                self._show()

    def _on_load(self, content: dict[str, Any], _buffers: Buffers) -> None:
        row = self._rows.get(str(content.get("id")))
        if row is not None and self._load is not None:
            self._load(row)

    def _on_settle(self, content: dict[str, Any], _buffers: Buffers) -> None:
        row = self._rows.get(str(content.get("id")))
        if row is not None and self._ways is not None:
            self._ways.take(row, content)

    def _answer(self, content: dict[str, Any]) -> None:
        self.send(content)

    def _on_video(self, content: dict[str, Any], _buffers: Buffers) -> None:
        """Send one piece of a video. The browser asks for the next: no limit of rate is met."""
        row_id, number, offset = (content.get(key) for key in ("id", "number", "offset"))
        row = self._rows.get(str(row_id))
        if type(number) is not int or type(offset) is not int or min(number, offset) < 0:
            return
        if row is None:
            return
        answer = {"type": "video", "id": row_id, "number": number, "offset": offset}
        try:
            path = Path(row["files"][number])
            with path.open("rb") as file:
                file.seek(offset)
                piece = file.read(PIECE)
            size = path.stat().st_size
        except (OSError, IndexError):
            self.send({**answer, "error": "The file is no longer where it was stored."})
            return
        kind = _KINDS.get(path.suffix.lower(), "application/octet-stream")
        self.send({**answer, "size": size, "kind": kind}, buffers=[piece])
