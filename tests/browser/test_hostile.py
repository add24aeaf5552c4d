"""Row C8 of the fault table in a real browser: markup from outside stays text."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from ..faults.payloads import PAYLOADS
from .bench import Server
from .test_frontends import open_studio

ROWS = f"""
payloads = {list(PAYLOADS)!r}
for number, text in enumerate(payloads):
    sim.fail_next("reject:" + text)
    try:
        exp.submit(lw.Ray2Request(prompt="refuse " + text)).wait(30)
    except lw.RejectedError:
        pass
    sim.inject("502")
    try:
        exp.submit(lw.Ray2Request(prompt="lose " + text)).wait(30)
    except lw.OutcomeUnknownError:
        pass
exp.submit(lw.Ray2Request(prompt=payloads[0])).wait(30)
sim.fail_next("never_ends")
exp.submit(lw.Ray2Request(prompt=payloads[1]))
"""


@pytest.mark.parametrize("page", ["lab", "voila"])
def test_C8_hostile_texts_stay_texts(page: str, tab: Page, server: Server, tmp_path: Path) -> None:
    """Prompts, the service's words and file names with scripts in them are shown, never run."""
    open_studio(tab, server, page, ROWS)
    expect(tab.locator(".lw-result")).to_have_count(2 * len(PAYLOADS) + 1)
    expect(tab.locator(".lw-task")).to_have_count(1)
    expect(tab.locator(".lw-task")).to_contain_text(PAYLOADS[1])
    first = tab.locator(".lw-result").first
    expect(first).to_contain_text(PAYLOADS[0])
    prompt = tab.get_by_label("Prompt", exact=True)
    prompt.fill("\n".join(PAYLOADS))
    tab.locator(".lw-preview summary").click()
    expect(tab.locator(".lw-code")).to_contain_text("onerror")
    tab.get_by_role("button", name="Image to video").click()
    picture = tmp_path / "<img src=x onerror=window.pwned=1>.png"
    Image.new("RGB", (64, 36), "teal").save(picture)
    tab.get_by_label("Choose a file: Start image").set_input_files(picture)
    expect(tab.locator(".lw-field-start_image .lw-quiet")).to_have_text("Uploaded")
    first.get_by_role("button", name="Play").click()
    tab.wait_for_function("document.querySelector('.lw-result video')?.currentTime > 0.1")
    assert tab.evaluate("window.pwned") is None
    made = tab.locator(".lw-studio :is(script, iframe, svg[onload], img[src='x'], [onmouseover])")
    assert made.count() == 0
