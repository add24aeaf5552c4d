"""The simulator as one object: start it, use it, tell it to fail, look at what it received."""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ..errors import ConfigurationError, MissingDependencyError
from ..threads import start_daemon
from .faults import FaultPlan

if TYPE_CHECKING:
    from .listener import Listener, Reply
    from .state import State

_KEY = re.compile(r"sim_[0-9a-f]{32}")
_NEEDED = ("av", "numpy", "PIL", "werkzeug")


class Created(NamedTuple):
    """A create call that the simulator accepted, and charged.

    Attributes
    ----------
    task_id : str
    payload : dict
        The JSON body as it came.
    """

    task_id: str
    payload: dict[str, Any]


class SimulatorServer:
    """A simulator of the service on this machine: real HTTP, real clips, no money.

    It listens on 127.0.0.1 only, on a free port, in daemon threads. It takes its own key and the
    documented all-zero test key. Its prices and times are inventions: 30 simulator credits for 5 s
    at 540p, twice that for 9 s, twice that for 720p. They say nothing about the service.

    Parameters
    ----------
    speed : float, default 1.0
        How much faster than real time tasks finish; the reported estimates are shortened as well.
        With 6, a video takes about 7 seconds.
    credits : float, default 10000
        Balance of a new account, in simulator credits.
    state : str or Path, optional
        A file that keeps tasks, balance, key and uploads, so that they survive a restart. By
        default all is forgotten at the end.
    port : int, default 0
        0 takes a free port.
    api_key : str, optional
        ``sim_`` and 32 hexadecimal digits. By default the key in ``state``, or a new one.
    estimated_time : float, default 42
        Seconds that 5 s at 540p take, before ``speed``; other settings take longer.
    spread : float, default 0.2
        How much real times differ from the estimate (standard deviation of the logarithm).
    seed : int, optional
        Makes the times of the tasks repeatable.
    failures : iterable of str, optional
        Outcomes of the first tasks, as :meth:`fail_next` takes them.
    clock : callable, optional
        Returns seconds since the epoch; for tests.

    Raises
    ------
    ConfigurationError
        If an argument is out of range, the port is taken or the file cannot be used.
    MissingDependencyError
        On start, if the packages of the ``simulator`` extra are not installed.

    Examples
    --------
    >>> with SimulatorServer(speed=60) as simulator:
    ...     simulator.url.startswith("http://127.0.0.1:")
    True
    """

    def __init__(
        self,
        *,
        speed: float = 1.0,
        credits: float = 10_000,  # noqa: A002 - the service's word
        state: str | Path | None = None,
        port: int = 0,
        api_key: str | None = None,
        estimated_time: float = 42,
        spread: float = 0.2,
        seed: int | None = None,
        failures: Iterable[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        problem = _problem(speed, credits, estimated_time, spread, api_key)
        if problem:
            del api_key  # it may be a real one, and tracebacks can show variables
            raise ConfigurationError(problem)
        self._speed, self._credits, self._port = speed, credits, port
        self._path = None if state is None else Path(state)
        self._given_key = api_key
        self._estimated_time, self._spread = estimated_time, spread
        self._chance = random.Random(seed)  # noqa: S311 - times of tasks are no secret
        self._clock = clock
        self._plan = FaultPlan()
        for outcome in failures:
            self._plan.fail_next(outcome)
        self._lock = threading.RLock()
        self._state: State | None = None
        self._listener: Listener | None = None
        self._url = self._key = ""
        self._last_creates: list[Created] = []
        self._last_balance = float(credits)
        self._counts: Counter[str] = Counter()

    def start(self) -> Self:
        """Begin to listen; does nothing if it does already."""
        with self._lock:
            if self._listener is None:
                _need_packages()
                self._open()
        return self

    def close(self) -> None:
        """Stop within a second and let the file go; may be called twice.

        What was received can still be read from :attr:`creates` and :attr:`requests`.
        """
        with self._lock:
            listener, state = self._listener, self._state
            if listener is None or state is None:
                return
            listener.stop()
            self._last_creates, self._last_balance = self.creates, self.credits
            self._counts = self.requests
            self._listener = self._state = None
            state.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = f"at {self._url}" if self._listener else "not running"
        return f"<{type(self).__name__} {where}>"

    @property
    def running(self) -> bool:
        """Whether it listens."""
        return self._listener is not None

    @property
    def url(self) -> str:
        """Its address, such as ``http://127.0.0.1:40001``; known once it was started."""
        return self._url or self._not_started()

    @property
    def api_key(self) -> str:
        """The key it takes: ``sim_`` and 32 hexadecimal digits; known once it was started."""
        return self._key or self._not_started()

    @property
    def credits(self) -> float:
        """The balance, in simulator credits."""
        state = self._state
        return self._last_balance if state is None else state.balance()

    def set_credits(self, value: float) -> None:
        """Replace the balance while the simulator runs, as a top-up would."""
        if self._state is None:
            self._not_started()
        else:
            self._state.set_balance(value)

    @property
    def creates(self) -> list[Created]:
        """Every accepted and charged create call, oldest first; with ``state`` also earlier ones.

        This is counted at the server: a request that arrived twice is here twice.
        """
        state = self._state
        if state is None:
            return list(self._last_creates)
        return [Created(task.task_id, json.loads(task.payload)) for task in state.tasks()]

    @property
    def requests(self) -> Counter[str]:
        """How many HTTP requests arrived, accepted or not, since this object was made.

        The keys are ``create``, ``get``, ``get_credits``, ``pre_url``, ``uploads``, ``results`` and
        ``other``.
        """
        listener = self._listener
        if listener is None:
            return Counter(self._counts)
        with listener.lock:
            return self._counts + listener.counts

    def fail_next(self, outcome: str, times: int = 1) -> None:
        """Give the next valid create calls an outcome.

        Parameters
        ----------
        outcome : str
            ``"failed"``: accepted, ends as failed. ``"never_ends"``: accepted, runs for ever.
            ``"unknown_status"``: reports status 4 while it runs, then completes.
            ``"expired_url"``: the first result address has already expired.
            ``"no_credits"``, ``"bad_key"``, ``"reject:<message>"``: refused, nothing is charged.
        times : int, default 1

        Raises
        ------
        ValueError
            If there is no such outcome.
        """
        self._plan.fail_next(outcome, times)

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
        """Do something wrong to the next HTTP requests of one call.

        Parameters
        ----------
        fault : str
            ``"hang_up"``: close without an answer. ``"reset"``: the same with RST.
            ``"truncated"``: half of the answer. ``"garbage"``: an answer that is no JSON.
            ``"delay"``: answer late. ``"500"`` (JSON), ``"502"`` (HTML), ``"429"``.
        times : int, default 1
        path : str, default "create"
            ``create``, ``get``, ``get_credits``, ``pre_url``, ``uploads`` or ``results``.
        accepted : bool, optional
            Whether the call is carried out all the same, so that a task exists and is charged. By
            default it is, except with 500, 502 and 429.
        seconds : float, default 1.0
            How long a delay is.
        retry_after : str, default "1"
            The ``Retry-After`` of a 429, sent as it is.

        Raises
        ------
        ValueError
            If there is no such fault or call.
        """
        self._plan.inject(
            fault, times, path, accepted=accepted, seconds=seconds, retry_after=retry_after
        )

    def _open(self) -> None:
        from .app import TEST_KEY, App
        from .calls import Calls
        from .listener import Listener
        from .renderer import Renderer
        from .state import State

        state = State(self._path, credits=self._credits, api_key=self._given_key)
        key = self._given_key or state.api_key
        calls = Calls(
            state,
            self._plan,
            clock=self._clock,
            chance=self._chance,
            speed=self._speed,
            estimated_time=self._estimated_time,
            spread=self._spread,
        )
        keys = {key, state.api_key, TEST_KEY}
        app = App(state, calls, Renderer(state), keys=keys, clock=self._clock)
        try:
            listener = Listener(self._port, _responder(app), self._plan.fault)
        except (OSError, OverflowError) as error:
            state.close()
            raise ConfigurationError(f"Port {self._port} cannot be used: {error}.") from error
        self._state, self._listener, self._key = state, listener, key
        self._url = f"http://127.0.0.1:{listener.port}"
        start_daemon("simulator", listener.serve)

    def _not_started(self) -> str:
        raise ConfigurationError("The simulator was not started: call start(), or use with.")


def _responder(app: Any) -> Callable[[dict[str, Any]], Reply]:
    """Turn the application into what the listener calls; an error becomes a plain 500."""
    from werkzeug.wrappers import Request

    from .listener import Reply

    def respond(environ: dict[str, Any]) -> Reply:
        try:
            response = app.handle(Request(environ))
            body, status, headers = response.get_wsgi_response(environ)
            return Reply(int(status.split()[0]), list(headers), b"".join(body))
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            text = json.dumps({"code": 0, "message": f"The simulator failed: {error!r}"})
            return Reply(500, [("Content-Type", "application/json")], text.encode())

    return respond


def _need_packages() -> None:
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"The simulator needs {', '.join(missing)}, not installed here. "
            'Run: pip install "luma-widgets[simulator]"'
        )


def _problem(
    speed: float, balance: float, estimated_time: float, spread: float, api_key: str | None
) -> str | None:
    if not 0 < speed < float("inf"):
        return "speed must be above 0, as in speed=6"
    if not 0 <= balance < float("inf"):
        return "credits must be 0 or more"
    if not 0 < estimated_time < float("inf") or not 0 <= spread <= 2:
        return "estimated_time must be above 0, and spread between 0 and 2"
    if api_key is not None and not _KEY.fullmatch(api_key):
        return "A simulator's key is sim_ and 32 hexadecimal digits. Never give it a real key."
    return None
