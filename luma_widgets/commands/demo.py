"""``luma-widgets demo``: JupyterLab on the quickstart notebook, in a folder of the user's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from ..errors import ConfigurationError, MissingDependencyError

_NOTEBOOK = "quickstart.ipynb"


def demo(folder: str, *, browser: bool = True, port: int | None = None) -> int:
    """Copy the notebook, unless it is there, and become JupyterLab until it is stopped.

    Parameters
    ----------
    folder : str
        Created when it is missing; what is in it stays as it is.
    browser : bool, default True
        Open a browser.
    port : int, optional
        By default JupyterLab takes the next free one.

    Raises
    ------
    MissingDependencyError
        If the ``demo`` extra is not installed.
    """
    if find_spec("jupyterlab") is None or find_spec("av") is None:
        raise MissingDependencyError("The demo needs: pip install 'luma-widgets[demo]'")
    where = Path(folder).expanduser()
    try:
        where.mkdir(parents=True, exist_ok=True)
        target = where / _NOTEBOOK
        if not target.exists():
            shutil.copyfile(notebooks() / _NOTEBOOK, target)
    except OSError as error:
        raise ConfigurationError(f"The folder {where} cannot be used: {error}") from None
    print(f"Working in {where.resolve()}. Press Ctrl+C twice to stop.", flush=True)
    command = [sys.executable, "-m", "jupyterlab", f"--LabApp.default_url=/lab/tree/{_NOTEBOOK}"]
    command += [] if browser else ["--no-browser"]
    command += [] if port is None else [f"--port={port}"]
    # Jupyter refuses to run as root unless told to; in a container there is often nobody else.
    command += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    os.chdir(where)
    if os.name == "posix":
        os.execv(sys.executable, command)  # noqa: S606 - signals reach JupyterLab itself then
    return subprocess.call(command)  # noqa: S603 - our own arguments


def notebooks() -> Path:
    """Return the folder of the notebooks: in the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "notebooks"
    return installed if installed.is_dir() else package.parent / "notebooks"
