"""A stand-in for the service: a real HTTP server on this machine that renders real clips.

It speaks the service's contract strictly, keeps a balance, takes its time and can be told to fail.
Its prices, times and pictures are its own: nothing it says is a fact about the service, and nothing
it does costs money.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .server import SimulatorServer

__all__ = ["SimulatorServer"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .server import SimulatorServer

    globals()[name] = SimulatorServer
    return SimulatorServer
