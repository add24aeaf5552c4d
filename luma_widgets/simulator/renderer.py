"""Clips on demand: rendered when first asked for, once, and kept."""

from __future__ import annotations

import json
import threading

from ..request import Ray2Request
from .calls import own_upload
from .state import State, TaskRow

# More at once would only take the processor from the notebook.
_AT_ONCE = threading.BoundedSemaphore(2)


class Renderer:
    """Render the clips of tasks; any thread may ask, and each clip is rendered by one of them.

    Parameters
    ----------
    state : State
        Where clips are kept and uploaded pictures are found.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._busy: dict[str, threading.Lock] = {}

    def clip(self, task: TaskRow) -> bytes:
        """Return the MP4 file of a finished task."""
        found = self._state.clip(task.task_id)
        if found is not None:
            return found
        with self._lock:
            busy = self._busy.setdefault(task.task_id, threading.Lock())
        with busy:
            found = self._state.clip(task.task_id)
            if found is None:
                found = self._render(task)
                self._state.add_clip(task.task_id, found)
        with self._lock:
            self._busy.pop(task.task_id, None)
        return found

    def _render(self, task: TaskRow) -> bytes:
        from .clips import render_clip

        request = Ray2Request.from_payload(json.loads(task.payload))
        uploads = {url: own_upload(url, self._state) for url in request.image_urls}
        with _AT_ONCE:
            return render_clip(
                request,
                take=task.task_id,
                pictures={url: data for url, data in uploads.items() if data is not None},
            )
