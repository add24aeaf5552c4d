"""What the form costs in messages, counted at a real kernel."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

MAKE = """
import luma_widgets as lw
form = lw.RequestForm()
display(form)
print(form.controls.by_name["prompt"].model_id, form.aid.model_id)
"""


class Counter:
    """A kernel, and what it publishes for the page."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self.client = client

    def run(self, code: str) -> tuple[list[dict[str, Any]], str]:
        """Run code; return its comm messages and what it printed."""
        self.client.execute(code)
        return self._until_idle()

    def update(self, comm: str, state: dict[str, Any]) -> list[dict[str, Any]]:
        """Set a widget's values as the page does; return the kernel's comm messages."""
        data = {"method": "update", "state": state, "buffer_paths": []}
        message = self.client.session.msg("comm_msg", {"comm_id": comm, "data": data})
        self.client.shell_channel.send(message)
        return self._until_idle()[0]

    def _until_idle(self) -> tuple[list[dict[str, Any]], str]:
        comms, printed = [], ""
        while True:
            message = self.client.get_iopub_msg(timeout=30)
            kind, content = message["msg_type"], message["content"]
            if kind in ("comm_open", "comm_msg"):
                comms.append(message)
            elif kind == "stream":
                printed += content["text"]
            elif kind == "error":
                raise AssertionError("\n".join(content["traceback"]))
            elif kind == "status" and content["execution_state"] == "idle":
                return comms, printed


@pytest.fixture(scope="module")
def kernel() -> Iterator[Counter]:
    """Return a fresh kernel of this Python."""
    manager = KernelManager()
    manager.kernel_cmd = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    counter = Counter(client)
    counter.run("import luma_widgets.widgets")
    yield counter
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()


def test_the_form_costs_few_messages(kernel: Counter) -> None:
    """At most 40 messages at first display, at most 4 for a committed edit, echoes included."""
    shown, printed = kernel.run(MAKE)
    assert 10 < len(shown) <= 40, len(shown)
    prompt, aid = printed.split()
    first = kernel.update(prompt, {"value": "A cat"})
    second = kernel.update(prompt, {"value": "A cat walks"})
    assert 1 <= len(first) <= 4, first
    assert 1 <= len(second) <= 4, second
    assert aid in {message["content"]["comm_id"] for message in first}


def test_D4_broken_text_is_refused_in_words(kernel: Counter) -> None:
    """A control character from the page is told as a problem, and the form goes on working."""
    _, printed = kernel.run(MAKE)
    prompt, _ = printed.split()
    kernel.update(prompt, {"value": "a\x00b \x1b[31m"})
    _, told = kernel.run("print(form.problems[0].message, form.generate.disabled)")
    assert "control characters" in told
    assert "True" in told
    kernel.update(prompt, {"value": "whole"})
    _, told = kernel.run("print(form.request.prompt, form.problems)")
    assert told.strip() == "whole ()"


def test_the_forms_state_is_small(kernel: Counter) -> None:
    """What a saved notebook keeps of a form is mostly its script and style, each once."""
    shown, _ = kernel.run(MAKE)
    states = [message["content"]["data"].get("state", {}) for message in shown]
    code = sum(len(state.get(name, "")) for state in states for name in ("_esm", "_css"))
    whole = len(json.dumps(states))
    assert whole - code < 25_000
    assert code < 50_000
