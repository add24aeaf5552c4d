"""The durable log: the ledger of submissions, and the DataFrame that shows it."""

from __future__ import annotations

from .rows import Row, request_of
from .salvage import read_log
from .states import DONE, NEVER_PAID, OPEN, OUTCOME_UNKNOWN, RUNNING, WORDS, State
from .store import ExperimentLog

__all__ = [
    "DONE",
    "NEVER_PAID",
    "OPEN",
    "OUTCOME_UNKNOWN",
    "RUNNING",
    "WORDS",
    "ExperimentLog",
    "Row",
    "State",
    "read_log",
    "request_of",
]
