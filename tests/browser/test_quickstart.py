"""The notebook that a new user sees first, worked through by clicks in each front end."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from .bench import Kernel, Server, run_all

NOTEBOOK = Path(__file__).parent.parent.parent / "notebooks" / "quickstart.ipynb"
PLACES = {"lab": "lab/tree", "notebook": "notebooks", "voila": "voila/render"}
PROMPT = "A red fox jumps over a frozen river"


@pytest.mark.parametrize("front_end", PLACES)
def test_the_quickstart_makes_a_video_by_clicks(
    front_end: str, tab: Page, server: Server, kernel_of: Callable[[set[Path]], Kernel]
) -> None:
    """Open it, run it, type a prompt, press Generate: the video plays and the row is there."""
    folder = server.root / f"quickstart-{front_end}"
    folder.mkdir()
    shutil.copy(NOTEBOOK, folder)
    before = server.connections()
    # Voila answers when the whole notebook has run.
    place = f"{PLACES[front_end]}/{folder.name}/{NOTEBOOK.name}"
    tab.goto(server.address(place, reset=""), timeout=90_000)  # else Lab shows earlier tabs too
    if front_end != "voila":
        run_all(tab)
    studio = tab.locator(".lw-studio")
    studio.wait_for(timeout=90_000)
    # The cells below the studio make two videos of their own and keep the kernel busy meanwhile.
    expect(studio.locator(".lw-result[data-state=stored]")).to_have_count(2, timeout=90_000)

    studio.get_by_label("Prompt", exact=True).fill(PROMPT)
    expect(studio.locator(".lw-preflight")).to_contain_text("1 video", timeout=20_000)
    studio.locator(".lw-generate").click()
    newest = studio.locator(".lw-result").filter(has_text=PROMPT)
    expect(newest).to_have_attribute("data-state", "stored", timeout=60_000)
    newest.get_by_role("button", name="Play").click()
    tab.wait_for_function("document.querySelector('.lw-studio video')?.currentTime > 0.3")

    kernel = kernel_of(before)
    assert kernel.get("exp.df['state'].tolist()") == ["stored"] * 3
    assert kernel.get("exp.df['prompt'].tolist()[-1]") == PROMPT
