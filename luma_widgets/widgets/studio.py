"""The whole bench: form, queue and results over one experiment."""

from __future__ import annotations

import threading
from typing import Any

import ipywidgets

from ..config import ApiKey
from ..experiment import Experiment
from ..log import DONE, Row
from ..request import Ray2Request
from ..service import shared_simulator
from .cards import request_of
from .form import Click, RequestForm
from .head import StudioHead
from .key import ApiKeyField
from .latest import Latest
from .queue import QueueView
from .results import ResultsView

_AGAIN = "The same request is in progress, or its outcome is unknown. Make another video of it?"
_PAID = " It is paid separately."


class Studio(ipywidgets.Box):  # type: ignore[misc]  # ipywidgets has no types
    """A form, a queue and the results of an experiment, in one widget.

    Without a key it uses the simulator, which is said at the top at all times. Entering a key
    switches to the service; forgetting it switches back.

    Parameters
    ----------
    experiment : Experiment, optional
        By default a new one named "default", with ``luma.sqlite`` in the working folder.
    request : Ray2Request, optional
        What the form shows at first.
    **kwargs
        Traits of :class:`ipywidgets.Box`.

    Attributes
    ----------
    experiment : Experiment
        The one that Generate submits to; ``studio.experiment.df`` is its DataFrame.
    form : RequestForm
    key : ApiKeyField
    queue : QueueView
    results : ResultsView

    Raises
    ------
    LogError, ConfigurationError
        If the default experiment cannot be opened.

    Examples
    --------
    >>> studio = Studio(experiment)
    >>> studio.form.request.prompt
    ''
    >>> studio.close()
    """

    _open = False

    def __init__(
        self,
        experiment: Experiment | None = None,
        *,
        request: Ray2Request | None = None,
        **kwargs: Any,
    ) -> None:
        self._mine: list[Experiment] = []
        self._watched: list[Experiment] = []
        self._seen = 0
        self._reading = threading.Lock()
        self._estimates: dict[tuple[str, str], float | None] = {}
        if experiment is None:
            experiment = Experiment()
            self._mine.append(experiment)
        self.experiment = experiment
        self._build(request)
        super().__init__([self._bench], _dom_classes=("lw", "lw-studio"), **kwargs)
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
        self.results = ResultsView(load=self._load, _dom_classes=("lw-results-host",))
        parts = [self.head, self.key, self.form, self.queue, self.results]
        self._bench = ipywidgets.Box(parts, _dom_classes=("lw", "lw-bench"))

    def _use(self, experiment: Experiment) -> None:
        """Submit to this experiment from now on, and follow its rows."""
        self.experiment = experiment
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
        self.key.has_key = not experiment.simulated

    def _switch(self, key: ApiKey | None) -> None:
        """Go to the service with a key, or back to the simulator without one.

        The former experiment goes on following its own tasks; both write the same log.
        """
        log, name = self.experiment.log, self.experiment.name
        if key is None:
            client = shared_simulator(log.path).client()
            experiment = Experiment(name, client=client, log=log)
        else:
            experiment = Experiment(name, api_key=key, log=log)
        self._mine.append(experiment)
        self._use(experiment)

    # What the widgets ask for ------------------------------------------------------------

    def _generate(self, click: Click) -> None:
        if self.experiment.open_with(click.request):
            text = _AGAIN if self.experiment.simulated else _AGAIN + _PAID
            self.form.confirm(click, text, "Make another", lambda: self._submit(click))
        else:
            self._submit(click)

    def _submit(self, click: Click) -> None:
        for number in range(click.repeats):
            take = f"{click.id}-{number}" if number else click.id
            self.experiment.submit(click.request, take=take)
        made = "1 video" if click.repeats == 1 else f"{click.repeats} videos"
        self.form.aid.say(f"Submitted: {made}.", "good")

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
        if any(row["state"] in DONE for row in rows):
            self._ahead.poke()  # balance, learned time and price may have changed

    def _preflight(self) -> None:
        form = self.form
        if form.problems:
            form.preflight = ""
            return
        self.form.preflight = str(self.experiment.preflight(form.request, form.repeats))

    def _no_preflight(self, error: BaseException) -> None:
        self.form.preflight = "Time, balance and price are not known."
        self.head.show_error(error)
