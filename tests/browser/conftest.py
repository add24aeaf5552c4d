"""One Jupyter server and one browser for all tests here; without Chromium they are skipped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from .bench import FLAGS, Kernel, Server, find_chromium, start_server

MISSING = (
    "Chromium is not installed. Install it (Debian: apt-get install chromium) or set "
    "LUMA_WIDGETS_CHROMIUM to the path of a Chromium or Chrome."
)
SHOTS = Path(__file__).parents[2] / "test-results"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder, and let it wait longer than other tests."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Return a running Chromium; skip without one, and fail in a CI."""
    path = find_chromium()
    if path is None and os.environ.get("CI", "").lower() == "true":
        pytest.fail(MISSING)
    if path is None:
        pytest.skip(MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a Jupyter server with a folder and settings of its own."""
    running = start_server(tmp_path_factory.mktemp("jupyter"))
    yield running
    running.stop()


@pytest.fixture
def tab(chromium: Browser, server: Server, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Return a new browser tab. An error of our own scripts fails the test; a picture is kept."""
    context = chromium.new_context(viewport={"width": 1360, "height": 1000})
    shown = context.new_page()
    shown.set_default_timeout(20_000)
    ours: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error" and ("anywidget" in message.text or "lw-" in message.text):
            ours.append(message.text)

    shown.on("console", listen)
    yield shown
    SHOTS.mkdir(exist_ok=True)
    shown.screenshot(path=SHOTS / f"{request.node.name}.png".replace("/", "_"))
    context.close()
    server.shut_kernels_down()
    assert ours == []


@pytest.fixture
def kernel_of(server: Server) -> Iterator[Callable[[set[Path]], Kernel]]:
    """Return a function that connects to the kernel that was started since."""
    kernels: list[Kernel] = []

    def connect(before: set[Path]) -> Kernel:
        (connection,) = server.connections() - before
        kernels.append(Kernel(connection))
        return kernels[-1]

    yield connect
    for kernel in kernels:
        kernel.close()
