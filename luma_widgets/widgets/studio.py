"""The whole bench: form, queue and results over one experiment."""

from __future__ import annotations

import threading
from typing import Any

import ipywidgets
import traitlets

from ..config import ApiKey
from ..doubts import Doubts
from ..errors import ConfigurationError, LumaError
from ..experiment import Experiment
from ..limits import SpendLimits
from ..log import DONE, Row, request_of
from ..request import Ray2Request
from ..service import shared_simulator
from .form import Click, RequestForm
from .head import StudioHead
from .key import ApiKeyField
from .latest import Latest
from .queue import QueueView
from .results import ResultsView
from .spend import limits_in_words, question


class Studio(ipywidgets.Box):  # type: ignore[misc]  # ipywidgets has no types
    """A form, a queue and the results of an experiment, in one widget.

    Without a key it uses the simulator, which is said at the top at all times. Entering a key
    switches to the service; forgetting it switches back.

    On the service, Generate asks before the first paid request of a session (this program, from
    its start) and before a press that pays for many videos; on both, while the same request is
    open or its outcome is unknown. What must never be passed is a limit: see ``limits``.

    Parameters
    ----------
    experiment : Experiment, optional
        By default a new one named "default", with ``luma.sqlite`` in the working folder.
    request : Ray2Request, optional
        What the form shows at first.
    confirm_above_videos : int or None, default 4
        A press of Generate that pays for more videos is asked about first. None never asks for
        their number.
    confirm_above_credits : float or None, default None
        The same for credits; a press whose price was not measured yet is asked about too. None
        never asks for credits.
    limits : SpendLimits, optional
        Hard limits of the experiments that the studio opens itself: the default one, and the one
        that is opened when a key is entered. By default those of ``experiment``.
    **kwargs
        Traits of :class:`ipywidgets.Box`.

    Attributes
    ----------
    experiment : Experiment
        The one that Generate submits to; ``studio.experiment.df`` is its DataFrame.
    form : RequestForm
    confirm_above_videos, confirm_above_credits : int, float or None
        Traits, as above.
    limits : SpendLimits
        A trait. What holds now, and how much is used, is said under the title.
    key : ApiKeyField
    queue : QueueView
    results : ResultsView

    Raises
    ------
    LogError, ConfigurationError
        If the default experiment cannot be opened, or ``limits`` are not those of an
        ``experiment`` that pays already: it keeps its own.

    Examples
    --------
    >>> studio = Studio(experiment)
    >>> studio.form.request.prompt
    ''
    >>> studio.close()
    >>> careful = Studio(confirm_above_videos=1, limits=SpendLimits(session_videos=20))
    >>> careful.close()
    """

    confirm_above_videos = traitlets.Int(4, min=0, allow_none=True)
    confirm_above_credits = traitlets.Float(None, min=0, allow_none=True)
    limits = traitlets.Instance(SpendLimits)
    _open = False

    def __init__(
        self,
        experiment: Experiment | None = None,
        *,
        request: Ray2Request | None = None,
        confirm_above_videos: int | None = 4,
        confirm_above_credits: float | None = None,
        limits: SpendLimits | None = None,
        **kwargs: Any,
    ) -> None:
        self._mine: list[Experiment] = []
        self._watched: list[Experiment] = []
        self._seen = 0
        self._reading = threading.Lock()
        self._estimates: dict[tuple[str, str], float | None] = {}
        self._balance: float | None = None
        if experiment is None:
            experiment = Experiment(limits=limits)
            self._mine.append(experiment)
        self.experiment = experiment
        kept = _kept_limits(experiment, limits)
        self._build(request)
        super().__init__(
            [self._bench],
            _dom_classes=("lw", "lw-studio"),
            confirm_above_videos=confirm_above_videos,
            confirm_above_credits=confirm_above_credits,
            limits=kept,
            **kwargs,
        )
        self._live = Latest("studio-rows", self._refresh, self.head.show_error)
        self._ahead = Latest("studio-preflight", self._preflight, self._no_preflight, pause=0.3)
        self._use(experiment)
        self.form.observe(lambda _change: self._ahead.poke(), ["request", "problems"])
        self.form.controls.repeats.observe(lambda _change: self._ahead.poke(), "value")
        self.form.on_generate(self._generate)
        self.key.on_key(self._switch)
        self._open = True

    def close(self) -> None:
        """Take the studio away and end its background work; an experiment of its own closes too."""
        if not self._open:  # ipywidgets calls this again when the object is forgotten
            return
        self._open = False
        self._ahead.close()
        self._live.close()
        for experiment in self._watched:
            experiment.unobserve(self._row_changed, "revision")
            experiment.unobserve(self._show_service, "notice")
        for experiment in self._mine:
            experiment.close()
        for part in (self.head, self.key, self.form, self.queue, self.results, self._bench):
            part.close()
        super().close()

    def _build(self, request: Ray2Request | None) -> None:
        self.head = StudioHead(_dom_classes=("lw-head-host",))
        self.key = ApiKeyField(_dom_classes=("lw-key-host",))
        self.form = RequestForm(request, upload=self._upload)
        self.queue = QueueView(
            cancel=self._cancel, estimate=self._estimate, _dom_classes=("lw-queue-host",)
        )
        self.results = ResultsView(
            load=self._load, doubts=self._experiment_of, _dom_classes=("lw-results-host",)
        )
        parts = [self.head, self.key, self.form, self.queue, self.results]
        self._bench = ipywidgets.Box(parts, _dom_classes=("lw", "lw-bench"))

    def _use(self, experiment: Experiment) -> None:
        """Submit to this experiment from now on, and follow its rows."""
        self.experiment = experiment
        self._balance = None
        if experiment not in self._watched:
            self._watched.append(experiment)
            experiment.observe(self._row_changed, "revision")
            experiment.observe(self._show_service, "notice")
        self._show_service()
        self._refresh()
        self._ahead.poke()

    def _row_changed(self, _change: object) -> None:
        self._live.poke()

    def _show_service(self, _change: object = None) -> None:
        experiment = self.experiment
        with self.head.hold_sync():
            self.head.banner = experiment.banner
            self.head.simulated = experiment.simulated
            self.head.notice = experiment.notice
            self.head.limits = limits_in_words(experiment)
        self.key.has_key = not experiment.simulated

    def _switch(self, key: ApiKey | None) -> None:
        """Go to the service with a key, or back to the simulator without one.

        The former experiment goes on following its own tasks; both write the same log.
        """
        log, name = self.experiment.log, self.experiment.name
        if key is None:
            client = shared_simulator(log.path).client()
            experiment = Experiment(name, client=client, log=log, limits=self.limits)
        else:
            experiment = Experiment(name, api_key=key, log=log, limits=self.limits)
        self._mine.append(experiment)
        self._use(experiment)

    # What the widgets ask for ------------------------------------------------------------

    def _generate(self, click: Click) -> None:
        experiment = self.experiment  # the answer is about this one, whatever key comes meanwhile
        asked = question(
            experiment,
            click,
            balance=self._balance,
            above_videos=self.confirm_above_videos,
            above_credits=self.confirm_above_credits,
        )
        if asked is None:
            self._submit(click, experiment)
        else:
            self.form.confirm(click, *asked, lambda: self._submit(click, experiment))

    def _submit(self, click: Click, experiment: Experiment) -> None:
        for number in range(click.repeats):
            take = f"{click.id}-{number}" if number else click.id
            try:
                experiment.submit(click.request, take=take)
            except LumaError as error:
                if not number:
                    raise
                self.form.aid.say(_stopped(number, click.repeats, error))
                return
        made = "1 video" if click.repeats == 1 else f"{click.repeats} videos"
        self.form.aid.say(f"Submitted: {made}.", "good")

    def _experiment_of(self, row: Row) -> Doubts:
        """Return the experiment that settles a row: the present one, else one of its service."""
        known = [self.experiment, *reversed(self._watched)]
        same = [experiment for experiment in known if experiment.client.name == row["base_url"]]
        return same[0] if same else self.experiment

    def _upload(self, picture: bytes) -> str:
        return self.experiment.upload(picture)

    def _cancel(self, row_id: str) -> bool:
        return self.experiment.cancel(row_id)

    def _load(self, row: Row) -> None:
        self.form.request = request_of(row)

    def _estimate(self, row: Row) -> float | None:
        key = (row["id"], str(row["state"]))
        if key not in self._estimates:
            self._estimates[key] = self.experiment.estimate(dict(row))
        return self._estimates[key]

    # Background --------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Take in the rows that changed since the last time."""
        with self._reading:
            rows = self.experiment.rows(since=self._seen)
            if not rows:
                return
            self._seen = max(row["revision"] for row in rows)
            self.queue.update(rows)
            self.results.update(rows)
        experiment = self.experiment
        said = limits_in_words(experiment)
        if experiment is self.experiment:
            self.head.limits = said
        if any(row["state"] in DONE for row in rows):
            self._ahead.poke()  # balance, learned time and price may have changed

    def _preflight(self) -> None:
        form = self.form
        if form.problems:
            form.preflight = ""
            return
        experiment = self.experiment
        ahead = experiment.preflight(form.request, form.repeats)
        if experiment is self.experiment:  # else a key was entered meanwhile
            self._balance = ahead.balance
            form.preflight = str(ahead)

    def _no_preflight(self, error: BaseException) -> None:
        self.form.preflight = "Time, balance and price are not known."
        self.head.show_error(error)


def _kept_limits(experiment: Experiment, limits: SpendLimits | None) -> SpendLimits:
    """Return the limits for later experiments; refuse those that would not hold for this one."""
    if limits is None:
        return experiment.limits
    if not experiment.simulated and limits != experiment.limits:
        raise ConfigurationError(
            "This experiment pays already and keeps its own limits. "
            "Give them to it instead: Experiment(limits=...)."
        )
    return limits


def _stopped(submitted: int, wanted: int, error: LumaError) -> str:
    return f"{submitted} of {wanted} videos were submitted. The next one was not: {error}"
