"""What the simulator is told to do wrong: outcomes of tasks, and faults of the connection."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

ENDPOINTS = ("create", "get", "get_credits", "pre_url", "uploads", "results")
"""The names of the calls, for faults and counters."""

OUTCOMES = ("failed", "never_ends", "unknown_status", "expired_url", "no_credits", "bad_key")
"""What :meth:`FaultPlan.fail_next` takes, besides ``"reject:<message>"``."""

# Fault -> is the call carried out before the connection goes wrong?
_ACCEPTED = {
    "hang_up": True,
    "reset": True,
    "truncated": True,
    "garbage": True,
    "delay": True,
    "500": False,
    "502": False,
    "429": False,
}
FAULTS = tuple(_ACCEPTED)
"""What :meth:`FaultPlan.inject` takes."""


@dataclass(frozen=True)
class Fault:
    """One thing to do wrong to one HTTP request.

    Parameters
    ----------
    name : str
        One of :data:`FAULTS`.
    accepted : bool
        Whether the call is carried out, so that a task exists and is charged all the same.
    seconds : float
        How long a delay is.
    retry_after : str
        The ``Retry-After`` header of a 429, sent as it is.
    """

    name: str
    accepted: bool
    seconds: float
    retry_after: str


class FaultPlan:
    """The faults and outcomes that wait for their turn; any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcomes: deque[str] = deque()
        self._faults: dict[str, deque[Fault]] = {name: deque() for name in ENDPOINTS}

    def fail_next(self, outcome: str, times: int = 1) -> None:
        """Queue an outcome for the next valid create calls; see ``SimulatorServer.fail_next``."""
        if outcome not in OUTCOMES and not outcome.removeprefix("reject:").strip():
            raise ValueError("reject: needs a message, as in 'reject:Prompt not allowed'")
        if outcome not in OUTCOMES and not outcome.startswith("reject:"):
            raise ValueError(f"{outcome!r} is none of {', '.join(OUTCOMES)} or reject:<message>")
        with self._lock:
            self._outcomes.extend([outcome] * times)

    def inject(
        self,
        fault: str,
        times: int = 1,
        path: str = "create",
        *,
        accepted: bool | None = None,
        seconds: float = 1.0,
        retry_after: str = "1",
    ) -> None:
        """Queue a fault for the next requests to a call; see ``SimulatorServer.inject``."""
        if fault not in _ACCEPTED:
            raise ValueError(f"{fault!r} is none of the faults {', '.join(FAULTS)}")
        if path not in ENDPOINTS:
            raise ValueError(f"{path!r} is none of the calls {', '.join(ENDPOINTS)}")
        carried_out = _ACCEPTED[fault] if accepted is None else accepted
        with self._lock:
            self._faults[path].extend([Fault(fault, carried_out, seconds, retry_after)] * times)

    def outcome(self) -> str:
        """Take the outcome for a create call that is valid; empty for success."""
        with self._lock:
            return self._outcomes.popleft() if self._outcomes else ""

    def fault(self, endpoint: str) -> Fault | None:
        """Take the fault for a request."""
        with self._lock:
            waiting = self._faults.get(endpoint)
            return waiting.popleft() if waiting else None
