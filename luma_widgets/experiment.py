"""An experiment: a client, a log and the background work between them."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Self

from traitlets import Int, Unicode

from .background.runner import Runner
from .client import PixwithClient
from .config import ApiKey, Settings, masked
from .doubts import Doubts
from .errors import ConfigurationError, ConfirmationNeededError, LogError
from .limits import SpendLimits, Spent
from .log import ExperimentLog, Row, State
from .media import images
from .overview import ASK_FIRST
from .request import Ray2Request
from .service import connect
from .spending import Scope, Spending
from .submission import Submission

if TYPE_CHECKING:
    from PIL.Image import Image

LOG = logging.getLogger("luma_widgets.experiment")
FOLDER = "luma-files"
# Only a program that works on a row moves it out of these.
_SENDERS = frozenset({State.PREPARED, State.SENDING})


class Experiment(Doubts):
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
    limits : SpendLimits, optional
        Hard limits on what may be paid for; by default there are none. They do not hold on the
        simulator, where nothing is paid.

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
    >>> with Experiment("cats") as cats:
    ...     cats.banner
    'Simulator: videos are drawn on this machine, nothing is sent or paid. ...'
    >>> video = experiment.submit(Ray2Request(prompt="A cat walking in the garden"))
    >>> video.wait().state
    'stored'
    """

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
        limits: SpendLimits | None = None,
    ) -> None:
        api_key = masked(api_key)
        super().__init__()
        self.set_trait("name", _checked_name(name))
        settings = Settings.load(api_key=api_key, log=None)
        self.log = log if isinstance(log, ExperimentLog) else ExperimentLog(log or settings.log)
        self._owns_log = self.log is not log
        self.client = client or self._connect(settings)
        self._owns_client = client is None
        base = self.log.path.parent if self.log.path else Path.cwd()
        self.folder = base / FOLDER
        self.limits = limits or SpendLimits()
        held = SpendLimits() if self.simulated else self.limits
        self._spending = Spending(self.log, self.name, self.client.name, held)
        self._changed = threading.Condition()
        self._telling = threading.RLock()
        self._closed = False
        self._runner = Runner(
            self.client,
            self.log,
            self.folder,
            on_revision=self._on_revision,
            on_notice=self._note,
            measure=measure,
        )
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
        SpendLimitError
            If it would pass one of the ``limits``; nothing is sent then.
        LogError
            If the row cannot be written; nothing is sent then.
        """
        if self._closed:
            raise LogError("This experiment is closed. Open it again to submit; nothing was sent.")
        ask = () if confirmed else ASK_FIRST
        row, fresh = self._prepare(request, take, ask)
        if not fresh and row["state"] in _SENDERS and self._runner.recover():
            # It was another program's, which is gone.
            row, fresh = self._prepare(request, take, ask)
        if fresh:
            self._runner.start(row)
        elif not confirmed and (row["experiment"], row["take"]) != (self.name, str(take)):
            raise ConfirmationNeededError(
                f"The same request is {row['state']} already (submission {row['id']}). "
                "To pay for another video, pass confirmed=True."
            )
        return Submission(self, row["id"])

    def spent(self, scope: Scope = "experiment") -> Spent:
        """Say what was paid for, or may have been.

        Parameters
        ----------
        scope : {"experiment", "session"}
            This experiment, over all programs that write its log; or this program, over all
            experiments of the same service.
        """
        return self._spending.spent(scope)

    def upload(self, source: str | Path | bytes | Image) -> str:
        """Upload an image and return its address; the same bytes are uploaded only once.

        The address is part of a request, so uploading again would make a new, paid intent of the
        same cell.

        Parameters
        ----------
        source : str, Path, bytes or PIL.Image.Image
            A JPEG or PNG image, 10 MB at most.

        Raises
        ------
        MediaError
            If it is no such image.
        ApiError
            If the service does not take it.
        """
        picture = images.load(source)
        digest = hashlib.sha256(picture.data).hexdigest()
        known = self.log.uploaded(self.client.name, digest)
        if known is None:
            known = self.client.upload_image(picture.data)
            self.log.remember_upload(self.client.name, digest, known)
        return known

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
            self._runner.tell(row)
        return row is not None

    def get(self, row_id: str) -> Submission:
        """Return the submission of a row; raises LogError when there is none with this id."""
        self.log.get(row_id)
        return Submission(self, row_id)

    def submissions(self) -> list[Submission]:
        """Return every submission of this experiment, oldest first."""
        return [Submission(self, row["id"]) for row in self.log.rows(experiment=self.name)]

    # Life cycle --------------------------------------------------------------------------

    def resume(self) -> int:
        """Pick up what earlier sessions left: settle rows of dead programs, poll every task.

        Nothing is ever created here. Rows of another service than this client's are left alone.

        Returns
        -------
        int
            How many tasks are followed now that were not before.
        """
        return self._runner.resume()

    def gave_up(self, row_id: str) -> bool:
        """Tell whether the files of a finished video could not be fetched, after several tries."""
        return self._runner.gave_up(row_id)

    def wait_for_change(self, timeout: float | None = None) -> None:
        """Wait until a row changes, half a second at most: other programs change rows too."""
        with self._changed:
            self._changed.wait(0.5 if timeout is None else min(0.5, timeout))

    def close(self, timeout: float = 5.0) -> None:
        """Stop the background work; what runs at the service is followed when it is opened again.

        What is still waiting to be sent is given up, and what is on its way and unanswered
        becomes ``unknown``.

        Parameters
        ----------
        timeout : float, default 5.0
            Seconds to wait for that.
        """
        self._closed = True
        self._runner.close(timeout)
        if self._owns_client:
            self.client.close()
        if self._owns_log:
            self.log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Experiment {self.name!r}: {self.client.name}, log {self.log.name}>"

    def _prepare(
        self,
        request: Ray2Request,
        take: int | str,
        unless_open: Collection[State] = (),
        retry_of: str | None = None,
    ) -> tuple[Row, bool]:
        """Put an intent on disk, unless it is there already or would pass a limit."""
        return self.log.prepare(
            request,
            experiment=self.name,
            base_url=self.client.name,
            take=take,
            unless_open=unless_open,
            guard=self._spending.guard(request),
            **({} if retry_of is None else {"retry_of": retry_of}),
        )

    def _put(self, request: Ray2Request, take: str, *, retry_of: str) -> Submission:
        row, fresh = self._prepare(request, take, retry_of=retry_of)
        if fresh:
            self._runner.start(row)
        return Submission(self, row["id"])

    def _submission(self, row_id: str) -> Submission:
        return Submission(self, row_id)

    def _connect(self, settings: Settings) -> PixwithClient:
        try:
            return connect(settings, self.log.path)
        except BaseException:
            if self._owns_log:
                self.log.close()
            raise

    def _on_revision(self, revision: int) -> None:
        with self._changed:
            self._changed.notify_all()
        try:
            with self._telling:  # so that two threads cannot make the revision go back
                self.revision = max(self.revision, revision)
        except Exception as error:  # noqa: BLE001 - an observer must not stop what is paid for
            self._note(f"An observer of the experiment failed: {type(error).__name__}: {error}")

    def _note(self, text: str) -> None:
        try:
            self.notice = text
        except Exception:
            LOG.exception("An observer of the notices of %r failed", self)


def _checked_name(name: object) -> str:
    try:
        if type(name) is str and name.strip() and name == Ray2Request.prompt.check(name):
            return name
    except ValueError:
        pass
    raise ConfigurationError(
        f"An experiment needs a name without control characters, not {name!r}."
    )
