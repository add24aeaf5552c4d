"""A few submissions, live: their progress, then their videos."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

import ipywidgets

from ..experiment import Experiment
from ..log import DONE, State
from .latest import Latest
from .queue import QueueView
from .results import ResultsView

_SETTLED = DONE - {State.UNKNOWN}


class SubmissionsView(ipywidgets.Box):  # type: ignore[misc]  # ipywidgets has no types
    """Follows chosen submissions of an experiment until each of them is done.

    One whose outcome is unknown offers the ways out of it; when it is submitted again, the new
    one is followed as well.

    Parameters
    ----------
    experiment : Experiment
    ids : iterable of str
        The ids of their rows.
    **kwargs
        Traits of :class:`ipywidgets.Box`.

    Examples
    --------
    >>> video = experiment.submit(request)
    >>> view = SubmissionsView(experiment, [video.id])
    >>> view.close()
    """

    def __init__(self, experiment: Experiment, ids: Iterable[str], **kwargs: Any) -> None:
        self._experiment = experiment
        self._ids = set(ids)
        self._seen = 0
        self.queue = QueueView(cancel=experiment.cancel, estimate=experiment.estimate)
        self.results = ResultsView(doubts=lambda _row: experiment)
        super().__init__(
            [self.queue, self.results], _dom_classes=("lw", "lw-submissions"), **kwargs
        )
        self._live = Latest("submissions", self._refresh, self.queue.show_error)
        self._refresh()
        if self._ids:
            experiment.observe(self._poke, "revision")
            self._live.poke()  # a row may have changed since it was read

    def close(self) -> None:
        """Take the view away; the submissions go on."""
        self._stop()
        self._live.close()
        self.queue.close()
        self.results.close()
        super().close()

    def _poke(self, _change: object) -> None:
        self._live.poke()

    def _stop(self) -> None:
        with contextlib.suppress(ValueError):  # traitlets raises it where nothing is observed
            self._experiment.unobserve(self._poke, "revision")

    def _refresh(self) -> None:
        rows = self._experiment.rows(since=self._seen)
        self._seen = max((row["revision"] for row in rows), default=self._seen)
        self._ids |= {row["id"] for row in rows if row["retry_of"] in self._ids}
        mine = [row for row in rows if row["id"] in self._ids]
        self.queue.update(mine)
        self.results.update(mine)
        # What is unknown may still be settled, here or by a late answer.
        self._ids -= {row["id"] for row in mine if row["state"] in _SETTLED}
        if not self._ids:
            self._stop()
