"""What only a browser shows: messages, saved notebooks, uploads, the key, keyboard, themes."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, WebSocket, expect

from .bench import Kernel, Server, run_all
from .test_frontends import PROMPT, open_studio

CANARY = "key_canary0123456789canary0123456789"
FORM = """
import luma_widgets as lw
form = lw.RequestForm()
runs = globals().get("runs", 0) + 1
form
"""
Connect = Callable[[set[Path]], Kernel]


class Traffic:
    """Counts the comm messages that pass the page's websockets, in both directions."""

    def __init__(self, page: Page) -> None:
        self.up = 0
        self.down = 0
        page.on("websocket", self._listen)

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framesent", lambda data: self._count(data, "up"))
        socket.on("framereceived", lambda data: self._count(data, "down"))

    def _count(self, data: Any, way: str) -> None:
        text = data if isinstance(data, bytes) else str(data).encode()
        if b'"comm_msg"' in text or b'"comm_open"' in text:
            # The header of the message that was answered names its kind too.
            kinds = text.count(b'"msg_type":"comm_') + text.count(b'"msg_type": "comm_')
            parent = text.find(b'"comm_id"') < 0
            setattr(self, way, getattr(self, way) + (0 if parent or not kinds else 1))


def open_form(page: Page, server: Server, name: str) -> None:
    """Show a form alone in JupyterLab."""
    page.goto(server.address(f"lab/tree/{server.write(name, FORM)}"))
    run_all(page)
    page.locator(".lw-generate").wait_for(timeout=60_000)
    expect(page.locator(".lw-count")).to_be_visible()


def test_typing_costs_nothing_and_an_edit_is_sent_once(page: Page, server: Server) -> None:
    """No message while keys follow each other; after half a second one, answered by at most 4."""
    traffic = Traffic(page)
    open_form(page, server, "typing.ipynb")
    assert 10 < traffic.down <= 40
    prompt = page.get_by_label("Prompt", exact=True)
    prompt.click()
    page.wait_for_timeout(500)
    traffic.up = traffic.down = 0
    prompt.press_sequentially("A cat walking", delay=30)
    expect(page.locator(".lw-count")).to_have_text("13 characters")
    assert (traffic.up, traffic.down) == (0, 0)
    expect(page.locator(".lw-generate")).to_be_enabled()
    page.wait_for_timeout(700)
    assert traffic.up == 1
    assert 1 <= traffic.down <= 4
    prompt.blur()
    page.wait_for_timeout(700)
    assert traffic.down <= 4, "leaving the field must not send the same edit again"


def test_ctrl_enter_commits_and_does_not_run_the_cell(
    page: Page, server: Server, kernel_of: Connect
) -> None:
    """Ctrl+Enter in the prompt commits at once; the notebook's own shortcut stays out of it."""
    before = server.connections()
    open_form(page, server, "keys.ipynb")
    kernel = kernel_of(before)
    prompt = page.get_by_label("Prompt", exact=True)
    prompt.fill("A dog")
    prompt.press("Control+Enter")
    page.wait_for_timeout(200)
    assert kernel.get("form.request.prompt") == "A dog"
    assert kernel.get("runs") == 1


