"""What stands between a click and money, in JupyterLab: the question, the limits, the ways out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from .bench import Kernel, Server, run_all

# A simulator under another name is a service that is paid, as far as the studio can tell.
SETUP = """
import luma_widgets as lw
sim = lw.Simulator(speed=30, spread=0, credits=500)
sim.start()
client = sim.client(name="https://service.example")
limits = lw.SpendLimits(session_videos=4)
exp = lw.Experiment("paid", client=client, log="{log}.sqlite", limits=limits)
prompts = {prompts}
for prompt in prompts:
    sim.inject("hang_up")
    try:
        exp.submit(lw.Ray2Request(prompt=prompt)).wait(30)
    except lw.OutcomeUnknownError:
        pass
studio = lw.Studio(exp, request=lw.Ray2Request(prompt="A cat"), confirm_above_videos=2)
"""
Connect = Callable[[set[Path]], Kernel]


def open_paid(tab: Page, server: Server, prompts: list[str]) -> str:
    """Show a studio on a paid service, with a submission of unknown outcome for each prompt."""
    log = f"paid-{len(server.connections())}-{len(prompts)}"
    name = server.write("paid", SETUP.format(prompts=prompts, log=log), "studio")
    tab.goto(server.address(f"lab/tree/{name}", reset=""))
    run_all(tab)
    tab.locator(".lw-generate").wait_for(timeout=60_000)
    return name


def card_of(tab: Page, prompt: str) -> Locator:
    """Return the card of a prompt."""
    return tab.locator(".lw-result").filter(has_text=prompt).first


def test_the_ways_out_of_an_unknown_outcome(tab: Page, server: Server, kernel_of: Connect) -> None:
    """Check credits, give a task id, mark as not created, submit again: each from its card."""
    before = server.connections()
    open_paid(tab, server, ["A first <b>doubt</b>", "A second doubt", "A third doubt"])
    kernel = kernel_of(before)
    expect(tab.locator(".lw-result[data-state=unknown]")).to_have_count(3)
    expect(tab.locator(".lw-result b")).to_have_count(0)

    first = card_of(tab, "A first")
    expect(first).to_contain_text("this video may have started and been charged. Nothing was sent")
    expect(first.locator(".lw-figures")).to_contain_text("Credits before500")
    kernel.get("sim.set_credits(123)")
    first.get_by_role("button", name="Check credits").click()
    expect(first.locator(".lw-figures")).to_contain_text("Now123")
    give_a_task_id(first, kernel)
    expect(card_of(tab, "A first")).to_have_attribute("data-state", "stored", timeout=30_000)

    second = card_of(tab, "A second")
    second.get_by_role("button", name="Mark as not created").click()
    second.get_by_role("button", name="Yes, mark it").click()
    expect(second).to_have_attribute("data-state", "abandoned")
    expect(tab.locator(".lw-results-told")).to_contain_text("Marked as not created")

    third = card_of(tab, "A third")
    submit_again_by_keyboard(tab, third)
    expect(tab.locator(".lw-result[data-state=stored]")).to_have_count(2, timeout=30_000)
    third = tab.locator(".lw-result[data-state=unknown]")
    expect(third).to_contain_text("Submitted again: Ready.")
    expect(third.get_by_role("button", name="Submit again", exact=True)).to_be_hidden()
    assert kernel.get("len(sim.creates)") == 4
    assert kernel.get("exp.df['state'].tolist()") == ["stored", "abandoned", "unknown", "stored"]


def give_a_task_id(card: Locator, kernel: Kernel) -> None:
    """Open the field, see it ask for an id, see a wrong one refused beside it, give the right."""
    card.get_by_role("button", name="I have a task id").click()
    field = card.get_by_label("Task id", exact=True)
    expect(field).to_be_focused()
    field.press("Enter")
    told = card.locator(".lw-ways > li").filter(has_text="I have a task id").get_by_role("alert")
    expect(told).to_contain_text("Enter the task id first")
    field.fill("0" * 32)
    field.press("Enter")
    expect(told).to_contain_text("Task not found")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    field.fill(kernel.get("sim.creates[0].task_id"))
    card.get_by_role("button", name="Follow this task").click()


def submit_again_by_keyboard(tab: Page, card: Locator) -> None:
    """Use no mouse: Enter opens the second question, Escape leaves it, Enter twice pays nothing."""
    button = card.get_by_role("button", name="Submit again", exact=True)
    agree = card.get_by_role("button", name="Yes, submit again")
    button.focus()
    tab.keyboard.press("Enter")
    expect(card).to_contain_text("you may pay twice")
    tab.keyboard.press("Escape")
    expect(agree).to_be_hidden()
    expect(button).to_be_focused()
    tab.keyboard.press("Enter")
    tab.keyboard.press("Enter")  # the focus is on the text, not on the button that agrees
    expect(agree).to_be_visible()
    tab.keyboard.press("Tab")
    expect(agree).to_be_focused()
    tab.keyboard.press("Space")


def test_nothing_is_paid_without_a_yes(tab: Page, server: Server, kernel_of: Connect) -> None:
    """The first paid request and many videos are asked about; a limit is told with a count."""
    before = server.connections()
    open_paid(tab, server, [])
    kernel = kernel_of(before)
    question, button = tab.locator(".lw-ask"), tab.locator(".lw-generate")
    expect(tab.locator(".lw-limits")).to_have_text("Limits: 4 videos a session (0 used)")
    expect(tab.locator(".lw-preflight")).to_contain_text("balance 500")
    button.click()
    expect(question).to_contain_text("This is the first paid request of this session.")
    expect(question).to_contain_text("This pays for 1 video; its price was not measured yet.")
    expect(question).to_contain_text("Your balance is 500.")
    question.get_by_role("button", name="Cancel").click()
    expect(question).to_be_hidden()
    assert kernel.get("[len(sim.creates), len(exp.df)]") == [0, 0]

    button.click()
    question.get_by_role("button", name="Pay for 1 video").click()
    expect(tab.locator(".lw-result[data-state=stored]")).to_have_count(1, timeout=30_000)
    expect(tab.locator(".lw-limits")).to_have_text("Limits: 4 videos a session (1 used)")
    expect(tab.locator(".lw-preflight")).to_contain_text("price measured 30", timeout=20_000)
    tab.get_by_label("Prompt", exact=True).fill("A dog")
    tab.get_by_label("Repeats").fill("5")
    tab.get_by_label("Repeats").blur()
    expect(tab.locator(".lw-preflight")).to_contain_text("5 videos")
    button.click()
    expect(question).to_have_text(
        "This pays for 5 videos, 30 credits each as measured. Your balance is 470. Go on?"
        "Pay for 5 videosCancel"
    )
    question.get_by_role("button", name="Pay for 5 videos").click()
    told = tab.locator(".lw-form .lw-message")
    expect(told).to_contain_text("3 of 5 videos were submitted. The next one was not: This would")
    expect(tab.locator(".lw-result[data-state=stored]")).to_have_count(4, timeout=30_000)
    expect(tab.locator(".lw-limits")).to_have_text("Limits: 4 videos a session (4 used)")
    assert kernel.get("len(sim.creates)") == 4
