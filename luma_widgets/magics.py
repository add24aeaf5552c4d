"""``%luma`` opens the studio; ``%%luma`` submits the prompt in the cell."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from IPython.display import display

from .errors import LumaError
from .options import Parser, add_options, add_run_options, check_spending, request_from

if TYPE_CHECKING:
    from .experiment import Experiment
    from .submission import Submission
    from .widgets import Studio


@magics_class
class LumaMagics(Magics):
    """The magics of luma_widgets; ``%load_ext luma_widgets`` registers them."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self._experiments: dict[tuple[str, str | None], Experiment] = {}

    @line_magic
    def luma(self, line: str) -> Studio:
        """Open the studio.

        ::

            %luma [--experiment NAME] [--log FILE]
        """
        from .widgets import Studio

        parser = Parser(prog="%luma", add_help=False)
        parser.add_argument("--experiment", default="default")
        parser.add_argument("--log")
        arguments = _parse(parser, line)
        return Studio(self._experiment(arguments))

    @cell_magic("luma")  # type: ignore[arg-type]  # IPython types the decorator by its first use
    def submit(self, line: str, cell: str) -> Submission:
        """Submit the prompt in the cell; the cell shows its progress and its video.

        Running the cell again shows the video that is there and pays nothing; another take is
        made with ``--repeats``.

        ::

            %%luma [--duration 5|9] [--resolution 540p|720p] [--aspect-ratio 16:9] [--loop]
                   [--no-prompt-optimization] [--model-id 2-4|3-4]
                   [--start-image URL|FILE] [--end-image URL|FILE]
                   [--repeats N] [--experiment NAME] [--log FILE] [--yes] [--wait]
            A cat walking in the garden
        """
        parser = Parser(prog="%%luma", add_help=False)
        add_options(parser)
        add_run_options(parser)
        parser.add_argument("--wait", action="store_true", help="Wait until the videos are here.")
        arguments = _parse(parser, line)
        try:
            return self._submit(arguments, cell.strip())
        except LumaError as error:
            problem = str(error)
        raise UsageError(problem)

    def _submit(self, arguments: argparse.Namespace, prompt: str) -> Submission:
        from .widgets.submissions import SubmissionsView

        experiment = self._experiment(arguments)
        request = request_from(prompt, arguments, experiment.upload)
        takes = range(arguments.repeats)
        videos = experiment.count_new(request, takes)
        if not experiment.simulated:
            print(f"{experiment.preflight(request, videos)}.")
        check_spending(videos, paid=not experiment.simulated, yes=arguments.yes)
        submissions = [experiment.submit(request, take=take) for take in takes]
        display(SubmissionsView(experiment, [submission.id for submission in submissions]))  # type: ignore[no-untyped-call]
        if arguments.wait:
            for submission in submissions:
                submission.wait()
        return submissions[-1]

    def _experiment(self, arguments: argparse.Namespace) -> Experiment:
        """Return the experiment that is meant; each is opened once, and says its service then."""
        from .experiment import Experiment

        which = (arguments.experiment, arguments.log)
        if which not in self._experiments:
            experiment = Experiment(arguments.experiment, log=arguments.log)
            print(experiment.banner)
            self._experiments[which] = experiment
        return self._experiments[which]


def _parse(parser: Parser, line: str) -> argparse.Namespace:
    """Read the flags of a magic; what is wrong comes as one line, not as a traceback."""
    try:
        return parser.parse_args(shlex.split(line))
    except (LumaError, ValueError) as error:
        problem = str(error).replace(f" See {parser.prog} --help for what is allowed.", "")
    raise UsageError(f"{problem} Type {parser.prog}? for the options.")
