"""The key field: one message in, nothing out."""

from __future__ import annotations

import json

import pytest

import luma_widgets as lw
from luma_widgets.config import ApiKey

from .widgetpage import Page

CANARY = "key_canary0123456789canary0123456789"


def everything(field: lw.ApiKeyField, page: Page) -> str:
    """Return all that the browser and a saved notebook can hold of the field."""
    parts = [field.get_state(), page.heard, repr(field), str(field.api_key)]
    return json.dumps(parts, default=repr)


def test_B6_the_key_never_enters_the_state() -> None:
    """A key that was entered is kept masked in Python; the browser learns only that it is there."""
    field = lw.ApiKeyField(environ={})
    page = Page(field)
    page.send("key", key=CANARY)
    assert field.api_key == ApiKey(CANARY)
    assert field.has_key
    assert CANARY not in everything(field, page)
    synced = {name for name in field.keys if not name.startswith(("_", "layout", "tab", "tooltip"))}
    assert synced == {"has_key", "reason"}


@pytest.mark.parametrize(
    "bad", [f"{CANARY}\n{CANARY}", f"{CANARY} ü", "", "   ", 5, None, CANARY * 50]
)
def test_B5_a_malformed_key_is_refused_without_quoting_it(bad: object) -> None:
    """The reason is shown beside the field; the text that was entered is not."""
    field = lw.ApiKeyField(environ={})
    page = Page(field)
    page.send("key", key=bad)
    assert field.api_key is None
    assert not field.has_key
    assert "API key" in page.texts("message")[0]
    assert "canary" not in everything(field, page)


def test_the_environments_key_comes_first_without_being_shown() -> None:
    """With PIXWITH_API_KEY set the field starts with a key."""
    field = lw.ApiKeyField(environ={"PIXWITH_API_KEY": CANARY})
    assert field.has_key
    assert field.api_key == ApiKey(CANARY)
    assert CANARY not in everything(field, Page(field))


def test_B8_on_binder_no_key_is_taken() -> None:
    """On Binder the field is off with a reason, and a message with a key changes nothing."""
    field = lw.ApiKeyField(environ={"BINDER_SERVICE_HOST": "1.2.3.4", "PIXWITH_API_KEY": CANARY})
    Page(field).send("key", key=CANARY)
    assert field.api_key is None
    assert not field.has_key
    assert "Binder" in field.reason


def test_callbacks_hear_of_the_key_and_of_its_end() -> None:
    """on_key is called with the masked key, and with None after Forget."""
    field = lw.ApiKeyField(environ={})
    heard: list[ApiKey | None] = []
    field.on_key(heard.append)
    page = Page(field)
    page.send("key", key=CANARY)
    page.send("forget")
    assert heard == [ApiKey(CANARY), None]
    assert not field.has_key


def test_a_key_that_nobody_can_use_is_not_kept() -> None:
    """When a callback fails, its words are shown and the field is as before."""
    field = lw.ApiKeyField(environ={})
    page = Page(field)

    def refuse(_key: ApiKey | None) -> None:
        raise lw.ConfigurationError("The service cannot be reached from here.")

    field.on_key(refuse)
    page.send("key", key=CANARY)
    assert field.api_key is None
    assert not field.has_key
    assert page.texts("message") == ["The service cannot be reached from here."]
