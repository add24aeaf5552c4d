"""Traits with exact types, and the frozen description that everything else is derived from.

A request declares each option once, as one of the traits below. :func:`fields_of` turns the
declarations into :class:`Field` objects, in the order of declaration; the form's controls, the
log's columns, the flags of the command line and the simulator's checks are made from those.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar
from urllib.parse import urlsplit

from traitlets import HasTraits, TraitType

from .errors import Problem, RequestError

Kind = Literal["text", "url", "choice", "flag"]
V = TypeVar("V")

# Lone surrogates cannot be encoded as UTF-8. Control characters other than tab and newline are
# invisible, and break spreadsheets and terminals wherever the log travels.
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
# RFC 3986: the characters a URI may hold, and a percent sign only before two hexadecimal digits.
_URI = re.compile(r"https?://(?:[\w\-.~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+", re.ASCII)


@dataclass(frozen=True)
class Field:
    """What is known of one option.

    Parameters
    ----------
    name : str
        The trait's name, such as ``"aspect_ratio"``.
    kind : {"text", "url", "choice", "flag"}
        ``url`` options may be None; the others never are.
    default : object
        The value of a new request.
    choices : tuple
        The allowed values of a ``choice``; empty for other kinds.
    label : str
        What a person reads beside the control, in sentence case.
    help : str
        One or two sentences for tooltips, flags and tables.
    unit : str
        The unit of the values, such as ``"seconds"``; empty where there is none.
    path : tuple of str
        Where the value stands in the JSON body, such as ``("options", "duration")``.
    required : bool
        Whether the service's contract requires the key.
    """

    name: str
    kind: Kind
    default: Any
    choices: tuple[Any, ...]
    label: str
    help: str
    unit: str
    path: tuple[str, ...]
    required: bool

    def allowed(self) -> str:
        """Say in words what is allowed, as in ``"5 or 9 (seconds)"``."""
        return _allowed(self.kind, self.choices, self.unit)


class Option(TraitType[V, V], Generic[V]):
    """Base of the traits here: exact types, one :class:`~luma_widgets.RequestError` per refusal.

    Parameters
    ----------
    default : object
        The default value.
    label, help : str
        Texts for people.
    path : str
        Dotted place in the JSON body.
    unit : str, default ""
        Unit of the values.
    required : bool, default True
        Whether the service's contract requires the key.
    """

    kind: ClassVar[Kind]
    choices: tuple[V, ...] = ()

    def __init__(
        self,
        default: V,
        *,
        label: str,
        help: str,  # noqa: A002 - the name that traitlets uses
        path: str,
        unit: str = "",
        required: bool = True,
    ) -> None:
        super().__init__(default_value=default, help=help)
        self.label = label
        self.unit = unit
        self.path = tuple(path.split("."))
        self.required = required

    def check(self, value: Any) -> V:
        """Return the value to keep, or raise ValueError with what is allowed."""
        raise NotImplementedError

    def validate(self, obj: Any, value: Any) -> V:
        """Check a value for traitlets; a refusal is a RequestError with one problem."""
        try:
            return self.check(value)
        except ValueError as error:
            problem = Problem(self.name or "value", value, str(error))
        raise RequestError([problem])

    def field(self) -> Field:
        """Describe this trait; it must belong to a class."""
        return Field(
            name=self.name or "",
            kind=self.kind,
            default=self.default_value,
            choices=self.choices,
            label=self.label,
            help=self.help,
            unit=self.unit,
            path=self.path,
            required=self.required,
        )


class Text(Option[str]):
    """A string that can be written anywhere: no lone surrogates, no control characters.

    Tabs and newlines are kept; CRLF and CR become LF.
    """

    kind = "text"

    def check(self, value: Any) -> str:
        """Return the text with plain newlines, or raise ValueError."""
        if type(value) is not str:
            raise ValueError("must be text (a str)")
        text = value.replace("\r\n", "\n").replace("\r", "\n")
        unsafe = _UNSAFE.search(text)
        if unsafe:
            raise ValueError(
                "must be text without control characters or broken emoji; "
                f"remove U+{ord(unsafe.group()):04X} at position {unsafe.start()}"
            )
        return text


class ImageUrl(Option["str | None"]):
    """The address of an image, http or https, or None."""

    kind = "url"

    def check(self, value: Any) -> str | None:
        """Return the address or None, or raise ValueError."""
        return None if value is None else check_url(value)


class Choice(Option[V]):
    """One of a few values, of exactly their type: ``5.0``, ``True`` and ``"5"`` are not ``5``."""

    kind = "choice"

    def __init__(self, choices: Sequence[V], default: V, **texts: Any) -> None:
        super().__init__(default, **texts)
        self.choices = tuple(choices)

    def check(self, value: Any) -> V:
        """Return the choice that equals the value in type and value, or raise ValueError."""
        for choice in self.choices:
            if type(value) is type(choice) and value == choice:
                return choice
        raise ValueError(f"must be {_allowed(self.kind, self.choices, self.unit)}")


class Flag(Option[bool]):
    """True or False, and nothing that is merely truthy."""

    kind = "flag"

    def check(self, value: Any) -> bool:
        """Return the value if it is a bool, or raise ValueError."""
        if type(value) is not bool:
            raise ValueError("must be True or False")
        return value


def check_url(value: Any) -> str:
    """Return the address of an image, or raise ValueError with what is allowed."""
    if type(value) is str and _URI.fullmatch(value) and _has_host(value):
        return value
    raise ValueError(
        "must be a full http:// or https:// address, "
        "with spaces and non-ASCII letters percent-encoded"
    )


def fields_of(cls: type[HasTraits]) -> tuple[Field, ...]:
    """List the options of a class in the order of declaration, base classes first.

    ``HasTraits.class_traits()`` sorts by name, so the order is read from the class bodies.
    """
    options: dict[str, Option[Any]] = {}
    for base in reversed(cls.__mro__):
        options.update({k: v for k, v in vars(base).items() if isinstance(v, Option)})
    return tuple(option.field() for option in options.values())


def _allowed(kind: Kind, choices: tuple[Any, ...], unit: str) -> str:
    if kind == "flag":
        return "True or False"
    if kind == "url":
        return "an http(s) address or None"
    if kind == "text":
        return "text"
    *rest, last = [repr(choice) for choice in choices]
    text = f"{', '.join(rest)} or {last}" if rest else last
    return f"{text} ({unit})" if unit else text


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number, or a broken IPv6 address
        return False
