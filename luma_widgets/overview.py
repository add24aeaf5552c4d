"""What an experiment can tell: its rows, what is open, what a request would take. No changes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from traitlets import HasTraits, Unicode

from .client import PixwithClient
from .errors import LumaError
from .log import NEVER_PAID, OPEN, ExperimentLog, Row, State
from .preflight import Preflight
from .request import Ray2Request
from .service import SIMULATOR_NAME, banner

if TYPE_CHECKING:
    from pandas import DataFrame

ASK_FIRST = frozenset({*OPEN, State.UNKNOWN})


class Overview(HasTraits):
    """The reading half of an :class:`~luma_widgets.Experiment`.

    Attributes
    ----------
    name : str
        A trait that is never changed.
    client : PixwithClient
    log : ExperimentLog
    folder : Path
        Where results go.
    """

    name = Unicode(read_only=True)
    client: PixwithClient
    log: ExperimentLog
    folder: Path

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

    def open_with(self, request: Ray2Request) -> list[Row]:
        """List the rows of the same request that are open, or whose outcome is unknown."""
        rows = self.log.rows(states=ASK_FIRST, fingerprint=request.fingerprint)
        return [self._shown(row) for row in rows if row["base_url"] == self.client.name]

    def count_new(self, request: Ray2Request, takes: Iterable[int | str]) -> int:
        """Count the takes that :meth:`submit` would send: those not paid for, or open, yet."""
        rows = self.log.rows(experiment=self.name, fingerprint=request.fingerprint)
        there = {
            row["take"]
            for row in rows
            if row["base_url"] == self.client.name and row["state"] not in NEVER_PAID
        }
        return sum(str(take) not in there for take in takes)

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

    def _shown(self, row: Row) -> Row:
        return {**row, "files": [str(self.folder.parent / file) for file in row["files"]]}

    def _note(self, text: str) -> None:
        raise NotImplementedError
