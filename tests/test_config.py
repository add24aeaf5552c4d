"""Settings: arguments before environment, keys that never show, addresses that are safe."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import luma_widgets as lw
from luma_widgets.config import ApiKey, Settings, check_base_url, is_loopback, on_binder

CANARY = "key_c4n4ryc4n4ryc4n4ryc4n4ryc4n4ry00"


def variables(error: BaseException | None) -> str:
    """Return everything that the frames of the package hold in the tracebacks of an error."""
    shown = ""
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if "luma_widgets" in frame.f_code.co_filename:
                shown += repr(frame.f_locals)
        error = error.__cause__ or error.__context__
    return shown


def test_defaults_without_arguments_and_environment() -> None:
    """No key, the service's address, and a log in the working folder."""
    settings = Settings.load(environ={})
    assert (settings.api_key, settings.base_url) == (None, "https://api.pixwith.ai")
    assert settings.log == "luma.sqlite"


def test_the_environment_gives_what_the_arguments_do_not() -> None:
    """Each argument wins over its variable; an empty variable counts as none."""
    environ = {
        "PIXWITH_API_KEY": CANARY,
        "PIXWITH_BASE_URL": "https://proxy.example/pixwith/",
        "LUMA_WIDGETS_LOG": "other.sqlite",
    }
    settings = Settings.load(environ=environ)
    assert settings.api_key == ApiKey(CANARY)
    assert (settings.base_url, settings.log) == ("https://proxy.example/pixwith", "other.sqlite")
    given = Settings.load(
        api_key="key_1", base_url="http://127.0.0.1:1", log="a.sqlite", environ=environ
    )
    assert given.api_key == ApiKey("key_1")
    assert (given.base_url, given.log) == ("http://127.0.0.1:1", "a.sqlite")
    assert Settings.load(environ={"PIXWITH_API_KEY": "", "LUMA_WIDGETS_LOG": ""}) == Settings.load(
        environ={}
    )


def test_the_real_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ``environ=`` the process's own variables count."""
    monkeypatch.setenv("PIXWITH_API_KEY", CANARY)
    assert Settings.load().api_key == ApiKey(CANARY)


def test_B8_on_binder_no_key_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Public machines never get a key, not even one that is given on purpose."""
    environ = {"BINDER_SERVICE_HOST": "x", "PIXWITH_API_KEY": CANARY}
    assert on_binder(environ)
    assert Settings.load(api_key=CANARY, environ=environ).api_key is None
    assert not on_binder({"PATH": "x"})
    monkeypatch.setenv("BINDER_LAUNCH_HOST", "x")
    assert on_binder()


def test_B4_a_key_does_not_show_itself() -> None:
    """Neither repr, str, format, dict, JSON, pickle, copy nor a traceback give it away."""
    key = ApiKey(CANARY)
    settings = Settings.load(api_key=CANARY, environ={})
    shown = [repr(key), str(key), f"{key}", f"{key!r:>5}", repr(settings), str([key])]
    assert not any("c4n4ry" in text for text in shown)
    with pytest.raises(TypeError):
        json.dumps(key)
    with pytest.raises(TypeError):
        vars(key)
    for spread in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="never pickled") as caught:
            spread(key)
        assert "c4n4ry" not in "".join(traceback.format_exception(caught.value))
    assert key.reveal() == CANARY


def test_keys_compare_without_showing() -> None:
    """Equal keys are equal and hash alike; a key is no str."""
    assert ApiKey(CANARY) == ApiKey(f" {CANARY} ")
    assert ApiKey(CANARY) != ApiKey("key_2")
    assert ApiKey(CANARY) != CANARY
    assert len({ApiKey(CANARY), ApiKey(CANARY)}) == 1


@pytest.mark.parametrize("value", ["", "   ", None, 5, b"key_1", ["key_1"]])
def test_B5_what_is_no_text_or_empty_is_no_key(value: Any) -> None:
    """The message says where a key comes from."""
    with pytest.raises(lw.ConfigurationError, match="PIXWITH_API_KEY"):
        ApiKey(value)


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4),
    st.characters(exclude_categories=[], max_codepoint=32)
    | st.characters(exclude_categories=[], min_codepoint=127),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4),
)
def test_B5_a_malformed_key_is_refused_without_being_quoted(start: str, bad: str, end: str) -> None:
    """Line breaks, spaces and other letters inside a key are refused, and the key stays hidden."""
    with pytest.raises(lw.ConfigurationError) as caught:
        ApiKey(f"{CANARY}{start}{bad}{end}")
    assert CANARY not in str(caught.value)
    assert CANARY not in variables(caught.value)


@pytest.mark.parametrize(
    "environ",
    [
        {"PIXWITH_API_KEY": CANARY, "PIXWITH_BASE_URL": "http://api.pixwith.ai"},
        {"PIXWITH_API_KEY": f"{CANARY}\n"},
    ],
)
def test_B4_no_frame_of_a_refusal_holds_the_key(environ: dict[str, str]) -> None:
    """A traceback that shows variables, as ``%xmode Verbose`` does, shows no key."""
    with pytest.raises(lw.ConfigurationError) as caught:
        Settings.load(environ=environ)
    assert "c4n4ry" not in str(caught.value)
    assert "c4n4ry" not in variables(caught.value)


def test_B5_a_key_has_a_longest_length() -> None:
    """A pasted file is no key."""
    assert ApiKey("k" * 512).reveal()
    with pytest.raises(lw.ConfigurationError):
        ApiKey("k" * 513)


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://api.pixwith.ai", "https://api.pixwith.ai"),
        ("https://api.pixwith.ai/", "https://api.pixwith.ai"),
        ("HTTPS://API.Pixwith.AI:443//", "https://api.pixwith.ai"),
        ("https://gate.example:8443/a/b/", "https://gate.example:8443/a/b"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://localhost", "http://localhost"),
        ("http://[::1]:9", "http://[::1]:9"),
    ],
)
def test_B3_base_urls_have_one_form(url: str, normal: str) -> None:
    """Rows of the same service always record the same address."""
    assert check_base_url(url) == normal
    assert check_base_url(normal) == normal


@pytest.mark.parametrize(
    "url",
    [
        "http://api.pixwith.ai",
        "http://127.0.0.1.example.org",
        "http://localhost.example.org",
        "http://192.168.0.1",
        "ftp://api.pixwith.ai",
        "api.pixwith.ai",
        "//api.pixwith.ai",
        "https://",
        "https://:443",
        "https://user:pass@api.pixwith.ai",
        "https://api.pixwith.ai?x=1",
        "https://api.pixwith.ai#x",
        "https://api.pixwith.ai:port",
        "https://api.pixwith.ai:99999",
        "https://api pixwith.ai",
        "https://api.pixwith.ai\n",
        "https://api.pixwith.ai\x00",
        "https://[::1",
        "",
        None,
        5,
        b"https://api.pixwith.ai",
    ],
)
def test_B3_unsafe_base_urls_are_refused(url: Any) -> None:
    """Plain http is for this machine only; nothing else may hide in an address."""
    with pytest.raises(lw.ConfigurationError) as caught:
        check_base_url(url)
    assert "pass@" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("localhost", True),
        ("localhost.example.org", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("", False),
        ("example.org", False),
    ],
)
def test_which_hosts_are_this_machine(host: str, *, own: bool) -> None:
    """Only loopback addresses and the name localhost are."""
    assert is_loopback(host) is own
