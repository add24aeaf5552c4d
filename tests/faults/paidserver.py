"""A paid service with faults, which keeps the ledger on its own side of the wire.

It shares no code with the simulator: what it was paid for is what its raw sockets received.
"""

from __future__ import annotations

import random
import struct
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests import faultserver as fs

# How often a create call meets what. The first three are answered in the end.
WEIGHTS = {
    "none": 60,
    "answered late": 10,
    "charged late": 10,
    "429": 3,
    "refused": 3,
    "FIN before the charge": 2,
    "RST before the charge": 2,
    "500 before the charge": 2,
    "FIN after the charge": 2,
    "RST after the charge": 2,
    "500 after the charge": 2,
    "HTML after the charge": 1,
    "cut off after the charge": 1,
}
# After these a careful client cannot know whether it was charged.
AMBIGUOUS = frozenset(name for name in WEIGHTS if " the charge" in name)
_FREE = frozenset(name for name in WEIGHTS if "before" in name) | {"429", "refused"}
_ENDINGS = {"stored": 16, "failed": 2, "endless": 1}
_LONGEST_DELAY = 0.08


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


MP4 = _box(b"ftyp", b"isom0000") + _box(b"moov", b"x" * 50) + _box(b"mdat", b"y" * 3000)


@dataclass(frozen=True)
class Visit:
    """A create call that arrived.

    ``task_id`` is None where nothing was charged; ``ending`` is what becomes of the task.
    """

    intent: str
    fault: str
    task_id: str | None
    ending: str
    at: float


class PaidServer(fs.FaultServer):
    """Charges for each create call that it carries out, and does something wrong to some.

    Parameters
    ----------
    chance : random.Random
    weights : dict, optional
        How often each fault happens; by default as above.
    """

    def __init__(self, chance: random.Random, weights: dict[str, int] | None = None) -> None:
        super().__init__(self._serve_all)
        self.visits: list[Visit] = []
        self._chance = chance
        self._weights = WEIGHTS if weights is None else weights
        self._tasks: dict[str, Visit] = {}
        self._guard = threading.Lock()

    @property
    def charges(self) -> list[Visit]:
        """The create calls that were paid for."""
        return [visit for visit in tuple(self.visits) if visit.task_id]

    def paid_twice(self) -> list[str]:
        """List the intents that were charged more than once, once for each charge too many."""
        counts = Counter(charge.intent for charge in self.charges)
        return [intent for intent, count in counts.items() for _ in range(count - 1)]

    def _serve_all(self, connection: fs.Connection) -> None:
        while (request := connection.read()) is not None:
            if len(request.body) != int(request.headers.get("content-length", 0)):
                return  # its sender was killed in the middle of it
            if request.path == "/api/task/create":
                self._create(connection, request.json["prompt"])
                return
            if request.path == "/api/task/get":
                self._answer(connection, self._progress(request.json["task_id"]))
            elif request.path.startswith("/results/"):
                connection.send(fs.head(200, len(MP4)) + MP4)
            else:
                self._other(connection, request)

    def _other(self, connection: fs.Connection, request: fs.Received) -> None:
        self._answer(connection, {"code": 0, "message": f"{request.path} is not here"})

    def _create(self, connection: fs.Connection, intent: str) -> None:
        with self._guard:
            fault = self._chance.choices(list(self._weights), list(self._weights.values()))[0]
            ending = self._chance.choices(list(_ENDINGS), list(_ENDINGS.values()))[0]
            delay = self._chance.uniform(0, _LONGEST_DELAY)
        self.closing.wait(delay * (4 if fault == "charged late" else 1))
        visit = self._charge(intent, fault, ending)
        if fault == "answered late":
            self.closing.wait(delay * 4)
        data = {"task_id": visit.task_id, "estimated_time": 0}
        body = fs.json.dumps({"code": 1, "message": "success", "data": data}).encode()
        if fault.startswith("RST"):
            connection.reset()
        elif fault == "429":
            connection.send(fs.head(429, 0, {"Retry-After": "0"}))
        elif fault == "refused":
            self._answer(connection, {"code": 0, "message": "No dragons here"})
        elif fault.startswith("500"):
            self._answer(connection, {"code": 0, "message": "Internal error"}, status=500)
        elif fault.startswith("HTML"):
            connection.send(fs.head(200, 6) + b"<html>")
        elif fault.startswith("cut off"):
            connection.send(fs.head(200, len(body)) + body[: len(body) // 2])
        elif not fault.startswith("FIN"):
            connection.send(fs.head(200, len(body)) + body)

    def _charge(self, intent: str, fault: str, ending: str) -> Visit:
        task_id = None if fault in _FREE else uuid.uuid4().hex
        visit = Visit(intent, fault, task_id, ending, time.time())
        with self._guard:
            self.visits.append(visit)
            if task_id:
                self._tasks[task_id] = visit
        return visit

    def _progress(self, task_id: str) -> dict[str, Any]:
        task = self._tasks.get(task_id)
        if task is None:
            return {"code": 0, "message": "Task not found"}
        running = task.ending == "endless" or time.time() < task.at + 0.1
        status = 1 if running else 3 if task.ending == "failed" else 2
        urls = [f"{self.url}/results/{task_id}.mp4"] if status == 2 else []
        data = {"task_id": task_id, "status": status, "result_urls": urls}
        return {"code": 1, "message": "success", "data": data}

    def _answer(self, connection: fs.Connection, body: dict[str, Any], status: int = 200) -> None:
        text = fs.json.dumps(body).encode()
        connection.send(fs.head(status, len(text)) + text)
