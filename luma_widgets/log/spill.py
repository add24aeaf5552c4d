"""A last place for task ids that the log could not take: a line of JSON each, in a plain file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

_LOCK = threading.Lock()


class Spill:
    """Keeps answers that were paid for while the log's disk is full or gone.

    Parameters
    ----------
    log_name : str
        The log's file or address. The file stands beside the log, or in the temporary folder
        when nothing can be written there.
    """

    def __init__(self, log_name: str) -> None:
        mark = hashlib.sha256(log_name.encode()).hexdigest()[:16]
        beside = Path(f"{log_name}-spill.jsonl")
        spare = Path(tempfile.gettempdir()) / f"luma-widgets-{mark}-spill.jsonl"
        self._places = [spare] if "://" in log_name else [beside, spare]

    def keep(self, answer: dict[str, Any]) -> Path | None:
        """Write an answer to disk.

        Returns
        -------
        Path or None
            Where it is now; None when no place took it.
        """
        line = (json.dumps(answer) + "\n").encode()
        for place in self._places:
            try:
                with _LOCK:
                    _append(place, line)
            except OSError:
                continue
            return place
        return None

    def answers(self) -> list[dict[str, Any]]:
        """Return what was kept, oldest first; a line that was cut off is passed over.

        The file is never emptied: putting an answer into the log a second time changes nothing,
        and another process may be adding to it.
        """
        found = []
        for place in self._places:
            for line in _own_lines(place):
                with contextlib.suppress(ValueError):
                    answer = json.loads(line)
                    if isinstance(answer, dict) and isinstance(answer.get("task_id"), str):
                        found.append(answer)
        return found


def _own_lines(place: Path) -> list[str]:
    """Read a file of this user; in a shared folder somebody else may have put one there."""
    try:
        if hasattr(os, "getuid") and place.lstat().st_uid != os.getuid():
            return []
        return place.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def _append(place: Path, line: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    handle = os.open(place, flags, 0o600)
    try:
        if os.write(handle, line) != len(line):
            raise OSError("the disk took only a part")
        os.fsync(handle)
    finally:
        os.close(handle)
