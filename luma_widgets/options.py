"""Flags for every option of a request, shared by the command line and the magics."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from .errors import ConfigurationError
from .fields import Field
from .request import Ray2Request

# Videos that may be paid for without --yes.
PAID_LIMIT = 5


class Parser(argparse.ArgumentParser):
    """An argument parser that raises instead of ending the program: a notebook must live on."""

    def error(self, message: str) -> NoReturn:
        """Raise ConfigurationError with the reason and where to look."""
        raise ConfigurationError(f"{message}. See {self.prog} --help for what is allowed.")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every option of a request but the prompt, which is an argument of its own."""
    group = parser.add_argument_group("options of the video")
    for field in Ray2Request.fields():
        if field.name == "prompt":
            continue
        flag = "--" + field.name.replace("_", "-")
        if field.kind == "flag":
            action = argparse.BooleanOptionalAction
            group.add_argument(flag, action=action, default=field.default, help=_help(field))
            continue
        group.add_argument(
            flag,
            type=_reader(field),
            default=field.default,
            metavar=_metavar(field),
            help=_help(field),
        )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say where a submission goes and how often."""
    group = parser.add_argument_group("submission")
    group.add_argument(
        "--experiment", default="default", metavar="NAME", help="Group of the log (default)."
    )
    group.add_argument(
        "--log", metavar="WHERE", help="File or database URL of the log (luma.sqlite)."
    )
    group.add_argument(
        "--repeats",
        type=_positive,
        default=1,
        metavar="N",
        help="Videos of the same request; there is no seed, so each is another take (1).",
    )
    group.add_argument(
        "--yes",
        action="store_true",
        help=f"Allow more than {PAID_LIMIT} paid videos at once.",
    )


def request_from(
    prompt: str, arguments: argparse.Namespace, upload: Callable[[Path], str]
) -> Ray2Request:
    """Build the request that the flags describe.

    Parameters
    ----------
    prompt : str
    arguments : argparse.Namespace
        As parsed with :func:`add_options`.
    upload : callable
        Turns a local image into an address; called only for images that are files here.

    Raises
    ------
    RequestError
        If the request is wrong or incomplete.
    """
    names = [field.name for field in Ray2Request.fields() if field.name != "prompt"]
    values: dict[str, Any] = {name: getattr(arguments, name) for name in names}
    files = {
        field.name: Path(values[field.name])
        for field in Ray2Request.fields()
        if field.kind == "url" and values[field.name] and Path(values[field.name]).is_file()
    }
    # The rest is checked first, so that nothing is uploaded for a request that cannot be sent.
    placeholder = "https://example.invalid/image.png"
    checked = {**values, **dict.fromkeys(files, placeholder)}
    Ray2Request(prompt=prompt, **checked).payload()
    uploaded = {name: upload(path) for name, path in files.items()}
    return Ray2Request(prompt=prompt, **{**values, **uploaded})


def check_spending(videos: int, *, paid: bool, yes: bool) -> None:
    """Refuse a large paid submission that was not confirmed.

    Raises
    ------
    ConfirmationNeededError
        If more than :data:`PAID_LIMIT` videos would be paid for and ``--yes`` is missing.
    """
    from .errors import ConfirmationNeededError

    if paid and videos > PAID_LIMIT and not yes:
        raise ConfirmationNeededError(
            f"This would pay for {videos} videos. Add --yes to allow more than {PAID_LIMIT}."
        )


def _reader(field: Field) -> Callable[[str], Any]:
    """Return what turns a flag's text into a value of the option's own type."""

    def read(text: str) -> Any:
        for choice in field.choices:
            if text == str(choice):
                return choice
        if field.choices:
            raise argparse.ArgumentTypeError(f"must be {field.allowed()}; got {text!r}")
        return text

    return read


def _metavar(field: Field) -> str:
    return "{" + ",".join(map(str, field.choices)) + "}" if field.choices else "URL|FILE"


def _help(field: Field) -> str:
    unit = f" In {field.unit}." if field.unit else ""
    default = "" if field.default is None or field.kind == "flag" else f" ({field.default})"
    return f"{field.help}{unit}{default}".replace("%", "%%")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0; got {text!r}")
    return int(text)
