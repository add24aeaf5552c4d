"""What only a browser shows: messages, saved notebooks, uploads, the key, keyboard, themes."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable
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
OUTSIDE = """
() => [...document.querySelectorAll('.lw-studio *')]
  .filter((node) => node.checkVisibility() && !node.closest('.lw-code, select'))
  .filter((node) => node.getBoundingClientRect().right > innerWidth + 1)
  .map((node) => node.className)
"""
Connect = Callable[[set[Path]], Kernel]


class Traffic:
    """Counts the comm messages that pass the page's websockets, in both directions."""

    def __init__(self, tab: Page) -> None:
        self.up = 0
        self.down = 0
        tab.on("websocket", self._listen)

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


def open_form(tab: Page, server: Server, name: str) -> None:
    """Show a form alone in JupyterLab."""
    notebook = server.write(name, FORM)
    tab.goto(server.address(f"lab/tree/{notebook}", reset=""))
    run_all(tab)
    tab.locator(".lw-generate").wait_for(timeout=60_000)
    expect(tab.locator(".lw-count")).to_be_visible()


def test_typing_costs_nothing_and_an_edit_is_sent_once(tab: Page, server: Server) -> None:
    """No message while keys follow each other; after half a second one, answered by at most 4."""
    traffic = Traffic(tab)
    open_form(tab, server, "typing")
    assert 10 < traffic.down <= 40
    prompt = tab.get_by_label("Prompt", exact=True)
    prompt.click()
    tab.wait_for_timeout(500)
    traffic.up = traffic.down = 0
    prompt.press_sequentially("A cat walking", delay=30)
    expect(tab.locator(".lw-count")).to_have_text("13 characters")
    assert (traffic.up, traffic.down) == (0, 0)
    expect(tab.locator(".lw-generate")).to_be_enabled()
    tab.wait_for_timeout(700)
    assert traffic.up == 1
    assert 1 <= traffic.down <= 4
    prompt.blur()
    tab.wait_for_timeout(700)
    assert traffic.down <= 4, "leaving the field must not send the same edit again"


def test_ctrl_enter_commits_and_does_not_run_the_cell(
    tab: Page, server: Server, kernel_of: Connect
) -> None:
    """Ctrl+Enter in the prompt commits at once; the notebook's own shortcut stays out of it."""
    before = server.connections()
    open_form(tab, server, "keys")
    kernel = kernel_of(before)
    prompt = tab.get_by_label("Prompt", exact=True)
    prompt.fill("A dog")
    prompt.press("Control+Enter")
    tab.wait_for_timeout(200)
    assert kernel.get("form.request.prompt") == "A dog"
    assert kernel.get("runs") == 1


