"""Traits with exact types, and the descriptions that everything else is derived from."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from traitlets import HasTraits, Int

import luma_widgets as lw
from luma_widgets.fields import Choice, Field, Flag, ImageUrl, Text, fields_of

TEXTS: dict[str, Any] = {"label": "Label", "help": "Help.", "path": "some.place"}


class Sample(HasTraits):
    """Options in an order that is not alphabetical, beside a trait that is none."""

    zebra = Text("z", **TEXTS)
    other = Int(3)
    number = Choice((5, 9), 5, unit="seconds", **TEXTS)
    apple = Flag(False, **{**TEXTS, "required": False})
    picture = ImageUrl(None, **TEXTS)


def test_fields_come_in_the_order_of_declaration() -> None:
    """The order is that of the class body, base classes first, and plain traits are left out."""

    class More(Sample):
        """Adds an option and replaces one."""

        aardvark = Flag(True, **TEXTS)
        number = Choice((1, 2), 1, **TEXTS)

    assert [field.name for field in fields_of(Sample)] == ["zebra", "number", "apple", "picture"]
    assert [field.name for field in fields_of(More)] == [
        "zebra",
        "number",
        "apple",
        "picture",
        "aardvark",
    ]
    assert {field.name: field for field in fields_of(More)}["number"].choices == (1, 2)


def test_a_field_says_all_that_is_declared() -> None:
    """Nothing of a declaration is lost on the way to the Field, and it cannot be changed."""
    field = fields_of(Sample)[1]
    assert field == Field(
        "number", "choice", 5, (5, 9), "Label", "Help.", "seconds", ("some", "place"), True
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        field.unit = "hours"  # type: ignore[misc]
    assert not fields_of(Sample)[2].required


def test_every_option_of_the_request_is_described() -> None:
    """Each option has a label in sentence case, a help text and a place in the body."""
    for field in lw.Ray2Request.fields():
        assert field.label[0].isupper()
        assert field.help.endswith(".")
        assert field.path
        assert field.choices or field.kind != "choice"
        assert field.default in field.choices or field.kind != "choice"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("zebra", "text"),
        ("number", "5 or 9 (seconds)"),
        ("apple", "True or False"),
        ("picture", "an http(s) address or None"),
    ],
)
def test_allowed_values_in_words(name: str, words: str) -> None:
    """A field can say what it allows."""
    assert {field.name: field for field in fields_of(Sample)}[name].allowed() == words


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("number", 5.0),
        ("number", True),
        ("number", "5"),
        ("number", 7),
        ("number", None),
        ("number", [5]),
        ("number", float("nan")),
        ("apple", 1),
        ("apple", 0),
        ("apple", None),
        ("apple", "true"),
        ("zebra", b"z"),
        ("zebra", None),
        ("zebra", 5),
        ("picture", ""),
        ("picture", b"https://a.b/c.png"),
        ("picture", "ftp://a.b/c.png"),
        ("picture", "file:///etc/passwd"),
        ("picture", "https://"),
        ("picture", "https:///c.png"),
        ("picture", "//a.b/c.png"),
        ("picture", "https://a.b/a b.png"),
        ("picture", "https://a.b/ä.png"),
        ("picture", "https://a.b/c.png\n"),
        ("picture", " https://a.b/c.png"),
        ("picture", "https://a.b:x/c.png"),
        ("picture", "https://a.b:99999/c.png"),
        ("picture", "https://a.b/%zz.png"),
        ("picture", "https://[::1/c.png"),
        ("picture", "javascript:alert(1)//https://a.b"),
    ],
)
def test_values_of_another_type_or_form_are_refused(name: str, value: object) -> None:
    """A refusal is a RequestError that names the field and the value; the old value stays."""
    sample = Sample()
    before = getattr(sample, name)
    with pytest.raises(lw.RequestError) as caught:
        setattr(sample, name, value)
    (problem,) = caught.value.problems
    assert (problem.field, problem.value) == (name, value)
    assert problem.message.startswith("must be")
    assert getattr(sample, name) == before


@pytest.mark.parametrize(
    "url",
    [
        "https://a.b/c.png",
        "http://localhost:8000/x",
        "https://[2001:db8::1]/x.png",
        "https://a.b/%C3%A4.png?X-Amz-Signature=ab%2Fcd&x=1#top",
        "https://192.0.2.1:8443/",
    ],
)
def test_addresses_that_are_taken(url: str) -> None:
    """A full http(s) address is kept exactly as it came."""
    sample = Sample()
    sample.picture = url
    assert sample.picture == url
    sample.picture = None
    assert sample.picture is None


class Words(str):
    """A str that is not exactly a str."""

    __slots__ = ()


def test_subclasses_of_str_and_int_are_refused() -> None:
    """Exact types keep surprises, such as an enum that prints otherwise, out of the body."""
    with pytest.raises(lw.RequestError):
        Sample(zebra=Words("z"))
    with pytest.raises(lw.RequestError):
        Sample().number = type("Number", (int,), {})(5)


SURROGATE = st.characters(categories=["Cs"])
CONTROL = st.characters(categories=["Cc"], exclude_characters="\t\n\r")


@given(st.text(), SURROGATE | CONTROL, st.text())
def test_D4_text_with_broken_or_control_characters_is_refused(
    start: str, bad: str, end: str
) -> None:
    """Wherever such a character stands, the text is refused with its place."""
    sample = Sample()
    with pytest.raises(lw.RequestError) as caught:
        sample.zebra = start + bad + end
    assert "remove U+" in str(caught.value)
    str(caught.value).encode()


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\n")))
def test_D4_any_other_text_is_kept_whole(text: str) -> None:
    """Right-to-left text, emoji, combining marks and long texts come back as they went in."""
    sample = Sample(zebra=text)
    assert sample.zebra == text
    assert sample.zebra.encode().decode() == text


def test_D4_line_ends_become_newlines() -> None:
    """CRLF and CR become LF, so that the same prompt from Windows is the same intent."""
    assert Sample(zebra="a\r\nb\rc\n\r\nd").zebra == "a\nb\nc\n\nd"


def test_D4_a_hundred_thousand_characters() -> None:
    """A very long text is kept."""
    text = "猫" * 100_000
    assert Sample(zebra=text).zebra == text
