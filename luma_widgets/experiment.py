"""An experiment: a client, a log and the background work between them."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from traitlets import HasTraits, Int, Unicode

from .client import PixwithClient
from .config import ApiKey, Settings
from .context import Context
from .errors import ConfigurationError, ConfirmationNeededError, LumaError
from .log import OPEN, RUNNING, ExperimentLog, Row, State
from .preflight import Preflight
from .request import Ray2Request
from .sender import Sender
from .service import SIMULATOR_NAME, banner, connect
from .submission import Submission
from .watcher import Watcher

if TYPE_CHECKING:
    from pandas import DataFrame

FOLDER = "luma-files"
_ASK_FIRST = frozenset({*OPEN, State.UNKNOWN})


class Experiment(HasTraits):
    """Submits requests, follows them to their files, and keeps every one in a durable log.

    With a key (``api_key=`` or ``PIXWITH_API_KEY``) it uses the service, otherwise the simulator
    on this machine. Opening it picks up the tasks that an earlier session left running; it never
    creates one by itself.

    Parameters
    ----------
    name : str, default "default"
        Groups the rows. Part of what makes two submissions the same intent.
    client : PixwithClient, optional
        By default one is made as described above.
    log : str, Path or ExperimentLog, optional
        A file or an SQLAlchemy URL; by default ``luma.sqlite`` in the working folder. Results go
        to ``luma-files`` beside it.
    api_key : str, optional
        Used when there is no ``client``.
    measure : bool, default True
        Read the balance, which is free, before and after tasks that run alone, so that prices
        can be told.

    Attributes
    ----------
    revision : int
        A trait that grows with every change of a row. Observers run on a background thread.
    notice : str
        A trait: the last trouble that no row shows, in words; ``""`` when there is none.

    Raises
    ------
    LogError
        If the log cannot be opened or trusted.
    ConfigurationError
        If a setting is malformed.

    Examples
    --------
    >>> with Experiment("cats") as experiment:  # doctest: +SKIP
    ...     video = experiment.submit(Ray2Request(prompt="A cat walking in the garden"))
    ...     print(video.wait().files)
    """

    name = Unicode(read_only=True)
    revision = Int(0, help="Grows with every change of a row.")
    notice = Unicode("", help="The last trouble that no row shows, in words.")

    def __init__(
        self,
        name: str = "default",
        *,
        client: PixwithClient | None = None,
        log: str | os.PathLike[str] | ExperimentLog | None = None,
        api_key: str | ApiKey | None = None,
        measure: bool = True,
    ) -> None:
        super().__init__()
        if type(name) is not str or not name.strip():
            raise ConfigurationError(f"An experiment needs a name, not {name!r}.")
        self.set_trait("name", name)
        settings = Settings.load(api_key=api_key, log=None)
        self.log = log if isinstance(log, ExperimentLog) else ExperimentLog(log or settings.log)
        self._owns_log = self.log is not log
        self.client = client or connect(settings, self.log.path)
        base = self.log.path.parent if self.log.path else Path.cwd()
        self.folder = base / FOLDER
        self._changed = threading.Condition()
        self._context = Context(self.client, self.log, self.folder, self._on_change, self._note)
        self._watcher = Watcher(self._context)
        self._sender = Sender(self._context, self._watcher.watch, measure=measure)
        self.resume()

    # Submitting --------------------------------------------------------------------------

    def submit(
        self, request: Ray2Request, take: int | str = 0, *, confirmed: bool = True
    ) -> Submission:
        """Put a request on disk and send it in the background; returns at once.

        The same request, in the same experiment and for the same service, is the same intent: a
        second call returns the row that is there and sends nothing, so that running a notebook
        again costs nothing. A row that was never paid for (not sent, cancelled or refused) is
        tried again.

        Parameters
        ----------
        request : Ray2Request
            A complete request. It is copied; later edits change nothing.
        take : int or str, default 0
            Another take is another video: ``take=1`` pays for a second one.
        confirmed : bool, default True
            With False, a request of which one is open or unknown is not sent again.

        Returns
        -------
        Submission

        Raises
        ------
        RequestError
            If the request is incomplete.
        ConfirmationNeededError
            If ``confirmed=False`` and the same request is open already.
        LogError
            If the row cannot be written; nothing is sent then.
        """
        row, fresh = self.log.prepare(
            request,
            experiment=self.name,
            base_url=self.client.name,
            take=take,
            unless_open=() if confirmed else _ASK_FIRST,
        )
        if fresh:
            self._on_change(row)
            self._sender.start(row["id"])
        elif not confirmed and row["take"] != str(take):
            raise ConfirmationNeededError(
                f"The same request is {row['state']} already (submission {row['id']}). "
                "To pay for another video, pass confirmed=True."
            )
        return Submission(self, row["id"])

    def open_with(self, request: Ray2Request) -> list[Row]:
        """List the rows of the same request that are open, or whose outcome is unknown."""
        rows = self.log.rows(states=_ASK_FIRST, fingerprint=request.fingerprint)
        return [self._shown(row) for row in rows if row["base_url"] == self.client.name]

    def cancel(self, row_id: str) -> bool:
        """Take back a submission that has not been sent; False when it has."""
        waiting = frozenset({State.QUEUED, State.PREPARED})
        row = self.log.transition(
            row_id,
            State.ABANDONED,
            since=waiting,
            error="Cancelled before it was sent; nothing was charged.",
            error_type="NotSentError",
        )
        if row is not None:
            self._on_change(row)
        return row is not None

    def preflight(self, request: Ray2Request, videos: int = 1) -> Preflight:
        """Say what sending a request would take. Asks the service for the balance, for free.

        Parameters
        ----------
        request : Ray2Request
        videos : int, default 1
            How many takes.
        """
        balance = None
        try:
            balance = self.client.get_credits()
        except LumaError as error:
            self._note(f"The balance cannot be read: {error}")
        where = (self.client.name, request.resolution, request.duration)
        seconds = self.log.typical_elapsed(*where)
        return Preflight(
            videos=videos,
            seconds=None if seconds is None else seconds * videos,
            balance=balance,
            price=self.log.measured_price(*where),
        )

    # Reading -----------------------------------------------------------------------------

    @property
    def df(self) -> DataFrame:
        """The submissions of this experiment as a new DataFrame, oldest first."""
        return self.log.frame(self.name)

    @property
    def simulated(self) -> bool:
        """Whether the simulator is used, so that nothing is paid."""
        return self.client.name == SIMULATOR_NAME

    @property
    def banner(self) -> str:
        """One sentence that says which service is used."""
        return banner(self.client)

    def rows(self, since: int = 0) -> list[Row]:
        """Return the rows of this experiment that changed after a revision, oldest first.

        Parameters
        ----------
        since : int, default 0
            A revision of the log; 0 gives every row.

        Returns
        -------
        list of dict
            Every column by name; ``files`` are absolute paths, times are microseconds since 1970.
        """
        found = self.log.rows(experiment=self.name, since=since)
        return [self._shown(row) for row in found]

    def row(self, row_id: str) -> Row:
        """Return one row; raises LogError when there is none with this id."""
        return self._shown(self.log.get(row_id))

    def get(self, row_id: str) -> Submission:
        """Return the submission of a row; raises LogError when there is none with this id."""
        self.log.get(row_id)
        return Submission(self, row_id)

    def submissions(self) -> list[Submission]:
        """Return every submission of this experiment, oldest first."""
        return [Submission(self, row["id"]) for row in self.log.rows(experiment=self.name)]

    def estimate(self, of: Row | Ray2Request) -> float | None:
        """Return the seconds that a video takes: learned from the log, else the service's word.

        Parameters
        ----------
        of : dict or Ray2Request
            A row, or a request that has not been sent.
        """
        if isinstance(of, Ray2Request):
            return self.log.typical_elapsed(self.client.name, of.resolution, of.duration)
        learned = self.log.typical_elapsed(of["base_url"], of["resolution"], of["duration"])
        return learned if learned is not None else of["estimated_time"]

    # Life cycle --------------------------------------------------------------------------

    def resume(self) -> int:
        """Pick up what earlier sessions left: settle rows of dead programs, poll every task.

        Nothing is ever created here. Rows of another service than this client's are left alone.

        Returns
        -------
        int
            How many tasks are followed now that were not before.
        """
        for row in self.log.recover():
            self._on_change(row)
        for kept in self._context.spill.answers():
            self._absorb(kept)
        rows = self.log.rows(states=RUNNING)
        mine = [row for row in rows if row["base_url"] == self.client.name]
        before = len(self._context.poller)
        for row in mine:
            self._watcher.watch(row)
        others = sorted({row["base_url"] for row in rows} - {self.client.name})
        if others:
            self._note(
                f"{len(rows) - len(mine)} unfinished tasks belong to {', '.join(others)}; "
                "open the experiment with a client of that service to follow them."
            )
        return len(self._context.poller) - before

    def wait_for_change(self, timeout: float | None = None) -> None:
        """Wait until a row changes, half a second at most: other programs change rows too."""
        with self._changed:
            self._changed.wait(0.5 if timeout is None else min(0.5, timeout))

    def close(self, timeout: float = 5.0) -> None:
        """Stop the background work. What is on its way and unanswered becomes ``unknown``.

        Parameters
        ----------
        timeout : float, default 5.0
            Seconds to wait for answers that are due.
        """
        deadline = time.monotonic() + timeout
        self._sender.close()
        while self._sender.busy and time.monotonic() < deadline:
            self.wait_for_change(0.05)
        self._sender.settle_unknown()
        self._watcher.close()
        self._context.poller.close()
        if self._owns_log:
            self.log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Experiment {self.name!r}: {self.client.name}, log {self.log.name}>"

    def _shown(self, row: Row) -> Row:
        return {**row, "files": [str(self.folder.parent / file) for file in row["files"]]}

    def _absorb(self, kept: dict[str, Any]) -> None:
        """Put an answer into the log that the log could not take when it came."""
        answered = frozenset({State.SENDING, State.UNKNOWN})
        row = self.log.transition(
            str(kept.get("id")),
            State.PROCESSING,
            since=answered,
            task_id=kept.get("task_id"),
            estimated_time=kept.get("estimated_time"),
            error=None,
            error_type=None,
        )
        if row is not None:
            self._on_change(row)

    def _on_change(self, row: Row) -> None:
        with self._changed:
            self._changed.notify_all()
            revision = max(self.revision, int(row["revision"]))
        self.revision = revision

    def _note(self, text: str) -> None:
        self.notice = text