def test_D4_half_an_emoji_is_refused_in_the_browser(tab: Page, server: Server) -> None:
    """Text that no message can carry is told beside the field, and Generate goes off."""
    open_form(tab, server, "emoji")
    prompt = tab.get_by_label("Prompt", exact=True)
    prompt.fill("A cat")
    expect(tab.locator(".lw-generate")).to_be_enabled()
    prompt.evaluate(
        """(box) => {
          box.value = "A cat \\ud83d";
          box.dispatchEvent(new Event("input", { bubbles: true }));
        }"""
    )
    expect(tab.locator(".lw-field-prompt .lw-note")).to_contain_text("broken emoji")
    expect(tab.locator(".lw-generate")).to_be_disabled()
    prompt.fill("A cat 😀")
    expect(tab.locator(".lw-generate")).to_be_enabled()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Return a PNG above one piece of upload."""
    path = tmp_path / "noise.png"
    noise = os.urandom(900 * 600 * 3)
    Image.frombytes("RGB", (900, 600), noise).save(path)
    assert path.stat().st_size > 1_200_000
    return path


@pytest.fixture
def saved(tab: Page, server: Server, kernel_of: Connect, picture: Path) -> str:
    """Return the text of a notebook in which everything was used, saved with its widgets."""
    before = server.connections()
    name = open_studio(tab, server, "lab")
    kernel = kernel_of(before)
    tab.get_by_role("button", name="Image to video").click()
    upload(tab, picture)
    tab.get_by_label("Prompt", exact=True).fill(PROMPT)
    tab.locator(".lw-preview summary").click()
    expect(tab.locator(".lw-code")).to_contain_text("image_urls")
    tab.locator(".lw-generate").click()
    card = tab.locator(".lw-result").first
    expect(card).to_have_attribute("data-state", "stored", timeout=30_000)
    expect(card.locator("img.lw-poster")).to_be_visible()
    card.get_by_role("button", name="Play").click()
    tab.wait_for_function("document.querySelector('.lw-result video')?.currentTime > 0.1")
    tab.get_by_label("API key", exact=True).fill(CANARY)
    tab.get_by_role("button", name="Use key").click()
    expect(tab.get_by_label("API key", exact=True)).to_have_value("")
    kernel.wait("studio.key.has_key", True)
    video = Path(kernel.get("[f for r in exp.rows() for f in r['files']]")[0]).read_bytes()
    tab.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    tab.wait_for_timeout(1000)
    text = (server.root / name).read_text()
    state = json.loads(text)["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]
    assert any("lw-studio" in str(model) for model in state["state"].values())
    for secret in (picture.read_bytes(), video):
        for start in (0, 1000, len(secret) // 2, len(secret) // 2 + 1, len(secret) // 2 + 2):
            assert base64.b64encode(secret[start : start + 60]).decode() not in text
    return text


def upload(tab: Page, picture: Path) -> None:
    """Choose a local picture as the start image, and wait for its address."""
    tab.get_by_label("Choose a file: Start image").set_input_files(picture)
    field = tab.locator(".lw-field-start_image")
    expect(field.locator(".lw-quiet")).to_have_text("Uploaded")
    expect(field.locator("input[type=text]")).to_have_value(re.compile(r"^http://127\.0\.0\.1:"))
    expect(field.locator("img.lw-thumb")).to_be_visible()


def test_B6_the_saved_notebook_holds_no_key_no_upload_and_no_video(saved: str) -> None:
    """With widget state saved the notebook has posters and texts only, and little of them."""
    assert PROMPT in saved
    assert "data:image/jpeg;base64," in saved
    assert "canary" not in saved
    assert len(saved) < 200_000


@pytest.mark.parametrize(
    "bad",
    [("cat.gif", 10, "JPEG and PNG"), ("big.png", 10_000_001, "10 MB"), ("no.png", 0, "empty")],
)
def test_C9_a_bad_picture_is_refused_before_it_is_sent(
    bad: tuple[str, int, str], tab: Page, server: Server, tmp_path: Path
) -> None:
    """Kind and size are checked in the browser; nothing is sent."""
    name, size, words = bad
    traffic = Traffic(tab)
    open_form(tab, server, "refused")
    tab.get_by_role("button", name="Image to video").click()
    tab.wait_for_timeout(500)
    (tmp_path / name).write_bytes(b"." * size)
    traffic.up = 0
    tab.get_by_label("Choose a file: Start image").set_input_files(tmp_path / name)
    expect(tab.locator(".lw-field-start_image .lw-image [role=status]")).to_contain_text(words)
    assert traffic.up == 0


SOME = """
for prompt, shape in (("word" * 100, "9:21"), ("A cat", "21:9")):
    exp.submit(lw.Ray2Request(prompt=prompt, aspect_ratio=shape)).wait(30)
sim.inject("hang_up")
try:
    exp.submit(lw.Ray2Request(prompt="doubt" * 100)).wait(30)
except lw.OutcomeUnknownError:
    pass
sim.fail_next("never_ends")
exp.submit(lw.Ray2Request(prompt="word" * 100, loop=True))
"""


def test_the_studio_fits(tab: Page, server: Server) -> None:
    """From 320 to 1600 pixels nothing sticks out to the side, with long words everywhere."""
    tab.set_viewport_size({"width": 320, "height": 900})
    open_studio(tab, server, "voila", SOME)
    tab.get_by_label("Prompt", exact=True).fill("word" * 100)
    tab.get_by_role("button", name="Image to video").click()
    expect(tab.locator(".lw-result")).to_have_count(3)
    expect(tab.locator(".lw-task")).to_have_count(1)
    refuse_a_task_id(tab)
    for width in (320, 400, 760, 1100, 1600):
        tab.set_viewport_size({"width": width, "height": 900})
        tab.wait_for_timeout(300)
        assert tab.evaluate(OUTSIDE) == [], width


def refuse_a_task_id(tab: Page) -> None:
    """Open a way out of the unknown outcome, and let a long id be refused."""
    card = tab.locator(".lw-result[data-state=unknown]")
    card.get_by_role("button", name="I have a task id").click()
    card.get_by_label("Task id", exact=True).fill("0" * 200)
    card.get_by_role("button", name="Follow this task").click()
    expect(card.locator(".lw-ways")).to_contain_text("refused")


def test_every_control_has_a_name(tab: Page, server: Server) -> None:
    """Each control that can be reached has a label that a screen reader can say."""
    open_studio(tab, server, "voila", SOME)
    tab.get_by_role("button", name="Image to video").click()
    refuse_a_task_id(tab)
    nameless = tab.evaluate(
        """() => [...document.querySelectorAll('.lw-studio :is(button, input, select, textarea)')]
          .filter((node) => node.checkVisibility())
          .filter((node) => !(node.textContent.trim() || node.getAttribute('aria-label')
            || node.labels?.[0]?.textContent.trim()))
          .map((node) => node.outerHTML)"""
    )
    assert nameless == []
