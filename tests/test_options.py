from __future__ import annotations

from pathlib import Path

import pytest

from luma_widgets import ConfigurationError, ConfirmationNeededError, Ray2Request, RequestError
from luma_widgets.options import (
    PAID_LIMIT,
    Parser,
    add_options,
    add_run_options,
    check_spending,
    request_from,
)


def parse(*flags: str):
    parser = Parser(prog="test")
    add_options(parser)
    add_run_options(parser)
    return parser.parse_args(list(flags))


def never(_path: Path) -> str:
    raise AssertionError("nothing may be uploaded")


def test_every_option_has_a_flag_with_its_own_type():
    """Each declared option can be given as text and arrives as the exact value it stands for."""
    for field in Ray2Request.fields():
        if field.name == "prompt":
            continue
        flag = "--" + field.name.replace("_", "-")
        for choice in field.choices:
            value = getattr(parse(flag, str(choice)), field.name)
            assert value == choice
            assert type(value) is type(choice)
        if field.kind == "flag":
            assert getattr(parse(flag), field.name) is True
            assert getattr(parse("--no-" + flag[2:]), field.name) is False


def test_without_flags_the_request_has_the_defaults():
    """No flag changes nothing: the request equals one made with the prompt alone."""
    assert request_from("A cat", parse(), never) == Ray2Request(prompt="A cat")


@pytest.mark.parametrize(
    "flags", [("--duration", "7"), ("--duration", "5.0"), ("--aspect-ratio", "2:1"), ("--x",)]
)
def test_a_wrong_flag_is_named_with_what_is_allowed(flags):
    """A value that is no choice, or an unknown flag, is refused in one line that names it."""
    with pytest.raises(ConfigurationError) as caught:
        parse(*flags)
    assert flags[0] in str(caught.value)


@pytest.mark.parametrize("count", ["0", "-1", "1.5", "many"])
def test_repeats_must_be_a_whole_number(count):
    """Repeats that are no positive whole number are refused."""
    with pytest.raises(ConfigurationError, match="repeats"):
        parse("--repeats", count)


def test_a_local_image_is_uploaded_once_the_rest_is_right(tmp_path):
    """A file given as an image is uploaded and its address used; a blank prompt uploads nothing."""
    picture = tmp_path / "cat.png"
    picture.write_bytes(b"any")
    arguments = parse("--start-image", str(picture))
    with pytest.raises(RequestError, match="prompt"):
        request_from(" ", arguments, never)
    request = request_from("A cat", arguments, lambda path: f"https://host.example/{path.name}")
    assert request.image_urls == ["https://host.example/cat.png"]


def test_many_paid_videos_need_a_yes():
    """Above the limit a paid submission needs --yes; the simulator and small ones do not."""
    check_spending(PAID_LIMIT, paid=True, yes=False)
    check_spending(PAID_LIMIT + 1, paid=False, yes=False)
    check_spending(PAID_LIMIT + 1, paid=True, yes=True)
    with pytest.raises(ConfirmationNeededError, match="--yes"):
        check_spending(PAID_LIMIT + 1, paid=True, yes=False)
