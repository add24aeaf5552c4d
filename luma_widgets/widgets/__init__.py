"""The widgets: form, key field, queue, results, and the studio that is made of them."""

from __future__ import annotations

from .form import Click, RequestForm
from .key import ApiKeyField
from .queue import QueueView
from .results import ResultsView
from .studio import Studio

__all__ = ["ApiKeyField", "Click", "QueueView", "RequestForm", "ResultsView", "Studio"]
