"""The studio's first line: which service is used, its limits, and what is wrong."""

from __future__ import annotations

import traitlets

from .parts import Part, script, style


class StudioHead(Part):
    """Says at all times whether videos are simulated or paid, the limits, the latest trouble."""

    _esm = script("studio")
    _css = style("studio")
    banner = traitlets.Unicode("").tag(sync=True)
    simulated = traitlets.Bool(True).tag(sync=True)
    limits = traitlets.Unicode("").tag(sync=True)
    notice = traitlets.Unicode("").tag(sync=True)
