"""What stands between a program and its machine: a full disk, a jumping clock, a trace of writes.

``shim.c`` is compiled once for each run of the tests, with ``cc``, and loaded by ``LD_PRELOAD``.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "shim.c"


def missing(what: str) -> None:
    """Say that something cannot be tested here: a failure in a CI, a skip elsewhere."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(what)
    pytest.skip(what)


@cache
def library() -> Path:
    """Compile the shim, and return its path."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        missing("This needs Linux and a C compiler (Debian: apt-get install gcc libc6-dev).")
    folder = tempfile.mkdtemp(prefix="luma-shim-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    target = Path(folder) / "shim.so"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Werror"]
    subprocess.run([str(compiler), *flags, "-o", str(target), str(SOURCE), "-ldl"], check=True)
    return target


def shimmed(**settings: object) -> dict[str, str]:
    """Return an environment for a program under the shim: ``full=``, ``switch=``, ``clock=``..."""
    named = {f"LUMA_TEST_{name.upper()}": str(value) for name, value in settings.items()}
    return {**os.environ, **named, "LD_PRELOAD": str(library())}


@cache
def mounting() -> tuple[str, ...]:
    """Return the words before a command that may mount, in a mount namespace of its own."""
    for words in (("unshare", "-rm"), ("unshare", "-m")):
        probe = [*words, "sh", "-c", 'mount -t tmpfs tmpfs "$1"', "-", tempfile.gettempdir()]
        try:
            ran = subprocess.run(probe, capture_output=True, check=False, timeout=30)
        except OSError:
            continue
        if ran.returncode == 0:
            return words
    missing("This needs the right to mount a tmpfs in a namespace of its own (unshare -rm).")
    raise AssertionError