def test_d4_half_an_emoji_is_refused_in_the_browser(page: Page, server: Server) -> None:
    """Text that no message can carry is told beside the field, and Generate goes off."""
    open_form(page, server, "emoji.ipynb")
    prompt = page.get_by_label("Prompt", exact=True)
    prompt.fill("A cat")
    expect(page.locator(".lw-generate")).to_be_enabled()
    prompt.evaluate(
        """(box) => {
          box.value = "A cat \\ud83d";
          box.dispatchEvent(new Event("input", { bubbles: true }));
        }"""
    )
    expect(page.locator(".lw-field-prompt .lw-note")).to_contain_text("broken emoji")
    expect(page.locator(".lw-generate")).to_be_disabled()
    prompt.fill("A cat 😀")
    expect(page.locator(".lw-generate")).to_be_enabled()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Return a PNG above one piece of upload."""
    path = tmp_path / "noise.png"
    noise = os.urandom(900 * 600 * 3)
    Image.frombytes("RGB", (900, 600), noise).save(path)
    assert path.stat().st_size > 1_200_000
    return path


@pytest.fixture
def saved(page: Page, server: Server, kernel_of: Connect, picture: Path) -> Iterator[str]:
    """Return the text of a notebook in which everything was used, saved with its widgets."""
    before = server.connections()
    open_studio(page, server, "lab")
    kernel = kernel_of(before)
    page.get_by_role("button", name="Image to video").click()
    upload(page, picture)
    page.get_by_label("Prompt", exact=True).fill(PROMPT)
    page.locator(".lw-preview summary").click()
    expect(page.locator(".lw-code")).to_contain_text("image_urls")
    page.locator(".lw-generate").click()
    card = page.locator(".lw-result").first
    expect(card).to_have_attribute("data-state", "stored", timeout=30_000)
    expect(card.locator("img.lw-poster")).to_be_visible()
    card.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('.lw-result video')?.currentTime > 0.1")
    page.get_by_label("API key", exact=True).fill(CANARY)
    page.get_by_role("button", name="Use key").click()
    expect(page.get_by_label("API key", exact=True)).to_have_value("")
    kernel.wait("studio.key.has_key", True)
    video = Path(kernel.get("[f for r in exp.rows() for f in r['files']]")[0]).read_bytes()
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_timeout(1000)
    text = (server.root / "lab.ipynb").read_text()
    state = json.loads(text)["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]
    assert any("lw-studio" in str(model) for model in state["state"].values())
    for secret in (picture.read_bytes(), video):
        for start in (0, 1000, len(secret) // 2, len(secret) // 2 + 1, len(secret) // 2 + 2):
            assert base64.b64encode(secret[start : start + 60]).decode() not in text
    yield text


def upload(page: Page, picture: Path) -> None:
    """Choose a local picture as the start image, and wait for its address."""
    page.get_by_label("Choose a file: Start image").set_input_files(picture)
    field = page.locator(".lw-field-start_image")
    expect(field.locator(".lw-quiet")).to_have_text("Uploaded")
    expect(field.locator("input[type=text]")).to_have_value(lambda_url())
    expect(field.locator("img.lw-thumb")).to_be_visible()


def lambda_url() -> Any:
    """Return a pattern for an address of the simulator."""
    import re

    return re.compile(r"^http://127\.0\.0\.1:\d+/")


def test_b6_the_saved_notebook_holds_no_key_no_upload_and_no_video(saved: str) -> None:
    """With widget state saved the notebook has posters and texts only, and little of them."""
    assert PROMPT in saved
    assert "data:image/jpeg;base64," in saved
    assert "canary" not in saved
    assert len(saved) < 200_000


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [("cat.gif", 10, "JPEG and PNG"), ("big.png", 10_000_001, "10 MB"), ("no.png", 0, "empty")],
)
def test_c9_a_bad_picture_is_refused_before_it_is_sent(
    name: str, size: int, words: str, page: Page, server: Server, tmp_path: Path
) -> None:
    """Kind and size are checked in the browser; nothing is sent."""
    traffic = Traffic(page)
    open_form(page, server, "refused.ipynb")
    page.get_by_role("button", name="Image to video").click()
    page.wait_for_timeout(500)
    (tmp_path / name).write_bytes(b"." * size)
    traffic.up = 0
    page.get_by_label("Choose a file: Start image").set_input_files(tmp_path / name)
    expect(page.locator(".lw-field-start_image .lw-image [role=status]")).to_contain_text(words)
    assert traffic.up == 0


@pytest.mark.parametrize("width", [320, 400, 760, 1600])
def test_the_studio_fits(width: int, page: Page, server: Server) -> None:
    """From 320 to 1600 pixels nothing sticks out to the side."""
    page.set_viewport_size({"width": width, "height": 900})
    open_studio(page, server, "voila")
    page.get_by_label("Prompt", exact=True).fill("word" * 100)
    page.get_by_role("button", name="Image to video").click()
    page.wait_for_timeout(800)
    wide = page.evaluate(
        """() => [...document.querySelectorAll('.lw-studio *')]
          .filter((node) => node.checkVisibility() && !node.closest('.lw-code, select'))
          .filter((node) => node.getBoundingClientRect().right > innerWidth + 1)
          .map((node) => node.className)"""
    )
    assert wide == []


def test_every_control_has_a_name(page: Page, server: Server) -> None:
    """Each control that can be reached has a label that a screen reader can say."""
    open_studio(page, server, "voila")
    page.get_by_role("button", name="Image to video").click()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('.lw-studio :is(button, input, select, textarea)')]
          .filter((node) => node.checkVisibility())
          .filter((node) => !(node.textContent.trim() || node.getAttribute('aria-label')
            || node.labels?.[0]?.textContent.trim()))
          .map((node) => node.outerHTML)"""
    )
    assert nameless == []
