"""The whole way in a real browser, in JupyterLab, Notebook 7 and Voila: form, progress, video."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from .bench import Kernel, Server, run_all

SETUP = """
import luma_widgets as lw
sim = lw.Simulator(speed=12, spread=0)
sim.start()
exp = lw.Experiment("{name}", client=sim.client(), log="{name}.sqlite")
studio = lw.Studio(exp)
"""
PLACES = {
    "lab": "lab/tree/{name}",
    "notebook": "notebooks/{name}",
    "voila": "voila/render/{name}",
}
PROMPT = "A cat walking in the garden <b>slowly</b>"
Connect = Callable[[set[Path]], Kernel]


def open_studio(tab: Page, server: Server, front_end: str, first: str = "") -> str:
    """Show a studio in one of the front ends, after some code; return its notebook's name."""
    log = uuid.uuid4().hex[:8]
    name = server.write(front_end, SETUP.format(name=log) + first, "studio")
    tab.goto(server.address(PLACES[front_end].format(name=name), reset=""))
    if front_end != "voila":
        run_all(tab)
    tab.locator(".lw-generate").wait_for(timeout=60_000)
    return name


@pytest.mark.parametrize("front_end", PLACES)
def test_from_the_form_to_the_video_and_the_row(
    front_end: str, tab: Page, server: Server, kernel_of: Connect
) -> None:
    """Fill in, see a refusal explained, generate, see progress, see it play, see the row."""
    before = server.connections()
    open_studio(tab, server, front_end)
    kernel = kernel_of(before)
    generate = tab.locator(".lw-generate")
    expect(tab.locator(".lw-badge")).to_have_text("Simulator")
    expect(generate).to_be_disabled()

    refuse_and_explain(tab, kernel)
    tab.get_by_role("button", name="9:16").click()
    tab.get_by_label("Prompt", exact=True).fill(PROMPT)
    expect(tab.locator(".lw-count")).to_have_text(f"{len(PROMPT)} characters")
    expect(generate).to_be_enabled()
    kernel.wait("studio.form.request.aspect_ratio", "9:16")
    expect(tab.locator(".lw-preflight")).to_contain_text("1 video")
    generate.scroll_into_view_if_needed()

    double_click_slowly(tab)
    task = tab.locator(".lw-task")
    expect(task).to_have_count(1)
    expect(tab.locator(".lw-ask")).to_be_hidden()
    expect(task.locator(".lw-task-prompt")).to_have_text(PROMPT)
    tab.wait_for_function(
        "parseFloat(document.querySelector('.lw-task-bar > div').style.width) > 5"
    )

    card = tab.locator(".lw-result")
    expect(card).to_have_attribute("data-state", "stored", timeout=30_000)
    expect(task).to_have_count(0)
    expect(card.locator(".lw-result-prompt")).to_have_text(PROMPT)
    expect(card.locator("img.lw-poster")).to_be_visible()
    card.get_by_role("button", name="Play").click()
    tab.wait_for_function("document.querySelector('.lw-result video')?.currentTime > 0.3")
    assert tab.evaluate("document.querySelector('.lw-result video').videoWidth") == 540

    assert kernel.get("exp.df['prompt'].tolist()") == [PROMPT]
    assert kernel.get("exp.df['state'].tolist()") == ["stored"]
    assert kernel.get("len(sim.creates)") == 1


def double_click_slowly(tab: Page) -> None:
    """Press Generate twice as people do: the second time after the kernel has answered."""
    box = tab.locator(".lw-generate").bounding_box()
    assert box is not None
    tab.mouse.click(box["x"] + 20, box["y"] + 20)
    expect(tab.locator(".lw-task")).to_have_count(1)
    expect(tab.locator(".lw-generate")).to_be_enabled()
    tab.mouse.down(click_count=2)
    tab.mouse.up(click_count=2)
    tab.wait_for_timeout(400)


def refuse_and_explain(tab: Page, kernel: Kernel) -> None:
    """Give an address that is none, see why it is refused, and go back to text."""
    tab.get_by_role("button", name="Image to video").click()
    address = tab.get_by_label("Start image", exact=True)
    address.fill("cat.png")
    note = tab.locator(".lw-field-start_image .lw-note")
    expect(note).to_contain_text("http")
    expect(address).to_have_attribute("aria-invalid", "true")
    expect(tab.locator(".lw-generate")).to_be_disabled()
    assert "start_image" in kernel.get("[p.field for p in studio.form.problems]")
    tab.get_by_role("button", name="Text to video").click()
    expect(address).to_be_hidden()
