"""Interactive widgets for Luma Ray 2 video generation through the Pixwith API.

The public names are loaded when they are first used, so that ``import luma_widgets`` costs next
to nothing: pandas, SQLAlchemy, requests and ipywidgets come in with the part that needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public name -> the module of this package that defines it.
_HOME = {
    "Ray2Request": "request",
    "PixwithClient": "client",
    "Task": "client",
    "TaskState": "client",
    "TaskStatus": "client",
    "Simulator": "service",
    "Experiment": "experiment",
    "Submission": "submission",
    "ExperimentLog": "log",
    "read_log": "log",
    "Doubt": "doubts",
    "SpendLimits": "limits",
    "Spent": "limits",
    "RequestForm": "widgets",
    "ApiKeyField": "widgets",
    "QueueView": "widgets",
    "ResultsView": "widgets",
    "Studio": "widgets",
    "LumaError": "errors",
    "Problem": "errors",
    "RequestError": "errors",
    "ConfigurationError": "errors",
    "MissingDependencyError": "errors",
    "ConfirmationNeededError": "errors",
    "SpendLimitError": "errors",
    "LogError": "errors",
    "ApiError": "errors",
    "RejectedError": "errors",
    "AuthenticationError": "errors",
    "InsufficientCreditsError": "errors",
    "NotSentError": "errors",
    "RateLimitedError": "errors",
    "OutcomeUnknownError": "errors",
    "ServiceError": "errors",
    "TaskFailedError": "errors",
    "MediaError": "errors",
    "ExpiredError": "errors",
}

__all__ = ["__version__", *_HOME]  # noqa: PLE0604 - the keys are strings

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register ``%luma`` and ``%%luma``; called by ``%load_ext luma_widgets``."""
    from .magics import LumaMagics

    shell.register_magics(LumaMagics)
