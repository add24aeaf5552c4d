"""A Jupyter server, a browser and a kernel to look into, for the tests in this folder."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.blocking.client import BlockingKernelClient
from playwright.sync_api import Page

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--autoplay-policy=no-user-gesture-required",
]
NAMES = ("chromium", "chromium-browser", "google-chrome")
SETTINGS = {
    "@jupyter-widgets/jupyterlab-manager/plugin": {"saveState": True},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


def find_chromium() -> str | None:
    """Return the path of a Chromium, or None."""
    given = os.environ.get("LUMA_WIDGETS_CHROMIUM")
    return given or next(filter(None, map(shutil.which, NAMES)), None)


@dataclass
class Server:
    """A running Jupyter server."""

    url: str
    token: str
    root: Path
    runtime: Path
    process: subprocess.Popen[bytes]

    def shut_kernels_down(self) -> None:
        """End every kernel, so that the next test begins with none."""
        for kernel in json.loads(self._ask("GET", "api/kernels")):
            self._ask("DELETE", f"api/kernels/{kernel['id']}")

    def _ask(self, method: str, place: str) -> str:
        request = urllib.request.Request(self.address(place), method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            text: str = answer.read().decode()
            return text

    def address(self, place: str, **query: str) -> str:
        """Return the address of a page, with the token in it."""
        more = "".join(f"&{name}={value}" for name, value in query.items())
        return f"{self.url}/{place}?token={self.token}{more}"

    def write(self, stem: str, *cells: str) -> str:
        """Put a notebook with a new name into the server's folder."""
        name = f"{stem}-{uuid.uuid4().hex[:8]}.ipynb"
        made = [nbformat.v4.new_code_cell(cell) for cell in cells]
        notebook = nbformat.v4.new_notebook(cells=made)
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(notebook, self.root / name)
        return name

    def connections(self) -> set[Path]:
        """List the connection files of the kernels that were started."""
        return set(self.runtime.glob("kernel-*.json"))

    def stop(self) -> None:
        """End the server and its kernels."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_server(folder: Path) -> Server:
    """Start JupyterLab, Notebook and Voila as one server in a folder of its own."""
    root, runtime, settings = (folder / name for name in ("root", "runtime", "settings"))
    for place in (root, runtime, settings):
        place.mkdir(parents=True)
    for name, values in SETTINGS.items():
        path = settings / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    port, token = _free_port(), "browser-tests"
    options = {
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": root,
        "IdentityProvider.token": token,
        "ServerApp.allow_root": True,
        "LabApp.expose_app_in_browser": True,
        "JupyterNotebookApp.expose_app_in_browser": True,
        "VoilaConfiguration.show_tracebacks": True,
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser"]
    command += [f"--{name}={value}" for name, value in options.items()]
    log = (folder / "server.log").open("wb")
    with log:
        process = subprocess.Popen(
            command, cwd=root, env=_environment(folder), stdout=log, stderr=subprocess.STDOUT
        )
    server = Server(f"http://127.0.0.1:{port}", token, root, runtime, process)
    _wait_for(server, folder / "server.log")
    return server


class Kernel:
    """A second client of the kernel behind a page."""

    def __init__(self, connection: Path) -> None:
        self._client = BlockingKernelClient()
        self._client.load_connection_file(str(connection))
        self._client.start_channels()

    def get(self, expression: str) -> Any:
        """Return the value of an expression in the kernel, by way of JSON."""
        code = f"import json; __value = json.dumps({expression})"
        reply = self._client.execute_interactive(
            code,
            user_expressions={"value": "__value"},
            store_history=False,
            timeout=30,
            output_hook=lambda _message: None,
        )
        content = reply["content"]
        assert content["status"] == "ok", content
        text = content["user_expressions"]["value"]["data"]["text/plain"]
        return json.loads(eval(text))  # noqa: S307 - the repr of our own JSON string

    def wait(self, expression: str, expected: Any, timeout: float = 20) -> None:
        """Wait until an expression in the kernel has a value."""
        end = time.monotonic() + timeout
        while (value := self.get(expression)) != expected:
            assert time.monotonic() < end, f"{expression} is {value!r}, not {expected!r}"
            time.sleep(0.1)

    def close(self) -> None:
        """Leave the kernel alone again."""
        self._client.stop_channels()


def run_all(page: Page) -> None:
    """Run every cell of the notebook that the page shows, once its kernel is there."""
    page.wait_for_function("window.jupyterapp?.commands?.hasCommand('notebook:run-all-cells')")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    page.wait_for_function(
        """() => {
          const panel = window.jupyterapp.shell.currentWidget;
          return panel?.sessionContext?.session?.kernel?.status === 'idle';
        }"""
    )
    page.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _environment(folder: Path) -> dict[str, str]:
    """Return an environment that reads and writes nothing of the user's own."""
    hidden = ("PIXWITH_", "BINDER_", "JUPYTER", "LUMA_WIDGETS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    places = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    return {**kept, **{name: str(folder / place) for name, place in places.items()}}


def _wait_for(server: Server, log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and server.process.poll() is None:
        try:
            with urllib.request.urlopen(server.address("api/status"), timeout=2):  # noqa: S310
                return
        except OSError:
            time.sleep(0.2)
    server.stop()
    raise RuntimeError(f"The Jupyter server did not start:\n{log.read_text()[-3000:]}")
