"""The four calls of the service: JSON bodies in, envelopes out. No HTTP here."""

from __future__ import annotations

import ipaddress
import json
import random
import secrets
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from ..config import is_loopback
from ..errors import RequestError
from ..request import Ray2Request
from . import tariff
from .faults import FaultPlan
from .signing import RESULT_LIFETIME, Signer
from .state import State, TaskRow
from .uploads import name_problem, presign

PROCESSING, COMPLETED, FAILED = 1, 2, 3
UNKNOWN_STATUS = 4
"""Reported while a task with the outcome ``unknown_status`` runs; the contract knows 1, 2 and 3."""

_MESSAGE_LENGTH = 1000


class Refused(Exception):  # noqa: N818 - an answer, not a failure
    """A call that is answered with code 0 or 2.

    Parameters
    ----------
    message : str
    code : {0, 2}, default 0
    """

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.message, self.code = message, code

    def envelope(self) -> dict[str, Any]:
        """Return the JSON answer; the message is shortened and always encodable."""
        text = self.message.encode("utf-8", "backslashreplace").decode()[:_MESSAGE_LENGTH]
        return {"code": self.code, "message": text, "data": None}


class Calls:
    """What the service does, on the simulator's state.

    Parameters
    ----------
    state : State
    plan : FaultPlan
        Outcomes that create calls are to have.
    clock : callable
        Returns seconds since the epoch.
    chance : random.Random
        Draws how long tasks take.
    speed, estimated_time, spread : float
        See ``SimulatorServer``.
    """

    def __init__(
        self,
        state: State,
        plan: FaultPlan,
        *,
        clock: Callable[[], float],
        chance: random.Random,
        speed: float,
        estimated_time: float,
        spread: float,
    ) -> None:
        self._state, self._plan, self._clock, self._chance = state, plan, clock, chance
        self._speed, self._base, self._spread = speed, estimated_time, spread
        self._signer = Signer(state.secret)
        self._expired: set[str] = set()
        self._lock = threading.Lock()

    def create(self, payload: Any, origin: str) -> dict[str, Any]:
        """Check, charge and start a task."""
        del origin
        request = read_request(payload)
        for url in request.image_urls:
            check_image_url(url, self._state)
        outcome = _accept(self._plan.outcome())
        usual = tariff.seconds(request, self._base)
        now = self._clock()
        with self._lock:
            takes = tariff.actual(usual, self._speed, self._spread, self._chance)
        task = TaskRow(
            task_id=secrets.token_hex(16),
            payload=json.dumps(payload),
            created_at=now,
            finish_at=None if outcome == "never_ends" else now + takes,
            outcome=outcome,
            price=tariff.price(request),
        )
        if not self._state.add_task(task):
            raise Refused("Credits not enough")
        estimated = tariff.estimate(usual, self._speed)
        return _success({"task_id": task.task_id, "estimated_time": estimated})

    def get(self, payload: Any, origin: str) -> dict[str, Any]:
        """Tell how a task stands, with fresh addresses of its results."""
        task_id = _strings(payload, "task_id")[0]
        task = self._state.task(task_id)
        if task is None:
            raise Refused("Task not found")
        status = status_of(task, self._clock())
        urls = [origin + self._result_path(task)] if status == COMPLETED else []
        return _success({"task_id": task_id, "status": status, "result_urls": urls})

    def get_credits(self, payload: Any, origin: str) -> dict[str, Any]:
        """Tell the balance."""
        del origin
        if not isinstance(payload, dict):
            raise Refused("The body must be a JSON object")
        balance = self._state.balance()
        return _success({"credits": int(balance) if balance.is_integer() else balance})

    def pre_url(self, payload: Any, origin: str) -> dict[str, Any]:
        """Allow one upload of a picture."""
        name, content_type = _strings(payload, "image_name", "content_type")
        problem = name_problem(name, content_type)
        if problem:
            raise Refused(problem)
        fields = presign(self._signer, name, content_type, self._clock())
        upload = {"url": f"{origin}/uploads", "fields": fields}
        return _success({"upload_url": upload, "image_url": f"{origin}/{fields['key']}"})

    def _result_path(self, task: TaskRow) -> str:
        with self._lock:
            expired = task.outcome == "expired_url" and task.task_id not in self._expired
            self._expired.add(task.task_id)
        lifetime = -1.0 if expired else RESULT_LIFETIME
        return self._signer.result_path(task.task_id, 0, self._clock() + lifetime)


def read_request(payload: Any) -> Ray2Request:
    """Turn a body into a request, or raise :class:`Refused` with every problem."""
    try:
        request = Ray2Request.from_payload(payload)
        request.payload()
    except RequestError as error:
        raise Refused(str(error)) from None
    if payload.get("image_urls") == []:  # a draft may say so, the service's contract does not
        raise Refused("image_urls: must hold 1 or 2 addresses, or be left out")
    return request


def check_image_url(url: str, state: State) -> None:
    """Refuse an address that the service could not read a picture from.

    Nothing is fetched: a public address is believed, an address on this machine must be that of an
    upload, and other private addresses are refused.
    """
    host = urlsplit(url).hostname or ""
    if is_loopback(host):
        data = own_upload(url, state)
        if data is None:
            raise Refused("Invalid image url")
        from .pictures import is_picture

        if not is_picture(data):
            raise Refused("Invalid image format")
        return
    try:
        public = ipaddress.ip_address(host).is_global
    except ValueError:
        public = True
    if not public:
        raise Refused("Invalid image url")


def own_upload(url: str, state: State) -> bytes | None:
    """Return the bytes of an upload by its address; the port may be one of before a restart."""
    parts = urlsplit(url)
    name = parts.path.removeprefix("/uploads/")
    if not is_loopback(parts.hostname or "") or name == parts.path:
        return None
    found = state.upload(name)
    return found[1] if found else None


def status_of(task: TaskRow, now: float) -> int:
    """Return the status that ``task/get`` reports at a time."""
    if task.finish_at is None or now < task.finish_at:
        return UNKNOWN_STATUS if task.outcome == "unknown_status" else PROCESSING
    return FAILED if task.outcome == "failed" else COMPLETED


def _accept(outcome: str) -> str:
    """Raise if the outcome is a refusal; return what the task is to become."""
    if outcome == "no_credits":
        raise Refused("Credits not enough")
    if outcome == "bad_key":
        raise Refused("Invalid API KEY", 2)
    if outcome.startswith("reject:"):
        raise Refused(outcome.removeprefix("reject:").strip())
    return outcome


def _strings(payload: Any, *names: str) -> list[str]:
    """Return the values of a body that has exactly these keys, each a non-empty string."""
    if not isinstance(payload, dict):
        raise Refused("The body must be a JSON object")
    for name in payload:
        if name not in names:
            raise Refused(f"{name}: is no known key")
    for name in names:
        if type(payload.get(name)) is not str or not payload[name]:
            raise Refused(f"{name}: must be text and must not be missing or empty")
        if not _encodable(payload[name]):
            raise Refused(f"{name}: must not hold broken characters")
    return [payload[name] for name in names]


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _success(data: dict[str, Any]) -> dict[str, Any]:
    return {"code": 1, "message": "success", "data": data}
