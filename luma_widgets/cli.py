"""The command line: ``luma-widgets demo | generate | log | resolve | simulate``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from . import __version__
from .errors import (
    ConfigurationError,
    ConfirmationNeededError,
    LumaError,
    NotSentError,
    OutcomeUnknownError,
    RejectedError,
    RequestError,
    TaskFailedError,
)
from .options import Parser, add_options, add_run_options

_EXIT_CODES = """exit codes:
  0  the videos are here
  1  something else went wrong
  2  wrong arguments or a wrong request; nothing was sent
  3  refused by the service, or not sent; nothing was charged
  4  the service reports a failed task
  5  outcome unknown: it may have been charged; nothing was sent again
  130  interrupted"""
_CODES: tuple[tuple[type[LumaError], int], ...] = (
    (RequestError, 2),
    (ConfigurationError, 2),
    (ConfirmationNeededError, 2),
    (RejectedError, 3),
    (NotSentError, 3),
    (TaskFailedError, 4),
    (OutcomeUnknownError, 5),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the program's name; by default those of the process.
    """
    try:
        arguments = _parser().parse_args(argv)
        run: Callable[[argparse.Namespace], int] = arguments.run
        return run(arguments)
    except LumaError as error:
        print(f"luma-widgets: {error}", file=sys.stderr)
        return exit_code(error)
    except KeyboardInterrupt as interrupt:
        notes = " ".join(getattr(interrupt, "__notes__", []))
        print(f"\nluma-widgets: interrupted. {notes}".rstrip(), file=sys.stderr)
        return 130


def exit_code(error: LumaError) -> int:
    """Return the exit code of an error; the help text lists them."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), 1)


def _parser() -> Parser:
    parser = Parser(
        prog="luma-widgets",
        description="Luma Ray 2 videos through the Pixwith API, each one logged. "
        "The API key is read from PIXWITH_API_KEY; without one, a simulator on this machine is "
        "used.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_generate(commands)
    _add_log(commands)
    _add_resolve(commands)
    _add_simulate(commands)
    return parser


def _add_demo(commands: argparse._SubParsersAction[Parser]) -> None:
    demo = commands.add_parser(
        "demo", help="open JupyterLab on the quickstart notebook, in a folder of your own"
    )
    demo.add_argument(
        "--folder", default="luma-demo", metavar="DIR", help="Where to work (luma-demo)."
    )
    demo.add_argument("--no-browser", action="store_true", help="Print the address only.")
    demo.add_argument("--port", type=int, help="Port of JupyterLab (the next free one).")
    demo.set_defaults(run=_demo)


def _add_generate(commands: argparse._SubParsersAction[Parser]) -> None:
    generate = commands.add_parser(
        "generate",
        help="make a video and wait for it",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    generate.add_argument("prompt", help="What the video shows.")
    add_options(generate)
    add_run_options(generate)
    generate.set_defaults(run=_generate)


def _add_log(commands: argparse._SubParsersAction[Parser]) -> None:
    log = commands.add_parser("log", help="show the submissions of a log")
    log.add_argument("--log", metavar="WHERE", help="File or database URL (luma.sqlite).")
    log.add_argument("--experiment", metavar="NAME", help="Only this experiment.")
    log.add_argument("--state", metavar="STATE", help="Only rows in this state.")
    log.add_argument("-n", type=int, default=20, metavar="N", help="The newest N rows (20).")
    log.add_argument("--json", action="store_true", help="Every column, one JSON object a line.")
    log.set_defaults(run=_log)


def _add_resolve(commands: argparse._SubParsersAction[Parser]) -> None:
    resolve = commands.add_parser("resolve", help="settle a submission whose outcome is unknown")
    resolve.add_argument("id", help="Its id, or the beginning of it.")
    ways = resolve.add_mutually_exclusive_group()
    ways.add_argument("--task-id", metavar="ID", help="It is this task; the service is asked.")
    ways.add_argument("--not-created", action="store_true", help="Nothing was created.")
    ways.add_argument("--submit-again", action="store_true", help="Make another video; see --yes.")
    resolve.add_argument("--yes", action="store_true", help="Accept that both may be charged.")
    resolve.add_argument("--log", metavar="WHERE", help="File or database URL (luma.sqlite).")
    resolve.add_argument("--experiment", default="default", metavar="NAME", help=argparse.SUPPRESS)
    resolve.set_defaults(run=_resolve)


def _add_simulate(commands: argparse._SubParsersAction[Parser]) -> None:
    simulate = commands.add_parser(
        "simulate", help="run the simulator by itself, for programs of your own"
    )
    simulate.add_argument("--port", type=int, default=0, help="Port on 127.0.0.1 (a free one).")
    simulate.add_argument("--speed", type=float, default=1.0, help="Times real time (1).")
    simulate.add_argument("--credits", type=float, default=10_000, help="Balance (10000).")
    simulate.add_argument("--state", metavar="FILE", help="Keep tasks and balance in this file.")
    simulate.set_defaults(run=_simulate)


def _demo(arguments: argparse.Namespace) -> int:
    from .commands.demo import demo

    return demo(arguments.folder, browser=not arguments.no_browser, port=arguments.port)


def _generate(arguments: argparse.Namespace) -> int:
    from .commands.generate import generate

    return generate(arguments)


def _log(arguments: argparse.Namespace) -> int:
    from .commands.show_log import show_log

    return show_log(arguments)


def _resolve(arguments: argparse.Namespace) -> int:
    from .commands.resolve import resolve

    return resolve(arguments)


def _simulate(arguments: argparse.Namespace) -> int:
    from .commands.simulate import simulate

    return simulate(arguments)
